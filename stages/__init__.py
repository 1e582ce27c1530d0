"""The two stages, and what is done with artifacts, as a library; `commands/` parses and prints.

`convert`, `dump`, `load`, `validate`, `classify`, `report`, `compare`, `inspect` and `add` stand each
in the file of its name. They take one frozen `Options` and raise the errors of `loader.errors`; none of
them prints.
"""
