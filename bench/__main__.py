"""Run the benches named (all by default) and print one line for each number."""

from __future__ import annotations

import json
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from bench import container, convert, forward, reader

BENCHES = {
    "reader": reader.run,
    "convert": convert.run,
    "container": container.run,
    "forward": forward.run,
}


def main(words: list[str]) -> None:
    """`--json` prints one object instead."""
    chosen = [word for word in words if word in BENCHES] or list(BENCHES)
    results = {name: BENCHES[name]() for name in chosen}
    if "--json" in words:
        print(json.dumps(results, indent=1))
        return
    for name, rows in results.items():
        print(name)
        for row, value in rows.items():
            print(f"  {row}: {value}")


if __name__ == "__main__":
    main(sys.argv[1:])
