"""The well-known nets in small through real Caffe: every layer agrees, blocks folded or not.

Those of tests/helpers/well_known.py have all of their layers: blocks of several values, blocks in blocks, and
branches that are one module.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from decant.dumper.dumpfile import Dump
from decant.loader.definition.graph import net_from_text
from tests.helpers.caffe_answers import ask, unpack
from tests.helpers.golden import check
from tests.helpers.nets import SmallNet
from tests.helpers.random_weights import shapes_of
from tests.helpers.structures import STRUCTURES
from tests.helpers.well_known import NETS as WELL_KNOWN

# of layers that stock Caffe has
WHOLE = ("dpn92", "openpose", "hourglass", "fpn", "siamese", "triplet", "siamese_residual")
NETS = {
    name: SmallNet(name, "", make(), shapes_of(net_from_text(make(), name)))
    for name, make in {**STRUCTURES, **{name: WELL_KNOWN[name] for name in WHOLE}}.items()
}


@pytest.fixture(scope="module")
def dumps(image: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dump]:
    return unpack(ask(list(NETS.values())), tmp_path_factory.mktemp("answers"))


@pytest.mark.parametrize("name", list(NETS))
def test_a_well_known_structure_agrees_with_caffe(
    name: str, dumps: dict[str, Dump], tmp_path: Path
) -> None:
    assert name in dumps, "Caffe refuses this net"
    converted = check(NETS[name], dumps[name])
    shared = set(converted.layers) | {"data"}
    assert shared == {layer.name for layer in dumps[name].layers if layer.type != "Split"} | (
        {"crop#2", "crop#3"} if name == "hed" else set()
    )
