"""Protobuf messages read and written field by field: ONNX files need no package of their own to be looked into."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

# Fields of ONNX's ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, ValueInfoProto: onnx.proto3.
GRAPH = 7
NODE, INITIALIZER, INPUT, OUTPUT = 1, 5, 11, 12
N_INPUT, N_OUTPUT, N_NAME, N_KIND, N_ATTRIBUTE = 1, 2, 3, 4, 5
A_NAME, A_INT, A_TENSOR = 1, 3, 5
T_DIMS, T_TYPE, T_NAME, T_EXTERNAL = 1, 2, 8, 13
V_NAME = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types: protobuf.dev/programming-guides/encoding


class Field(NamedTuple):
    """One field of a message.

    number   as the message's definition has it
    whole    all its bytes, key included
    content  its bytes, where it is a text, bytes, a message or packed numbers
    value    its number, where it is a varint
    """

    number: int
    whole: memoryview
    content: memoryview | None
    value: int | None = None


def read_fields(data: memoryview | None) -> Iterator[Field]:
    """The fields of one message, in order; none of None. Raises ValueError or IndexError when malformed."""
    data, at = data or memoryview(b""), 0
    while at < len(data):
        start = at
        key, at = read_varint(data, at)
        number, kind = key >> 3, key & 7
        content, value = None, None
        if number == 0:
            raise ValueError("field number 0")
        if kind == _VARINT:
            value, at = read_varint(data, at)
        elif kind == _BYTES:
            length, at = read_varint(data, at)
            content = data[at : at + length]
            at += length
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at > len(data):
            raise ValueError("a field ends past the end")
        yield Field(number, data[start:at], content, value)


def text_of(field: Field | None) -> str:
    """A text; "" where there is none. Raises UnicodeDecodeError."""
    return bytes(field.content).decode() if field and field.content else ""


def name_of(port: Field) -> str:
    """Of an input or output of ONNX: a ValueInfoProto."""
    return next((text_of(f) for f in read_fields(port.content) if f.number == V_NAME), "")


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of variable length at `at`, and where it ends. Raises ValueError or IndexError when malformed."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise ValueError("a number of over 10 bytes")


def write_field(number: int, content: bytes) -> bytes:
    """A field that holds bytes, a text or a message."""
    return _as_varint(number << 3 | _BYTES) + _as_varint(len(content)) + content


def _as_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
