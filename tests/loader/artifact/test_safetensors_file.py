"""model.safetensors, read by the library that it is for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from decant.loader.artifact import bundle, safetensors_file
from tests.helpers.artifacts import tensors


def test_safetensors_are_read_by_the_library_and_do_not_depend_on_order(tmp_path: Path) -> None:
    one = safetensors_file.write(tmp_path / "one", tensors())
    other = safetensors_file.write(tmp_path / "other", dict(reversed(tensors().items())))
    assert one == other == bundle.file_sha256(tmp_path / "one")
    found = load_file(tmp_path / "one")
    for key, array in tensors().items():
        assert np.array_equal(found[key].numpy(), array)
    plain = {"x": torch.arange(6.0).reshape(2, 3)}
    save_file(plain, tmp_path / "theirs", {"format": "pt"})
    safetensors_file.write(tmp_path / "ours", {"x": plain["x"].numpy()})
    assert load_file(tmp_path / "ours")["x"].equal(load_file(tmp_path / "theirs")["x"])
