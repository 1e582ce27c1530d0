"""The host's own look at the weights: names, types and every bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from decant.dumper import dumpfile
from decant.engines.crosscheck import check_names, crosscheck, same_bits
from decant.loader.errors import BadInput, IntegrityError
from decant.loader.weights import caffemodel
from tests.helpers import encode_caffemodel as encode

RANDOM = np.random.default_rng(5)
WEIGHT, BIAS = RANDOM.random((3, 8), np.float32), RANDOM.random(3, np.float32)
FC = ("fc", "InnerProduct", [WEIGHT, BIAS])


def model(folder: Path, content: bytes) -> caffemodel.Caffemodel:
    (folder / "net.caffemodel").write_bytes(content)
    return caffemodel.read(folder / "net.caffemodel")


def dumped(*params: np.ndarray, name: str = "fc", kind: str = "InnerProduct") -> dumpfile.Dump:
    layer = dumpfile.Layer(name, kind, ["data"], ["fc"], list(params), [None] * len(params))
    return dumpfile.Dump("n", "", "", "caffe", "1.0.0", False, "", layers=[layer])


def test_bits_are_compared_not_values() -> None:
    zero, negative = np.float32([0.0]), np.float32([-0.0])
    assert zero == negative
    assert not same_bits(zero, negative)
    quiet = np.uint32([0x7FC00000]).view(np.float32)
    other = np.uint32([0x7FC00001]).view(np.float32)
    assert same_bits(quiet, quiet)
    assert not same_bits(quiet, other)


def test_shapes_stand_aside_but_counts_do_not() -> None:
    assert same_bits(WEIGHT, WEIGHT.reshape(1, 1, 3, 8))
    assert not same_bits(WEIGHT, WEIGHT.reshape(-1)[:-1])


def test_a_difference_in_the_last_value_of_a_large_array_is_found() -> None:
    one = np.zeros((1 << 20) + 3, np.float32)
    other = one.copy()
    other[-1] = 1e-45
    assert same_bits(one, one.copy())
    assert not same_bits(one, other)


@pytest.mark.parametrize("era", ["current", "v1", "v0"])
def test_every_era_agrees_with_the_dump(era: str, tmp_path: Path) -> None:
    crosscheck(dumped(WEIGHT, BIAS), model(tmp_path, encode.net(era, [FC])), ())


def test_one_flipped_bit_is_named_with_its_layer_and_blob(tmp_path: Path) -> None:
    flipped = BIAS.copy()
    flipped.view(np.uint32)[1] ^= 1
    with pytest.raises(IntegrityError, match="'fc', blob 1"):
        crosscheck(dumped(WEIGHT, flipped), model(tmp_path, encode.net("current", [FC])), ())


def test_a_blob_that_the_file_lacks_is_an_integrity_error(tmp_path: Path) -> None:
    short = encode.net("current", [("fc", "InnerProduct", [WEIGHT])])
    with pytest.raises(IntegrityError, match="blob 1: not in the caffemodel"):
        crosscheck(dumped(WEIGHT, BIAS), model(tmp_path, short), ())


def test_an_unused_layer_is_refused_with_its_nearest_name(tmp_path: Path) -> None:
    found = model(tmp_path, encode.net("current", [FC, ("fcx", *FC[1:])]))
    with pytest.raises(BadInput, match="is it 'fc'"):
        crosscheck(dumped(WEIGHT, BIAS), found, ())
    crosscheck(dumped(WEIGHT, BIAS), found, ("fcx",))
    crosscheck(dumped(WEIGHT, BIAS), found, ("fc?",))


def test_a_pattern_does_not_reach_beyond_its_names(tmp_path: Path) -> None:
    found = model(tmp_path, encode.net("current", [FC, ("loss1/fc", *FC[1:])]))
    assert not check_names(found, ["fc"], ("loss1/*",))
    assert len(check_names(found, ["fc"], ("loss2/*", "Loss1/*", "loss1"))) == 1


def test_the_recorded_type_is_not_looked_at_as_in_caffe(tmp_path: Path) -> None:
    found = model(tmp_path, encode.net("current", [("fc", "Convolution", FC[2])]))
    crosscheck(dumped(WEIGHT, BIAS), found, ())


def test_what_fillers_are_to_make_is_compared_too(tmp_path: Path) -> None:
    other = encode.net("current", [("other", *FC[1:])])
    filled = {"fc": [WEIGHT, BIAS]}
    crosscheck(dumped(WEIGHT, BIAS), model(tmp_path, other), ("other",), (), filled)
    with pytest.raises(IntegrityError, match="'fc', blob 1: other bits than its filler"):
        crosscheck(dumped(WEIGHT, BIAS + 1), model(tmp_path, other), ("other",), (), filled)


def test_a_borrowed_blob_is_its_owners_business(tmp_path: Path) -> None:
    dump = dumped(WEIGHT, BIAS)
    dump.layers.append(
        dumpfile.Layer("twin", "InnerProduct", ["data"], ["t"], [WEIGHT, BIAS], [(0, 0), (0, 1)])
    )
    both = encode.net("current", [FC, ("twin", *FC[1:])])
    crosscheck(dump, model(tmp_path, both), ())


def test_two_different_copies_of_a_shared_blob_are_refused(tmp_path: Path) -> None:
    """The last one in the file wins in Caffe; here it is the owner's, and the other is lost."""
    dump = dumped(WEIGHT, BIAS)
    dump.layers.append(
        dumpfile.Layer("twin", "InnerProduct", ["data"], ["t"], [WEIGHT, BIAS], [(0, 0), (0, 1)])
    )
    both = encode.net("current", [("twin", "InnerProduct", [WEIGHT + 1, BIAS]), FC])
    with pytest.raises((BadInput, IntegrityError)):
        crosscheck(dump, model(tmp_path, both), ())
