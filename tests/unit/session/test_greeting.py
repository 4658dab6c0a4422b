"""HELLO (protocol.md §8.3)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.constants import GREETING_MAX_BYTES, NAME_MAX_BYTES, NOTE_MAX_CHARS
from p2pchat.crypto.secret import Secret
from p2pchat.errors import LocalProtocolError, ProtocolError
from p2pchat.identity.succession import succeed
from p2pchat.sanitize import clean_line
from p2pchat.session.codec import TIME_MAX_MS, encode_map
from p2pchat.session.delivery import INDEX_MAX, SessionSummary
from p2pchat.session.greeting import Announcement, Greeting, decode_greeting, encode_greeting
from p2pchat.session.ledger import Head, LedgerSummary
from p2pchat.session.messages import KINDS
from tests.support.scripted import changes_id

SUMMARY = SessionSummary(b"i" * 16, 7, 5, b"d" * 32)
FIELDS: dict[str, Any] = {"id": b"i" * 16, "sent": 7, "received": 5, "digest": b"d" * 32}
HEADS = st.builds(Head, st.integers(0, INDEX_MAX), st.binary(min_size=32, max_size=32))


def hello(**fields: object) -> Greeting:
    return decode_greeting(encode_map({"accepted": True, **fields}))


@given(
    st.builds(
        Greeting,
        st.just(True),
        st.text(max_size=16).filter(lambda text: clean_line(text, 64) == text),
        st.text(max_size=280).filter(lambda text: clean_line(text, 280) == text),
        st.none()
        | st.builds(
            SessionSummary,
            st.binary(min_size=16, max_size=16),
            st.integers(0, INDEX_MAX),
            st.integers(0, INDEX_MAX),
            st.binary(min_size=32, max_size=32),
        ),
        st.none() | st.builds(LedgerSummary, HEADS, HEADS),
        kinds=st.frozensets(st.text(min_size=1, max_size=8), max_size=8),
    )
)
@settings(max_examples=60)
def test_what_is_encoded_decodes(greeting: Greeting) -> None:
    assert decode_greeting(encode_greeting(greeting)) == greeting


def test_a_stranger_gets_one_bit() -> None:
    """R-8.3.1: whatever we know of it, and whatever our name is."""
    for greeting in (
        Greeting(False),
        Greeting(False, "Alice", "hello", SUMMARY, announcement=Announcement(7)),
    ):
        assert encode_greeting(greeting) == encode_map({"accepted": False})


def test_the_largest_greeting_fits() -> None:
    largest = Greeting(
        True,
        "n" * NAME_MAX_BYTES,
        "\U0001f600" * NOTE_MAX_CHARS,
        SessionSummary(b"i" * 16, INDEX_MAX, INDEX_MAX, b"d" * 32),
        LedgerSummary(Head(INDEX_MAX, b"d" * 32), Head(INDEX_MAX, b"d" * 32)),
        Announcement(TIME_MAX_MS),
        KINDS,
    )
    encoded = encode_greeting(largest)
    assert len(encoded) <= GREETING_MAX_BYTES
    assert decode_greeting(encoded) == largest
    with pytest.raises(ProtocolError, match="exceeds"):
        hello(later=bytes(GREETING_MAX_BYTES))


@pytest.mark.parametrize("kinds", [[""], ["k" * 33], [1], "text", None, ["k"] * 65])
def test_kinds_out_of_bounds_are_refused(kinds: object) -> None:
    """R-8.3.6"""
    with pytest.raises(ProtocolError):
        hello(kinds=kinds)
    assert hello(kinds=["later", "text", "text"]).kinds == {"later", "text"}
    assert hello(accepted=False, kinds=["text"]).kinds == frozenset()


@pytest.mark.parametrize("name", ["n" * 65, "ä" * 33, "\ud800"])
def test_a_name_out_of_bounds_is_not_sent(name: str) -> None:
    with pytest.raises(LocalProtocolError, match="name"):
        encode_greeting(Greeting(True, name))


@pytest.mark.parametrize("note", ["n" * 281, "\udcff"])
def test_a_note_out_of_bounds_is_not_sent(note: str) -> None:
    with pytest.raises(LocalProtocolError, match="note"):
        encode_greeting(Greeting(True, "Alice", note))


def test_the_bounds_hold_for_what_comes_in() -> None:
    """R-8.3.3, R-9.1.3: a name counts in bytes, a note in characters."""
    assert hello(name="ä" * 32).name == "ä" * 32
    assert hello(note="ä" * 280).note == "ä" * 280
    for fields in ({"name": "ä" * 33}, {"name": "n" * 65}, {"note": "n" * 281}):
        with pytest.raises(ProtocolError):
            hello(**fields)


def test_a_ledger_is_told_whole_to_the_accepted_or_not_at_all() -> None:
    """R-8.6.2."""
    head = {"sent": 1, "sent_digest": b"s" * 32, "received": 2, "received_digest": b"r" * 32}
    assert hello().ledger is None
    assert hello(ledger=head).ledger == LedgerSummary(Head(1, b"s" * 32), Head(2, b"r" * 32))
    assert hello(accepted=False, ledger=head).ledger is None
    for name in head:
        with pytest.raises(ProtocolError):
            hello(ledger={key: value for key, value in head.items() if key != name})


def test_names_and_notes_come_out_harmless() -> None:
    """R-8.3.3."""
    greeting = hello(name="A\x1b[2J\u202eB\n\n C", note="\x07 one\r\ntwo\u200b\t\x9b31m ")
    for text in (greeting.name, greeting.note):
        assert text == clean_line(text, 300)
        assert text.isprintable()
    assert "\u202e" not in greeting.name
    assert greeting.name.endswith("B C")


@pytest.mark.parametrize(
    "fields",
    [
        {"accepted": 1},
        {"accepted": None},
        {"accepted": "true"},
        {"name": b"Alice"},
        {"name": None},
        {"note": 5},
        {"recovered": -1},
        {"recovered": 2**53},
        {"recovered": 1.5},
        {"recovered": True},
        {"session": []},
        {"session": {}},
        {"session": FIELDS | {"id": b"i" * 15}},
        {"session": FIELDS | {"id": "i" * 16}},
        {"session": FIELDS | {"sent": -1}},
        {"session": FIELDS | {"sent": INDEX_MAX + 1}},
        {"session": FIELDS | {"sent": True}},
        {"session": FIELDS | {"sent": 7.0}},
        {"session": FIELDS | {"received": 2**64 - 1}},
        {"session": FIELDS | {"digest": b"d" * 33}},
        {"session": FIELDS | {"!later": 1}},
        {"!later": 1},
    ],
    ids=changes_id,
)
def test_what_is_out_of_form_is_refused(fields: dict[str, Any]) -> None:
    """R-9.1.3, R-9.1.4."""
    with pytest.raises(ProtocolError):
        hello(**fields)


def test_accepted_cannot_be_left_out() -> None:
    with pytest.raises(ProtocolError):
        decode_greeting(encode_map({"name": "Alice"}))


def test_later_fields_are_ignored() -> None:
    """R-9.1.4."""
    assert hello(session=FIELDS | {"later": 1}, later=[1]) == Greeting(True, session=SUMMARY)


def test_a_session_without_acceptance_counts_for_nothing() -> None:
    assert hello(accepted=False, session=FIELDS).session is None


def test_an_announcement_counts_with_acceptance_only() -> None:
    """R-3.7.7, R-8.3.1."""
    assert hello(recovered=7).announcement == Announcement(7)
    assert hello(recovered=None).announcement == Announcement()
    assert hello(accepted=False, recovered=7).announcement == Announcement()


def test_a_succession_comes_out_as_it_went_in_if_it_holds() -> None:
    """R-3.7.8: beside a time of recovery, or alone."""
    succession = succeed(Secret(b"o" * 32), Secret(b"n" * 32), now_ms=1)
    for recovered in (7, None):
        greeting = Greeting(True, "Alice", announcement=Announcement(recovered, succession))
        assert decode_greeting(encode_greeting(greeting)) == greeting
    assert hello(succession=succession.encoded).announcement == Announcement(None, succession)
    changed = succession.encoded[:-1] + bytes([succession.encoded[-1] ^ 1])
    with pytest.raises(ProtocolError):
        hello(succession=changed)
