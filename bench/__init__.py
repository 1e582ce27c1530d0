"""Speed and memory as ratios in one run: `python -m bench [reader|forward|container] [--json]`."""
