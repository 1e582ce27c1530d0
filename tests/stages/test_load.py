"""Stage 2: a dump that is none, another net's reference, and a failed parity that leaves evidence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.loader.errors import BadInput, ParityError
from decant.stages.load import _reference_for, load, read_dump
from decant.stages.options import Options
from tests.helpers.artifacts import REFERENCE


def test_a_dump_that_is_none_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        read_dump(tmp_path / "none.h5")
    (tmp_path / "x.h5").write_bytes(b"x")
    with pytest.raises(BadInput, match="neither HDF5 nor NPZ"):
        load(tmp_path / "x.h5", Options(out=tmp_path / "out"))
    with pytest.raises(BadInput, match="dump it again"):
        read_dump(tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_reference_is_one_of_the_very_same_bits() -> None:
    dump = dumpfile.read(REFERENCE)
    assert _reference_for(dump, None) is None is _reference_for(dump, REFERENCE.with_name("none"))
    found = _reference_for(dump, REFERENCE)
    assert found is not None and found.has_activations
    assert _reference_for(replace(dump, prototxt=dump.prototxt + "#"), REFERENCE) is None
    layers = [replace(layer, params=[np.array(x) for x in layer.params]) for layer in dump.layers]
    changed = next(layer for layer in layers if layer.params)
    changed.params[0].flat[0] = np.nextafter(changed.params[0].flat[0], np.float32(9))
    assert _reference_for(replace(dump, layers=layers), REFERENCE) is None


def test_a_failed_parity_leaves_its_numbers_and_no_artifact(tmp_path: Path) -> None:
    dump = dumpfile.read(REFERENCE)
    layers = [
        replace(layer, activations=[np.array(x) for x in layer.activations])
        for layer in dump.layers
    ]
    relu = next(layer for layer in layers if layer.name == "relu2")
    relu.activations[0] *= np.float32(1.5)
    dumpfile.write(tmp_path / "net.h5", dump, layers, dump.probe)
    with pytest.raises(ParityError, match="'relu2'"):
        load(tmp_path / "net.h5", Options(out=tmp_path / "out"))
    assert json.loads((tmp_path / "parity.json").read_text())["first_failure"] == "relu2"
    assert not (tmp_path / "out/net").exists()
    made = load(tmp_path / "net.h5", Options(out=tmp_path / "out", parity=False), name="mine")
    assert made.folder == tmp_path / "out/mine" and made.parity.reason == "--no-parity"
