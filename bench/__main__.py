"""Measure speed and memory, as ratios in one run: one line for each number; or count `definitions FOLDER`."""

from __future__ import annotations

import argparse
import json
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")

from bench import container, convert, forward, parity, reader, rounding

BENCHES = {
    "reader": reader.run,
    "convert": convert.run,
    "container": container.run,
    "forward": forward.run,
    "rounding": rounding.run,
    "parity": parity.run,
}


def main(words: list[str]) -> None:
    """Run the benches named; `definitions` has options of its own."""
    if words[:1] == ["definitions"]:
        from bench import definitions

        sys.exit(definitions.main(words[1:]))
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    known = ", ".join(BENCHES)
    parser.add_argument("names", nargs="*", metavar="BENCH", help=f"{known}; none: all of them")
    parser.add_argument("--json", action="store_true", help="one JSON object instead")
    asked = parser.parse_args(words)
    unknown = [name for name in asked.names if name not in BENCHES]
    if unknown:
        parser.error(f"{unknown[0]!r} is not one of {known}")
    results = {name: BENCHES[name]() for name in asked.names or BENCHES}
    if asked.json:
        print(json.dumps(results, indent=1))
        return
    for name, rows in results.items():
        print(name)
        for row, value in rows.items():
            print(f"  {row}: {value}")


if __name__ == "__main__":
    main(sys.argv[1:])
