"""The layer graph as an SVG: a row for each layer, a lane for each value that is still needed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from decant.loader.artifact.manifest import NetLayer

ROW, LANE, RADIUS = 22, 14, 4
# all lanes together: more of them stand closer, so that a phone has room for the names
GUTTER = 112


def svg(layers: Sequence[NetLayer]) -> str:
    """Of all layers, in order."""
    reads = _reads(layers)
    made, ends = _values(layers, reads)
    lanes, most = _lanes(layers, made, ends)
    lane = min(LANE, GUTTER / (most + 1))
    left = round((most + 1) * lane)
    across = {value: round((number + 1) * lane, 1) for value, number in lanes.items()}
    own = [across.get((row, 0), lane) for row in range(len(layers))]
    parts = []
    for value, start in made.items():
        x = across[value]
        y1, y2 = start * ROW + ROW // 2, ends[value] * ROW + ROW // 2
        parts.append(f'<path d="M{x} {y1}V{y2}"/>')
    for row, values in enumerate(reads):
        for value in values:
            x = across[value]
            if x != own[row]:
                parts.append(f'<path d="M{x} {row * ROW + ROW // 2}H{own[row]}"/>')
    texts = []
    for row, layer in enumerate(layers):
        x, y = own[row], row * ROW + ROW // 2
        shape = " ".join("x".join(map(str, s)) if s is not None else "?" for s in layer.shapes)
        texts.append(f'<circle cx="{x}" cy="{y}" r="{RADIUS}"/>')
        texts.append(
            f'<text x="{left + 8}" y="{y + 4}">{escape(layer.name)} '
            f'<tspan class="kind">{escape(layer.type)} {escape(shape)}</tspan></text>'
        )
    longest = max((len(layer.name) + len(layer.type) for layer in layers), default=0)
    width, height = left + 8 + 8 * (longest + 24), len(layers) * ROW
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="Graph of {len(layers)} layers">{"".join(parts)}{"".join(texts)}</svg>'
    )


Value = tuple[int, int]


def _reads(layers: Sequence[NetLayer]) -> list[list[Value]]:
    """The values that each layer reads: a top is a value of its own each time it is made."""
    current: dict[str, Value] = {}
    found = []
    for row, layer in enumerate(layers):
        found.append([current[blob] for blob in layer.bottoms if blob in current])
        current.update((top, (row, number)) for number, top in enumerate(layer.tops))
    return found


def _values(
    layers: Sequence[NetLayer], reads: Sequence[Sequence[Value]]
) -> tuple[dict[Value, int], dict[Value, int]]:
    """Where each value is made, and where it is read last."""
    made = {
        (row, number): row for row, layer in enumerate(layers) for number in range(len(layer.tops))
    }
    ends = dict(made)
    for row, values in enumerate(reads):
        ends.update((value, row) for value in values)
    return made, ends


def _lanes(
    layers: Sequence[NetLayer], made: dict[Value, int], ends: dict[Value, int]
) -> tuple[dict[Value, int], int]:
    """Lanes are handed on where a value ends; how many there are."""
    free: list[int] = []
    lanes: dict[Value, int] = {}
    ending: dict[int, list[Value]] = {}
    starting: dict[int, list[Value]] = {}
    for value in made:
        ending.setdefault(ends[value], []).append(value)
        starting.setdefault(made[value], []).append(value)
    count = 0
    for row in range(len(layers)):
        free += [lanes[value] for value in ending.get(row, []) if value in lanes]
        for value in starting.get(row, []):
            free.sort()
            if free:
                lanes[value] = free.pop(0)
            else:
                lanes[value], count = count, count + 1
        free += [lanes[value] for value in starting.get(row, []) if ends[value] == row]
    return lanes, count
