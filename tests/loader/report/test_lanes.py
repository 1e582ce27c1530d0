"""The layer graph as an SVG."""

from __future__ import annotations


def test_many_lanes_leave_room_for_the_names() -> None:
    from decant.loader.artifact.manifest import NetLayer
    from decant.loader.report.lanes import GUTTER, svg

    def row(name: str, bottoms: list[str]) -> NetLayer:
        return NetLayer(name=name, type="x", bottoms=tuple(bottoms), tops=(name,), shapes=((1,),))

    names = [f"n{number}" for number in range(50)]
    layers = [row("data", []), *(row(name, ["data"]) for name in names), row("all", names)]
    assert svg(layers).count(f'<text x="{GUTTER + 8}"') == len(layers)
    assert svg(layers[:2]).count('<text x="36"') == 2
