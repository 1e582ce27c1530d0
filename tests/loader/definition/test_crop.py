"""Crop without an offset: where its bottoms align, what is said of it, and what Caffe is given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from decant.loader.artifact.conversion import GENERATED
from decant.loader.artifact.loading import module_from_source
from decant.loader.definition import crop
from decant.loader.definition.graph import Net, net_from_text
from decant.loader.definition.reading import Reading, ReadingOptions
from decant.loader.errors import Unsupported
from tests.helpers.converting import conv, converted, input_layer, layer, random, write_pair
from tests.helpers.crop_nets import nets

ALIGNED = Reading(crop="aligned")
DATA = input_layer("data", 1, 1, 40, 40)
CROP = layer("crop", "Crop", "c data", "out")
FORK = DATA + conv("c", "data", "c", "pad: 10 kernel_size: 3") + CROP


def offsets(text: str) -> list[list[str]]:
    """Those that are written where the definition is read as aligned."""
    net = net_from_text(text, "net", ALIGNED)
    return [x.fields.message("crop_param").texts("offset") for x in net.layers if x.type == "Crop"]


def refused(text: str) -> str:
    with pytest.raises(Unsupported) as caught:
        net_from_text(text, "net", ALIGNED)
    return caught.value.message


def hed() -> str:
    """HED's five side outputs (s9xie/hed): VGG padded by 35, five crops of one name, none with an offset."""
    text, last = input_layer("data", 1, 3, 64, 64), "data"
    for stage, count in enumerate((2, 2, 3, 3, 3), 1):
        for number in range(1, count + 1):
            name, pad = f"conv{stage}_{number}", 35 if (stage, number) == (1, 1) else 1
            text += conv(name, last, name, f"pad: {pad} kernel_size: 3") + layer(
                f"relu{name}", "ReLU", name, name
            )
            last = name
        up = f"score{stage}"
        text += conv(up, last, up, "kernel_size: 1")
        if stage > 1:
            stride = 2 ** (stage - 1)
            param = (
                f"convolution_param {{ num_output: 4 kernel_size: {2 * stride} stride: {stride} }}"
            )
            text, up = (
                text + layer(f"up{stage}", "Deconvolution", up, f"up{stage}", param),
                f"up{stage}",
            )
        text += layer("crop", "Crop", f"{up} data", f"side{stage}")
        if stage < 5:
            text += layer(
                f"pool{stage}",
                "Pooling",
                last,
                f"pool{stage}",
                "pooling_param { kernel_size: 2 stride: 2 }",
            )
            last = f"pool{stage}"
    sides = " ".join(f"side{stage}" for stage in range(1, 6))
    return (
        text + layer("cat", "Concat", sides, "cat") + conv("fuse", "cat", "fuse", "kernel_size: 1")
    )


def test_hed_is_cropped_where_its_fork_crops_it() -> None:
    assert offsets(hed()) == [["34"], ["35"], ["36"], ["38"], ["42"]]
    (note,) = net_from_text(hed(), "hed").notes
    assert all(f"{offset} ('crop', line " in note for offset in (34, 35, 36, 38, 42))
    assert "--crop aligned" in note


@pytest.mark.parametrize("seed", range(len(nets())))
def test_offsets_are_those_of_pycaffe(seed: int) -> None:
    """coord_map.json: python/caffe/coord_map.py of real Caffe on these nets (tests/container)."""
    theirs = json.loads(Path(__file__).with_name("coord_map.json").read_text())[seed]
    net = net_from_text(nets()[seed], "net")
    (mine,) = crop.missing_offsets(net.layers, net.inputs)
    if isinstance(theirs, str):
        assert mine.offsets is None and mine.reason
    else:
        both = [0] if theirs is None else theirs
        assert mine.offsets == tuple(both[:1] if len(set(both)) == 1 else both)


def valid_unet() -> str:
    """U-Net without padding: each skip is cropped to what comes up; the outer way goes through the inner."""
    text, last, skips = input_layer("data", 1, 1, 92, 92), "data", []
    for level in range(2):
        text += conv(f"d{level}", last, f"d{level}", "kernel_size: 3")
        text += layer(
            f"p{level}",
            "Pooling",
            f"d{level}",
            f"p{level}",
            "pooling_param { kernel_size: 2 stride: 2 }",
        )
        skips.append(f"d{level}")
        last = f"p{level}"
    text += conv("mid", last, "mid", "kernel_size: 3")
    last = "mid"
    for level in (1, 0):
        up = "convolution_param { num_output: 4 kernel_size: 2 stride: 2 }"
        text += layer(f"u{level}", "Deconvolution", last, f"u{level}", up)
        text += layer(f"crop{level}", "Crop", f"{skips[level]} u{level}", f"k{level}")
        text += layer(f"cat{level}", "Concat", f"u{level} k{level}", f"cat{level}")
        text += conv(f"o{level}", f"cat{level}", f"o{level}", "kernel_size: 3")
        last = f"o{level}"
    return text


def fcn8s() -> str:
    """FCN-8s (voc-fcn8s): its published files write 5, 9 and 31; its fork's own worked them out."""
    text, last, pools = input_layer("data", 1, 3, 64, 64), "data", {}
    for stage in range(1, 6):
        pad = 100 if stage == 1 else 1
        text += conv(f"conv{stage}", last, f"conv{stage}", f"pad: {pad} kernel_size: 3")
        text += layer(
            f"pool{stage}",
            "Pooling",
            f"conv{stage}",
            f"pool{stage}",
            "pooling_param { kernel_size: 2 stride: 2 }",
        )
        last = pools[stage] = f"pool{stage}"
    text += conv("fc6", last, "fc6", "kernel_size: 7") + conv(
        "score_fr", "fc6", "score_fr", "kernel_size: 1"
    )
    last = "score_fr"
    for stage in (4, 3):
        up = "convolution_param { num_output: 4 kernel_size: 4 stride: 2 bias_term: false }"
        text += layer(f"up{stage}", "Deconvolution", last, f"up{stage}", up)
        text += conv(f"side{stage}", pools[stage], f"side{stage}", "kernel_size: 1")
        text += layer(f"crop{stage}", "Crop", f"side{stage} up{stage}", f"cut{stage}")
        text += layer(f"fuse{stage}", "Eltwise", f"up{stage} cut{stage}", f"fuse{stage}")
        last = f"fuse{stage}"
    text += layer(
        "up8",
        "Deconvolution",
        last,
        "up8",
        "convolution_param { num_output: 4 kernel_size: 16 stride: 8 }",
    )
    return text + layer("crop", "Crop", "up8 data", "score")


# of text, and the offsets of its crops
PLACES = [
    (FORK, [["9"]]),
    (valid_unet(), [["2"], ["8"]]),
    (fcn8s(), [["5"], ["9"], ["31"]]),
    (FORK.replace("pad: 10 kernel_size: 3", "pad_h: 4 pad_w: 2 kernel_h: 3 kernel_w: 1"), [["3", "2"]]),
    (FORK.replace("pad: 10 kernel_size: 3", "pad: 4 pad: 2 kernel_size: 3 dilation: 2"), [["2", "0"]]),
    (FORK.replace('top: "out"', 'top: "out" crop_param { axis: 2 }'), [["9"]]),
    (FORK.replace('top: "out"', 'top: "out" crop_param { axis: 3 }'), [["9"]]),
    (FORK.replace('top: "out"', 'top: "out" crop_param { axis: -1 }'), [["9"]]),
    (FORK.replace('top: "out"', 'top: "out" crop_param { axis: 1 }'), [["0", "9", "9"]]),
    (DATA + conv("c", "data", "c", "pad: 4 pad: 2 kernel_size: 3")
     + layer("crop", "Crop", "c data", "out", "crop_param { axis: 3 }"), [["1"]]),
    # a written offset stays, and counts for the next
    (FORK.replace('top: "out"', 'top: "out" crop_param { offset: 4 }')
     + layer("again", "Crop", "c out", "again"), [["4"], ["4"]]),
    (FORK.replace('top: "out"', 'top: "out" crop_param { offset: 0 }'), [["0"]]),
    # nothing to write
    (DATA + conv("c", "data", "c", "pad: 1 kernel_size: 3") + CROP, [[]]),
    # in place, through layers of forks, and along channels
    (DATA + conv("c", "data", "c", "pad: 3 kernel_size: 1") + layer("b", "BN", "c", "c")
     + layer("s", "Slice", "c", "s t", "slice_param { slice_point: 1 }")
     + layer("cat", "Concat", "t s", "cat") + layer("soft", "Softmax", "cat", "soft")
     + layer("crop", "Crop", "soft data", "out"), [["3"]]),
    # a convolution of two bottoms makes a top of each
    (DATA + input_layer("other", 1, 1, 40, 40) + layer("c", "Convolution", "other data", "c d",
     "convolution_param { num_output: 4 pad: 5 kernel_size: 3 }") + layer("crop", "Crop", "d data", "out"), [["4"]]),
    # the second bottom lies below the first
    (DATA + conv("c", "data", "c", "kernel_size: 5") + layer("crop", "Crop", "data c", "out"), [["2"]]),
    # along one way a skip that agrees with it
    (DATA + conv("a", "data", "a", "pad: 3 kernel_size: 3") + conv("b", "data", "b", "pad: 2 kernel_size: 1")
     + layer("e", "Eltwise", "a b", "e") + layer("crop", "Crop", "e data", "out"), [["2"]]),
    (input_layer("data", 1, 1, 9, 9, 9) + layer("c", "Convolution", "data", "c",
     "convolution_param { num_output: 1 pad: 1 pad: 2 pad: 3 kernel_size: 1 }") + CROP, [["1", "2", "3"]]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), PLACES)
def test_the_offset_is_where_the_bottoms_align(text: str, expected: list[list[str]]) -> None:
    assert offsets(text) == expected


def pool(param: str) -> str:
    return layer("p", "Pooling", "data", "c", f"pooling_param {{ {param} }}")


FAILURES = [
    (DATA + input_layer("c", 1, 1, 50, 50) + CROP, "nothing that both bottoms are made of"),
    (DATA + pool("kernel_size: 2 stride: 2") + CROP, "2 times the places"),
    (DATA + conv("c", "data", "c", "kernel_size: 2 pad: 3") + CROP, "align at 5/2, between two places"),
    (DATA + conv("c", "data", "c", "kernel_size: 3") + CROP, "align at -1, outside"),
    (DATA + pool("global_pooling: true") + CROP, "nothing that both"),
    (DATA + layer("i", "Interp", "data", "c", "interp_param { zoom_factor: 2 }") + CROP, "nothing that both"),
    (DATA + layer("r", "Reshape", "data", "c") + CROP, "nothing that both"),
    (DATA + layer("k", "Concat", "data data", "c", "concat_param { axis: 2 }") + CROP, "nothing that both"),
    (DATA + conv("a", "data", "a", "pad: 3 kernel_size: 3") + conv("b", "data", "b", "pad: 1 kernel_size: 1")
     + layer("e", "Eltwise", "a b", "c") + CROP, "depends on the way"),
    (DATA + conv("c", "data", "c", "stride: 0 kernel_size: 3") + CROP, "nothing that both"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), FAILURES)
def test_where_no_offset_can_be_worked_out_it_is_refused(text: str, reason: str) -> None:
    assert reason in refused(text) and "layer 'crop'" in refused(text)
    # stock Caffe's reading is the only one then
    assert net_from_text(text, "net").notes == []


def test_all_refusals_come_at_once() -> None:
    text = DATA + input_layer("c", 1, 1, 50, 50) + CROP + layer("more", "Crop", "c data", "more")
    with pytest.raises(Unsupported) as caught:
        net_from_text(text, "net", ALIGNED)
    assert len(caught.value.details) == 2


def test_the_note_is_there_only_where_the_readings_differ() -> None:
    (note,) = net_from_text(FORK, "net").notes
    assert "align at 9 ('crop', line 3)" in note and "--crop aligned" in note
    for more in ("crop_param { offset: 9 }", "crop_param { offset: 0 }"):
        assert net_from_text(FORK.replace('top: "out"', f'top: "out" {more}'), "net").notes == []


def test_caffe_is_given_the_offsets() -> None:
    net = net_from_text(FORK, "net", ALIGNED)
    again = net_from_text(net.run_text, "again")
    assert again.notes == [] and not net_from_text(FORK, "net").run_text
    assert again.layers[-1].fields.message("crop_param").texts("offset") == ["9"]


@torch.no_grad()
@pytest.mark.parametrize("how", ["stock", "aligned"])
def test_the_module_crops_there(how: str, tmp_path: Path) -> None:
    weight = np.zeros((4, 1, 3, 3), np.float32)
    weight[:, :, 1, 1] = 1
    write_pair(tmp_path, FORK, [("c", "Convolution", [weight, np.zeros(4, np.float32)])])
    manifest = converted(tmp_path, ReadingOptions(crop=how))
    assert manifest.get("reading") == ({"crop": "aligned"} if how == "aligned" else None)
    assert (
        any("align" in note for note in manifest["changes"])
        and manifest["module"]["name"] == GENERATED
    )
    module = module_from_source((tmp_path / "artifacts/net/model.py").read_text())
    module.load_state_dict({"c.weight": torch.from_numpy(weight), "c.bias": torch.zeros(4)})
    x = torch.from_numpy(random(1, 1, 40, 40))
    # the middle of the kernel: what is aligned is the picture itself
    assert torch.equal(module(x)[:, :1], x) is (how == "aligned")


def test_a_net_without_crops_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop, "_Graph", None)
    found: Net = net_from_text(DATA + conv("c", "data", "c"), "net", ALIGNED)
    assert found.notes == []
