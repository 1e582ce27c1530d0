"""Speed and memory as ratios in one run: `python -m bench --help`."""
