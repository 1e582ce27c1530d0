"""`python -m decant`: the command line."""

from decant.pipeline import main

main()
