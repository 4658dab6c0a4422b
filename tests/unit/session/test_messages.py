"""Application messages at their bounds (protocol.md §9.2)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.constants import CONTENT_MAX_BYTES, KIND_MAX_CHARS, TEXT_MAX_BYTES
from p2pchat.errors import LocalProtocolError, ProtocolError
from p2pchat.session.codec import TIME_MAX_MS, encode_map
from p2pchat.session.messages import (
    Text,
    Unsupported,
    check_text,
    decode_message,
    encode_message,
)
from tests.support.scripted import changes_id

ID = bytes(range(16))


def content(**changes: object) -> bytes:
    fields: dict[str, Any] = {"t": "text", "id": ID, "at": 5, "body": "hello"} | changes
    return encode_map({name: value for name, value in fields.items() if value is not ...})


def test_the_layout() -> None:
    """R-9.2.1: a map of four."""
    expected = b"\x84\xa1t\xa4text\xa2id\xc4\x10" + ID + b"\xa2at\x05\xa4body\xa5hello"
    assert encode_message(Text(ID, 5, "hello")) == expected
    assert decode_message(expected) == Text(ID, 5, "hello")


@given(
    st.builds(
        Text,
        st.binary(min_size=16, max_size=16),
        st.integers(0, TIME_MAX_MS),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200),
    )
)
@settings(max_examples=60)
def test_what_is_encoded_decodes(message: Text) -> None:
    """What a person writes arrives as it was written, whatever it is (R-9.2.3 is for showing)."""
    assert decode_message(encode_message(message)) == message


@pytest.mark.parametrize("unit", ["x", "ü", "€", "\U0001f600", "\x00"])
def test_64_kib_of_utf8_and_no_byte_more(unit: str) -> None:
    """R-9.2.1, on both sides."""
    width = len(unit.encode())
    longest = unit * (TEXT_MAX_BYTES // width) + "x" * (TEXT_MAX_BYTES % width)
    assert len(longest.encode()) == TEXT_MAX_BYTES == 65536
    encoded = encode_message(Text(ID, TIME_MAX_MS, longest))
    assert len(encoded) <= CONTENT_MAX_BYTES
    assert decode_message(encoded) == Text(ID, TIME_MAX_MS, longest)
    with pytest.raises(LocalProtocolError, match="65537"):
        encode_message(Text(ID, 0, longest + "x"))
    with pytest.raises(ProtocolError):
        decode_message(content(body=longest + "x"))


@pytest.mark.parametrize("body", ["\ud800", "a\udfffb"])
def test_half_a_surrogate_pair_cannot_be_sent(body: str) -> None:
    with pytest.raises(LocalProtocolError, match="surrogate"):
        check_text(body)
    with pytest.raises(ProtocolError):
        decode_message(content(body="abc").replace(b"abc", b"\xed\xa0\x80"))


def test_an_empty_text_is_refused_on_both_sides() -> None:
    with pytest.raises(LocalProtocolError, match="not 0"):
        encode_message(Text(ID, 0, ""))
    with pytest.raises(ProtocolError):
        decode_message(content(body=""))


@pytest.mark.parametrize(
    "message",
    [
        Text(b"", 0, "x"),
        Text(bytes(15), 0, "x"),
        Text(bytes(17), 0, "x"),
        Text(ID, -1, "x"),
        Text(ID, TIME_MAX_MS + 1, "x"),
    ],
)
def test_an_id_or_a_time_out_of_bounds_cannot_be_sent(message: Text) -> None:
    with pytest.raises(LocalProtocolError, match="out of bounds"):
        encode_message(message)


@pytest.mark.parametrize(
    "changes",
    [
        {"t": ...},
        {"t": ""},
        {"t": "x" * (KIND_MAX_CHARS + 1)},
        {"t": b"text"},
        {"t": 1},
        {"id": ...},
        {"id": bytes(15)},
        {"id": bytes(17)},
        {"id": "0" * 16},
        {"at": ...},
        {"at": -1},
        {"at": TIME_MAX_MS + 1},
        {"at": 2**64 - 1},
        {"at": 1.0},
        {"at": True},
        {"at": "1"},
        {"body": ...},
        {"body": b"hello"},
        {"body": None},
    ],
    ids=changes_id,
)
def test_what_is_out_of_form_is_refused(changes: dict[str, Any]) -> None:
    """R-9.1.3."""
    with pytest.raises(ProtocolError):
        decode_message(content(**changes))


def test_a_text_that_says_more_than_we_understand_is_kept_as_such() -> None:
    """R-9.2.2: refused, it would come again at every connection, for ever."""
    assert decode_message(content(**{"!more": 1})) == Unsupported(ID, 5, "text")


def test_later_fields_are_ignored() -> None:
    """R-9.1.4."""
    assert decode_message(content(reply_to=ID)) == Text(ID, 5, "hello")


@pytest.mark.parametrize("kind", ["x", "picture", "Text", "text ", "k" * KIND_MAX_CHARS])
def test_a_later_kind_is_kept_as_such(kind: str) -> None:
    """R-9.2.2: its other fields are its own business, even a body that no text may have."""
    for changes in ({"body": ...}, {"body": 7}, {"!new": 1}):
        assert decode_message(content(t=kind, **changes)) == Unsupported(ID, 5, kind)
    with pytest.raises(LocalProtocolError, match="unknown kind"):
        encode_message(Unsupported(ID, 5, kind))


def test_a_later_kind_still_needs_id_and_time() -> None:
    """R-9.2.2: without them it can be neither stored nor acknowledged once."""
    for changes in ({"id": ...}, {"at": ...}, {"id": bytes(3)}):
        with pytest.raises(ProtocolError):
            decode_message(content(t="later", **changes))


def test_a_message_over_its_limit_is_not_parsed() -> None:
    """R-9.2.1."""
    largest = content(more=bytes(CONTENT_MAX_BYTES - len(content(more=bytes(65536))) + 65536))
    assert len(largest) == CONTENT_MAX_BYTES
    assert decode_message(largest) == Text(ID, 5, "hello")
    with pytest.raises(ProtocolError, match="exceeds"):
        decode_message(largest + b"\x00")
