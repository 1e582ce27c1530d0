"""What the writer of dumps must not pass over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.dumper.dumpfile import DumpError, Header, Layer

ARRAY = np.random.default_rng(23).random((2, 3)).astype(np.float32)


HEADER = Header("n", "p", "", "reader", "", True, "")


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
@pytest.mark.parametrize("form", ["scalar", "strided", "Fortran order", "unaligned", "empty"])
def test_arrays_are_written_whatever_memory_they_lie_in(
    form: str, suffix: str, tmp_path: Path
) -> None:
    unaligned = np.frombuffer(b"\x00" + ARRAY.tobytes(), np.uint8)[1:].view("<f4")
    array = {
        "scalar": ARRAY[0, 0].reshape(()), "strided": ARRAY[:, ::2], "unaligned": unaligned,
        "Fortran order": np.asfortranarray(ARRAY), "empty": ARRAY[:0],
    }[form]  # fmt: skip
    array.setflags(write=False)
    path = tmp_path / ("dump" + suffix)
    dumpfile.write(path, HEADER, [Layer("a", "T", [], [], [array], [None])], {})
    found = dumpfile.read(path).layers[0].params[0]
    assert found.shape == array.shape
    assert np.array_equal(found, array)


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_parameters_without_owners_are_not_dropped_in_writing(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / ("dump" + suffix)
    try:
        dumpfile.write(path, HEADER, [Layer("a", "T", [], [], [ARRAY, ARRAY])], {})
    except (DumpError, ValueError):
        return
    assert len(dumpfile.read(path).layers[0].params) == 2


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
@pytest.mark.parametrize("value", [np.array([1e-300]), np.array([2**31 - 1])], ids=str)
def test_other_types_than_float32_are_not_rounded_in_writing(
    value: np.ndarray, suffix: str, tmp_path: Path
) -> None:
    with pytest.raises((DumpError, TypeError)):
        dumpfile.write(
            tmp_path / ("dump" + suffix), HEADER, [Layer("a", "T", [], [], [value], [None])], {}
        )
