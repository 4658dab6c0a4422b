"""msgpack within its bounds (protocol.md §9.1)."""

from __future__ import annotations

import tracemalloc
from typing import Annotated, Any

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.constants import MSGPACK_MAX_DEPTH
from p2pchat.errors import ProtocolError
from p2pchat.session.codec import (
    ARRAY_MAX_ITEMS,
    MAP_MAX_ENTRIES,
    convert,
    decode_map,
    encode_map,
)


class _Inner(msgspec.Struct, frozen=True):
    size: int


class _Form(msgspec.Struct, frozen=True):
    number: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0
    text: str = ""
    raw: bytes = b""
    flag: bool = False
    inner: _Inner | None = None


def decode(data: bytes, max_bytes: int = 4096) -> dict[str, Any]:
    return decode_map(data, max_bytes=max_bytes)


def entry(value: bytes) -> bytes:
    """A map whose one key, "k", has ``value``."""
    return b"\x81\xa1k" + value


LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary()
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
@settings(max_examples=100)
def test_what_is_encoded_decodes(fields: dict[str, Any]) -> None:
    assert decode(encode_map(fields), 1 << 20) == fields


@pytest.mark.parametrize(
    "data",
    {
        "nothing": b"",
        "no map": b"\xa1a",
        "an array": b"\x90",
        "nil": b"\xc0",
        "a reserved byte": b"\xc1",
        "cut short": b"\x81\xa1k",
        "a second object": b"\x80\x80",
        "a byte after": entry(b"\x01") + b"\x00",
        "key twice": b"\x82\xa1k\x01\xa1k\x01",
        "key twice in another size": b"\x82\xa1k\x01\xd9\x01k\x01",
        "key twice, deeper": entry(b"\x82\xa1a\x01\xa1a\x01"),
        "int key": b"\x81\x01\x01",
        "bin key": b"\x81\xc4\x01k\x01",
        "nil key": b"\x81\xc0\x01",
        "bool key": b"\x81\xc3\x01",
        "float key": b"\x81\xca\x00\x00\x00\x00\x01",
        "array key": b"\x81\x90\x01",
        "int key, deeper": entry(b"\x81\x01\x01"),
        "text not utf-8": entry(b"\xa1\xff"),
        "key not utf-8": b"\x81\xa1\xff\x01",
        "a surrogate": entry(b"\xa3\xed\xa0\x80"),
        "overlong utf-8": entry(b"\xa2\xc0\xaf"),
        "fixext1": entry(b"\xd4\x05\x00"),
        "fixext16": entry(b"\xd8\x05" + bytes(16)),
        "empty ext8": entry(b"\xc7\x00\x05"),
        "ext8": entry(b"\xc7\x01\x05\x00"),
        "ext16": entry(b"\xc8\x00\x01\x05\x00"),
        "ext32": entry(b"\xc9\x00\x00\x00\x01\x05\x00"),
        "timestamp 32": entry(b"\xd6\xff" + bytes(4)),
        "timestamp 64": entry(b"\xd7\xff" + bytes(8)),
        "timestamp 96": entry(b"\xc7\x0c\xff" + bytes(12)),
        "empty timestamp": entry(b"\xc7\x00\xff"),
        "ext in an array": entry(b"\x91\xc7\x00\x05"),
        "ext in a map": entry(b"\x81\xa1a\xc7\x00\x05"),
    }.items(),
    ids=lambda item: item[0],
)
def test_what_is_not_a_plain_map(data: tuple[str, bytes]) -> None:
    """R-9.1.1."""
    with pytest.raises(ProtocolError):
        decode(data[1])


def nested(depth: int, array: bool) -> bytes:
    """A map with containers down to ``depth``, itself the first."""
    return entry(
        (b"\x91" if array else b"\x81\xa1k") * (depth - 2) + (b"\x90" if array else b"\x80")
    )


@pytest.mark.parametrize("array", [False, True])
def test_eight_levels_and_no_more(array: bool) -> None:
    """R-9.1.1."""
    assert MSGPACK_MAX_DEPTH == 8
    assert decode(nested(8, array))
    with pytest.raises(ProtocolError, match="deeper"):
        decode(nested(9, array))


@pytest.mark.parametrize("depth", [500, 1023, 1024, 1025, 4000])
def test_no_nesting_exhausts_the_stack(depth: int) -> None:
    """R-9.1.1."""
    with pytest.raises(ProtocolError):
        decode(nested(depth, array=True), 1 << 16)


def test_lengths_at_their_bounds() -> None:
    """R-9.1.2."""
    assert decode(encode_map({str(key): 0 for key in range(MAP_MAX_ENTRIES)}))
    assert decode(encode_map({"k": [0] * ARRAY_MAX_ITEMS}))
    for fields in (
        {str(key): 0 for key in range(MAP_MAX_ENTRIES + 1)},
        {"k": {str(key): 0 for key in range(MAP_MAX_ENTRIES + 1)}},
        {"k": [0] * (ARRAY_MAX_ITEMS + 1)},
    ):
        with pytest.raises(ProtocolError):
            decode(encode_map(fields))
    whole = encode_map({"k": "x" * 100})
    assert decode(whole, len(whole))
    with pytest.raises(ProtocolError, match="exceeds"):
        decode(whole, len(whole) - 1)


@pytest.mark.parametrize(
    "head",
    [
        b"\xdf\xff\xff\xff\xff",
        entry(b"\xdf\xff\xff\xff\xff"),
        entry(b"\xdd\xff\xff\xff\xff"),
        entry(b"\xdb\xff\xff\xff\xff"),
        entry(b"\xc6\xff\xff\xff\xff"),
        entry(b"\xc9\xff\xff\xff\xff\x05"),
        b"\x81\xdb\xff\xff\xff\xff",
    ],
    ids=bytes.hex,
)
def test_a_length_is_not_believed(head: bytes) -> None:
    """R-9.1.2: four gigabytes that are only claimed cost nothing."""
    data = head + bytes(1000)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            decode(data, 1 << 17)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", True),
        ("number", 1.0),
        ("number", "1"),
        ("number", b"1"),
        ("number", None),
        ("number", -1),
        ("number", 10),
        ("number", float("nan")),
        ("text", 1),
        ("text", b"x"),
        ("text", None),
        ("raw", "eA=="),
        ("raw", [1]),
        ("flag", 1),
        ("flag", 0),
        ("flag", "true"),
        ("flag", None),
        ("inner", []),
        ("inner", {}),
        ("inner", {"size": True}),
    ],
)
def test_no_type_passes_for_another(field: str, value: object) -> None:
    """R-9.1.3."""
    with pytest.raises(ProtocolError, match="does not fit"):
        convert(decode(encode_map({field: value})), _Form)


def test_a_missing_field_is_refused() -> None:
    """R-9.1.3."""
    with pytest.raises(ProtocolError, match="does not fit"):
        convert({}, _Inner)


def test_unknown_fields_are_ignored() -> None:
    """R-9.1.4."""
    fields = {
        "number": 3,
        "later": [1.5, {"x": None}],
        "": 1,
        "n!": 2,
        "inner": {"size": 1, "y": 2},
    }
    assert convert(fields, _Form) == _Form(number=3, inner=_Inner(1))


@pytest.mark.parametrize(
    "fields",
    [
        {"!": 1},
        {"!later": None},
        {"number": 1, "!number": 1},
        {"inner": {"size": 1, "!later": 1}},
    ],
)
def test_an_unknown_mandatory_field_refuses_the_map(fields: dict[str, Any]) -> None:
    """R-9.1.4, in an inner map too."""
    with pytest.raises(ProtocolError, match="mandatory"):
        convert(fields, _Form)


def test_a_mandatory_mark_inside_what_is_ignored_is_ignored() -> None:
    """R-9.1.4: an optional unknown map is not read at all."""
    assert convert({"later": {"!inside": 1}}, _Form) == _Form()


def test_encoding_keeps_bytes_and_text_apart() -> None:
    assert encode_map({"a": b"x", "b": "x"}) == b"\x82\xa1a\xc4\x01x\xa1b\xa1x"
    assert msgpack.unpackb(encode_map({"a": b"x"})) == {"a": b"x"}
