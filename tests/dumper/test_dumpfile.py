"""The dump format: both forms, their bytes, and what is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
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


def external_link(file: h5py.File) -> None:
    file["layers/00000/params/9"] = h5py.ExternalLink("other.h5", "/x")


def soft_link(file: h5py.File) -> None:
    file["layers/00000/params/9"] = h5py.SoftLink("/layers")


def cycle(file: h5py.File) -> None:
    file["layers/00000/loop"] = file["layers"]


def chunked(file: h5py.File) -> None:
    file.create_dataset("layers/00000/params/9", (1 << 20,), "<f4", chunks=True)


def filtered(file: h5py.File) -> None:
    file.create_dataset("x", data=np.zeros(100, "<f4"), compression="gzip")


def outside(file: h5py.File) -> None:
    file.create_dataset("x", (4,), "<f4", external=[("/etc/passwd", 0, 16)])


def integers(file: h5py.File) -> None:
    file["x"] = np.arange(3)


def listed_attribute(file: h5py.File) -> None:
    file.attrs["more"] = ["a", "b"]


def extra_array(file: h5py.File) -> None:
    file["extra"] = np.zeros(2, "<f4")


def no_mark(file: h5py.File) -> None:
    del file.attrs["format"]


def newer(file: h5py.File) -> None:
    file.attrs["version"] = np.int64(2)


def missing_layer(file: h5py.File) -> None:
    del file["layers/00001"]


HOSTILE = [external_link, soft_link, cycle, chunked, filtered, outside, integers, listed_attribute,
           extra_array, no_mark, newer, missing_layer]  # fmt: skip


@pytest.mark.parametrize("change", HOSTILE)
def test_a_hostile_or_foreign_file_is_refused(change: object, tmp_path: Path) -> None:
    path = written(tmp_path)
    with h5py.File(path, "r+") as file:
        change(file)  # type: ignore[operator]
    with pytest.raises(DumpError, match=str(path)):
        dumpfile.read(path)


def test_an_npz_with_a_member_twice_or_compressed_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ".npz")
    squeezed = tmp_path / "squeezed.npz"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(squeezed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(DumpError, match="compressed"):
        dumpfile.read(squeezed)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("meta.json", b"{}")
    with pytest.raises(DumpError, match="twice"):
        dumpfile.read(path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=np.array([object()], dtype=object))
    with pytest.raises(DumpError):
        dumpfile.read(path)


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
