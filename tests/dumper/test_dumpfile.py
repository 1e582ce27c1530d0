"""The dump format: both forms, their bytes, and what is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.dumper import dumpfile
from decant.dumper.dumpfile import DumpError, Header, Layer

RANDOM = np.random.default_rng(9)
HEADER = Header("net", "name: 'x'\n" * 9000, "", "reader", "", True, "ab" * 32)


def layers() -> list[Layer]:
    weight = RANDOM.standard_normal((3, 2, 2), np.float32)
    scalar = np.float32(2.5).reshape(())
    return [
        Layer(
            "a/b.c", "Convolution", ["data"], ["a"], [weight, scalar], [None, None], [weight[:1]]
        ),
        Layer("", "Odd", [], [], [weight], [(0, 0)], []),
        Layer("a", "ReLU", ["a"], ["a"], [], [], [np.zeros((0, 3), np.float32)]),
    ]


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_a_dump_comes_back_as_it_went_in(suffix: str, tmp_path: Path) -> None:
    path, given_layers = tmp_path / ("dump" + suffix), layers()
    probe = {"data/x": RANDOM.random((1, 3), np.float32)}
    dumpfile.write(path, HEADER, iter(given_layers), probe)
    found = dumpfile.read(path)
    assert Header(**{k: getattr(found, k) for k in vars(HEADER)}) == HEADER
    for one, other in zip(found.layers, given_layers):
        assert (one.name, one.type, one.bottoms, one.tops, one.owners) == (
            other.name, other.type, other.bottoms, other.tops, other.owners,
        )  # fmt: skip
        for a, b in zip(one.params + one.activations, other.params + other.activations):
            assert a.shape == b.shape
            assert np.array_equal(a, b)
            assert not a.flags.writeable
    assert list(found.probe) == ["data/x"]
    assert np.array_equal(found.probe["data/x"], probe["data/x"])


WRITE = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path; import numpy as np; from decant.dumper import dumpfile as d
header = d.Header("n", "p", "", "reader", "", False, "")
layer = d.Layer("a", "T", [], [], [np.arange(6, dtype="f4")], [None], [])
d.write(Path({path!r}), header, [layer], {{"x": np.ones(2, "f4")}})
"""


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_equal_content_gives_equal_bytes(suffix: str, tmp_path: Path) -> None:
    digests = set()
    for number, zone in enumerate(("UTC", "Asia/Tokyo")):
        path = tmp_path / f"{number}{suffix}"
        code = WRITE.format(root=str(Path(__file__).parents[2]), path=str(path))
        env = {**os.environ, "TZ": zone, "PYTHONHASHSEED": str(number)}
        subprocess.run([sys.executable, "-c", code], env=env, check=True)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1


def written(tmp_path: Path, suffix: str = ".h5") -> Path:
    path = tmp_path / ("dump" + suffix)
    dumpfile.write(path, HEADER, layers(), {})
    return path


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=5),
)
@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_damage_ends_in_our_own_error_or_in_a_reading(
    suffix: str, cut: float, flips: list[tuple[float, int]], tmp_path: Path
) -> None:
    path = written(tmp_path, suffix)
    data = bytearray(path.read_bytes())
    for place, value in flips:
        data[int(place * len(data))] = value
    path.write_bytes(data[: int(len(data) * cut)] if cut < 0.5 else data)
    try:
        dumpfile.read(path)
    except DumpError:
        pass
