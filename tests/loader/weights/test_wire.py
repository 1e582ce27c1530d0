"""The wire format: what protobuf itself has written is read field by field; the oracle is onnx's message."""

from __future__ import annotations

from typing import Any

import onnx
import pytest

from decant.loader.weights.wire import BYTES, FIXED32, FIXED64, VARINT, WireError, fields, varint


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**31, 2**63 - 1])
def test_a_number_is_the_one_that_protobuf_wrote(value: int) -> None:
    data: Any = onnx.AttributeProto(i=value).SerializeToString()
    ((number, kind, found, after),) = fields(data, 0, len(data))
    assert (number, kind, found, after) == (3, VARINT, value, len(data))


def test_each_kind_of_field_is_found() -> None:
    tensor = onnx.TensorProto(name="w", raw_data=b"abc", double_data=[2.0], data_type=11)
    data: Any = tensor.SerializeToString()
    found = {number: (kind, at, end) for number, kind, at, end in fields(data, 0, len(data))}
    assert {number: kind for number, (kind, _, _) in found.items()} == {
        2: VARINT, 8: BYTES, 9: BYTES, 10: BYTES,
    }  # fmt: skip
    assert data[found[8][1] : found[8][2]] == b"w"
    assert data[found[9][1] : found[9][2]] == b"abc"
    # f, the attribute's float: four bytes; and eight, which onnx has not
    data = onnx.AttributeProto(f=1.5).SerializeToString()
    assert [kind for _, kind, _, _ in fields(data, 0, len(data))] == [FIXED32]
    data = bytes([1 << 3 | FIXED64]) + bytes(8)
    assert [after for *_, after in fields(data, 0, len(data))] == [9]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x08", "ends inside a number"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "more than 64 bits"),
        (b"\x0a\x05ab", "5 bytes announced, 2 are there"),
        (b"\x0d\x00\x00", "ends inside a number"),
        (b"\x00\x00", "field number 0"),
        (b"\x0b", "wire type 3"),
    ],
)
def test_what_is_no_message_is_refused(data: Any, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        list(fields(data, 0, len(data)))


def test_a_number_ends_where_its_message_does() -> None:
    data: Any = b"\xac\x02"
    assert varint(data, 0, 2) == (300, 2)
    with pytest.raises(WireError):
        varint(data, 0, 1)
