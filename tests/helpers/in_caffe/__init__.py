"""Scripts that run in the Caffe image, where real Caffe answers; each begins with what it reads and makes."""

from pathlib import Path

SCRIPTS = Path(__file__).parent
