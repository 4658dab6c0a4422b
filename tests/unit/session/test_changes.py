"""Messages about messages: their form and bounds (protocol.md §9.5, §9.6)."""

from __future__ import annotations

from typing import Any

import pytest

from p2pchat.constants import (
    CONTENT_MAX_BYTES,
    REACTION_MAX_BYTES,
    TEXT_MAX_BYTES,
    TIMER_MAX_S,
    TIMER_MIN_S,
)
from p2pchat.errors import LocalProtocolError, ProtocolError
from p2pchat.session.changes import Delete, Edit, Reaction, ReadUpTo, Timer
from p2pchat.session.codec import encode_map
from p2pchat.session.messages import Message, Text, Unsupported, decode_message, encode_message
from p2pchat.session.vanishing import TimerStep

ID, OF = bytes(range(16)), bytes(range(16, 32))
SHORT = bytes(15)


def content(**fields: Any) -> bytes:
    return encode_map({"id": ID, "at": 5} | fields)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (Text(ID, 5, "x", OF, 60), {"t": "text", "body": "x", "re": OF, "ttl": 60}),
        (Edit(ID, 5, OF, "x"), {"t": "edit", "of": OF, "body": "x"}),
        (Delete(ID, 5, OF), {"t": "delete", "of": OF}),
        (Delete(ID, 5, ID), {"t": "delete", "of": ID}),
        (Reaction(ID, 5, OF, "👍"), {"t": "reaction", "of": OF, "emoji": "👍"}),
        (Reaction(ID, 5, OF, ""), {"t": "reaction", "of": OF, "emoji": ""}),
        (ReadUpTo(ID, 5, OF), {"t": "read", "of": OF}),
        (Timer(ID, 5, TimerStep.PROPOSE, 60), {"t": "timer", "state": "propose", "s": 60}),
        (Timer(ID, 5, TimerStep.ACCEPT, of=OF), {"t": "timer", "state": "accept", "of": OF}),
        (Timer(ID, 5, TimerStep.DECLINE, of=OF), {"t": "timer", "state": "decline", "of": OF}),
        (Timer(ID, 5, TimerStep.END), {"t": "timer", "state": "end"}),
    ],
)
def test_the_layout(message: Message, fields: dict[str, Any]) -> None:
    """R-9.5.1, R-9.6.1"""
    encoded = encode_message(message)
    assert encoded == encode_map({"t": fields["t"], "id": ID, "at": 5} | fields)
    assert decode_message(encoded) == message


@pytest.mark.parametrize(
    "message",
    [
        Reaction(ID, 5, OF, "x" * REACTION_MAX_BYTES),
        Timer(ID, 5, TimerStep.PROPOSE, TIMER_MIN_S),
        Timer(ID, 5, TimerStep.PROPOSE, TIMER_MAX_S),
        Text(ID, 5, "x", lifetime_s=TIMER_MIN_S),
        Text(ID, 5, "x", lifetime_s=TIMER_MAX_S),
    ],
    ids=["reaction", "shortest timer", "longest timer", "shortest life", "longest life"],
)
def test_the_bounds_themselves_are_allowed(message: Message) -> None:
    """R-9.5.1, R-9.6.1"""
    assert decode_message(encode_message(message)) == message


@pytest.mark.parametrize(
    "fields",
    [
        {"t": "text", "body": "x", "re": SHORT},
        {"t": "text", "body": "x", "ttl": TIMER_MIN_S - 1},
        {"t": "text", "body": "x", "ttl": TIMER_MAX_S + 1},
        {"t": "text", "body": "x", "ttl": True},
        {"t": "edit", "of": OF},
        {"t": "edit", "of": SHORT, "body": "x"},
        {"t": "edit", "of": OF, "body": ""},
        {"t": "edit", "of": OF, "body": "ü" * (TEXT_MAX_BYTES // 2 + 1)},
        {"t": "delete"},
        {"t": "delete", "of": "text"},
        {"t": "reaction", "of": OF},
        {"t": "reaction", "of": OF, "emoji": "x" * (REACTION_MAX_BYTES + 1)},
        {"t": "reaction", "of": OF, "emoji": "ü" * (REACTION_MAX_BYTES // 2 + 1)},
        {"t": "read"},
        {"t": "timer"},
        {"t": "timer", "state": "perhaps"},
        {"t": "timer", "state": "propose"},
        {"t": "timer", "state": "propose", "s": TIMER_MIN_S - 1},
        {"t": "timer", "state": "propose", "s": TIMER_MAX_S + 1},
        {"t": "timer", "state": "accept"},
        {"t": "timer", "state": "decline", "of": SHORT},
    ],
)
def test_what_breaks_a_rule_is_refused(fields: dict[str, Any]) -> None:
    """R-9.5.1, R-9.6.1"""
    with pytest.raises(ProtocolError):
        decode_message(content(**fields))


@pytest.mark.parametrize("kind", ["edit", "delete", "reaction", "read", "timer"])
def test_a_mandatory_field_of_the_future_makes_it_unknown(kind: str) -> None:
    """R-9.2.2"""
    assert decode_message(content(t=kind, **{"!new": 1})) == Unsupported(ID, 5, kind)


@pytest.mark.parametrize(
    "message",
    [
        Text(ID, 5, "x", SHORT),
        Text(ID, 5, "x", None, TIMER_MIN_S - 1),
        Edit(ID, 5, OF, ""),
        Edit(ID, 5, SHORT, "x"),
        Delete(ID, 5, SHORT),
        Reaction(ID, 5, OF, "x" * (REACTION_MAX_BYTES + 1)),
        Reaction(ID, 5, SHORT, "x"),
        ReadUpTo(SHORT, 5, OF),
        Timer(ID, 5, TimerStep.PROPOSE, 0),
        Timer(ID, 5, TimerStep.ACCEPT),
    ],
)
def test_none_of_ours_breaks_one(message: Message) -> None:
    with pytest.raises(LocalProtocolError):
        encode_message(message)


def test_the_largest_ones_fit() -> None:
    """R-9.2.1"""
    body = "x" * TEXT_MAX_BYTES
    for message in (Text(ID, 5, body, OF, TIMER_MAX_S), Edit(ID, 5, OF, body)):
        encoded = encode_message(message)
        assert len(encoded) <= CONTENT_MAX_BYTES
        assert decode_message(encoded) == message
