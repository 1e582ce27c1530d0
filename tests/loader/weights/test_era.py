"""Names of older eras, held against upgrade_proto.cpp's own; and what else a file may be."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from decant.loader.definition.schema import TYPES
from decant.loader.weights.era import V0_TYPES, V1_TYPES, looks_like


def test_numbers_of_v1_are_those_of_caffes_enum() -> None:
    """caffe.proto, V1LayerParameter.LayerType, in the order of its alphabet."""
    some = {35: "AbsVal", 1: "Accuracy", 30: "ArgMax", 4: "Convolution", 39: "Deconvolution",
            14: "InnerProduct", 17: "Pooling", 18: "ReLU", 21: "SoftmaxWithLoss", 31: "Threshold"}  # fmt: skip
    assert some.items() <= V1_TYPES.items()
    assert sorted(V1_TYPES) == list(range(1, 41))


def test_every_name_is_of_a_type_that_caffe_has_today() -> None:
    assert {*V1_TYPES.values(), *V0_TYPES.values()} <= TYPES
    assert set(V0_TYPES.values()) <= set(V1_TYPES.values())


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("net.caffemodel"))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"  <!DOCTYPE HTML><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer"),
        (gzip.compress(b"x", mtime=0), "a gzip archive (unpack it)"),
        (tar(), "a tar archive (unpack it)"),
        (b"\xef\xbb\xbfname: 'x'", "a prototxt"),
        (b"\0" * 64, "a run of zero bytes"),
        (b"\x0a\x09AlexNet", ""),
        (b"", ""),
    ],
)
def test_what_a_file_begins_like(start: bytes, said: str) -> None:
    assert looks_like(start[:512]) == said
