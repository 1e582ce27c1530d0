"""A probe from a file: what does not fit is refused before Caffe runs, with the array that it is."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from decant.loader.definition.graph import Net, net_from_text
from decant.loader.errors import BadInput, UsageError
from decant.loader.plan.outline import BlobShapes
from decant.loader.plan.probe_file import read
from tests.helpers.nets import Shape, inputs_text, layer

FC = layer("fc", "InnerProduct", ["data"], ["fc"], "inner_product_param { num_output: 3 }")
NET = net_from_text(inputs_text({"data": (4, 3, 8, 8)}) + FC, "net")
WEIGHTS = {"fc": [(3, 192), (3,)]}
EMBED = layer("e", "Embed", ["m"], ["e"], "embed_param { num_output: 2 input_dim: 9 }")
WORDS = net_from_text(
    inputs_text({"words": (4, 2)})
    + layer("m", "Reshape", ["words"], ["m"], "reshape_param { shape { dim: -1 } }")
    + EMBED,
    "net",
)


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "probe.npz", **arrays)  # type: ignore[arg-type]
    return folder / "probe.npz"


def test_what_fits_is_taken_in_the_order_of_the_definition(tmp_path: Path) -> None:
    shapes: dict[str, Shape] = {"a": (2, 3), "b": (2, 3)}
    net = net_from_text(inputs_text(shapes) + layer("s", "Eltwise", ["a", "b"], ["s"]), "net")
    file = saved(tmp_path, b=np.ones((7, 3)), a=np.zeros((7, 3), np.uint8))
    found = read(net, file)
    assert list(found) == ["a", "b"]
    assert all(array.dtype == np.float32 and array.shape == (7, 3) for array in found.values())


@pytest.mark.parametrize(
    ("net", "arrays", "says"),
    [
        (NET, {"data": np.ones((3, 8, 8))}, "3 x 8 x 8; the net takes 4 axes, as 4 x 3 x 8 x 8"),
        (NET, {"data": np.ones((1, 3, 8, 8), complex)}, "'data' holds complex128; a probe holds real"),
        (NET, {"data": np.array(["1"])}, "real numbers"),
        (NET, {"data": np.ones((0, 3, 8, 8))}, "a batch of values"),
        (NET, {"data": np.full((1, 3, 8, 8), 1e300)}, "NaN or Inf"),
        (NET, {"data": np.ones((1, 3, 9, 8))}, "declared: 4 x 3 x 8 x 8.*line 2: layer 'fc'"),
        (WORDS, {}, "no array for input 'words'"),
        (WORDS, {"words": np.full((4, 2), 9)}, "'words' holds 9; layer 'e' .Embed. takes whole numbers from 0 to 8"),
        (WORDS, {"words": np.full((4, 2), -1)}, "holds -1"),
        (WORDS, {"words": np.full((4, 2), 0.5)}, "holds 0.5"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(
    net: Net, arrays: Mapping[str, np.ndarray], says: str, tmp_path: Path
) -> None:
    blobs: BlobShapes = WEIGHTS if net is NET else {}
    with pytest.raises(BadInput, match=says) as error:
        read(net, saved(tmp_path, **arrays), blobs=blobs)
    assert "probe.npz" in error.value.message


def test_another_batch_and_another_size_fit_where_the_layers_take_them(tmp_path: Path) -> None:
    read(NET, saved(tmp_path, data=np.ones((9, 3, 8, 8))), blobs=WEIGHTS)
    conv = layer("c", "Convolution", ["data"], ["c"], "convolution_param { num_output: 2 kernel_size: 3 }")  # fmt: skip
    net = net_from_text(inputs_text({"data": (4, 3, 8, 8)}) + conv, "net")
    read(net, saved(tmp_path, data=np.ones((1, 3, 30, 20))))
    with pytest.raises(BadInput, match="layer 'c'"):
        read(net, saved(tmp_path, data=np.ones((1, 3, 2, 2))))


def test_rows_that_are_not_there_and_selectors_that_keep_none(tmp_path: Path) -> None:
    text = inputs_text({"data": (3, 4), "which": (2,)})
    net = net_from_text(text + layer("b", "BatchReindex", ["data", "which"], ["b"]), "net")
    with pytest.raises(BadInput, match="from 0 to 2"):
        read(net, saved(tmp_path, data=np.ones((3, 4)), which=np.array([0, 3])))
    text = inputs_text({"data": (3, 4), "keep": (3,)})
    net = net_from_text(text + layer("f", "Filter", ["data", "keep"], ["f"]), "net")
    with pytest.raises(BadInput, match="layer 'f' .Filter. would keep no row"):
        read(net, saved(tmp_path, data=np.ones((3, 4)), keep=np.zeros(3)))
    read(net, saved(tmp_path, data=np.ones((3, 4)), keep=np.array([0, 0.5, 0])))


def test_boxes_of_pictures_that_are_not_there(tmp_path: Path) -> None:
    text = inputs_text({"maps": (1, 3, 8, 8), "rois": (2, 5)})
    param = "roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 1 }"
    net = net_from_text(text + layer("p", "ROIPooling", ["maps", "rois"], ["p"], param), "net")
    maps, box = np.ones((1, 3, 8, 8)), np.array([[0, 1, 1, 4, 4]])
    read(net, saved(tmp_path, maps=maps, rois=box))
    with pytest.raises(BadInput, match="pictures from 0 to 0"):
        read(net, saved(tmp_path, maps=maps, rois=box + [[1, 0, 0, 0, 0]]))


def test_what_is_said_twice_must_agree(tmp_path: Path) -> None:
    file = saved(tmp_path, data=np.ones((2, 3, 8, 8)))
    read(NET, file, {"data": (2, 3, 8, 8)})
    with pytest.raises(UsageError, match="--input data=1,3,8,8: .*probe.npz has 2 x 3 x 8 x 8"):
        read(NET, file, {"data": (1, 3, 8, 8)})


def test_an_input_that_the_net_lacks(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--probe dat: .*is it 'data'"):
        read(NET, saved(tmp_path, dat=np.ones((2, 3, 8, 8))))


def broken(folder: Path) -> dict[str, Path]:
    """Files that are not NPZ, by what is wrong with them."""
    whole = saved(folder, data=np.ones((1, 3, 8, 8))).read_bytes()
    made = {
        "empty": b"",
        "text": b"data = 1\n",
        "cut": whole[: len(whole) // 2],
        "damaged": whole.replace(b"\x93NUMPY", b"\x93NUMBY"),
    }
    files = {name: folder / f"{name}.npz" for name in made}
    for name, data in made.items():
        files[name].write_bytes(data)
    files["folder"] = folder
    files["zip"] = folder / "zip.npz"
    with zipfile.ZipFile(files["zip"], "w") as archive:
        archive.writestr("data.txt", "1")
    return files


@pytest.mark.parametrize("what", ["empty", "text", "cut", "damaged", "folder", "zip"])
def test_files_that_are_no_npz(what: str, tmp_path: Path) -> None:
    with pytest.raises((BadInput, UsageError), match=what if what != "folder" else "NPZ"):
        read(NET, broken(tmp_path)[what])


def test_a_single_array_lacks_its_name(tmp_path: Path) -> None:
    np.save(tmp_path / "probe.npy", np.ones((1, 3, 8, 8)))
    with pytest.raises(BadInput, match=r"numpy.savez\(FILE, data=array\)"):
        read(NET, tmp_path / "probe.npy")
    with pytest.raises(BadInput, match="no such file"):
        read(NET, tmp_path / "gone.npz")
