"""Answers and notifications become actions; what is foreign is cleaned, what is strange refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pchat.identity.trust import Trust
from p2pchat.tui.actions import answer, news
from p2pchat.tui.conversation import Delivery, Message
from p2pchat.tui.effects import Call
from p2pchat.tui.panel_state import Hit
from p2pchat.tui.wire import answered, notified

NOW = 1_795_435_200_000
EVIL = "a\x1b]52;c;x\x07\u202e"
CLEAN = "a␛]52;c;x␇\ufffd"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
METHODS = [
    "identity.show",
    "node.status",
    "contact.list",
    "contact.add",
    "contact.accept",
    "contact.retry",
    "contact.safety_number",
    "contact.verify",
    "message.send",
    "message.resend",
    "message.list",
    "message.mark_read",
    "message.search",
    "audit.warnings",
    "no.such",
]
NEWS = [
    "message.received",
    "message.state",
    "contact.state",
    "contact.request",
    "session.restarted",
    "ledger.differed",
    "contact.key",
    "audit.warning",
]


def contact(**more: Any) -> dict[str, Any]:
    return {
        "contact": "Bob\x1b",
        "name": EVIL,
        "peer_id": "abcdefghijkl",
        "trust": "request",
        "online": False,
        "pq": True,
        "unread": -1,
        "note": EVIL * 100,
        "addresses": [],
        "offline_reason": EVIL,
        "offered_peer_id": None,
        "verified_at_ms": None,
    } | more


def test_a_contact_is_cleaned_but_its_handle_is_kept() -> None:
    action = answered(Call("contact.list"), [contact(), contact(name="\u200b")])
    assert isinstance(action, answer.ContactsListed)
    first, nameless = action.contacts
    assert (first.handle, first.name, first.trust) == ("Bob\x1b", CLEAN, Trust.REQUEST)
    assert (first.offline_reason, first.unread, first.offered_peer_id) == (CLEAN, 0, "")
    assert first.note.endswith("…")
    assert len(first.note) == 280
    assert nameless.name == "abcdefgh"


def test_messages_are_cleaned() -> None:
    entry = {
        "message_id": "1",
        "direction": "out",
        "text": EVIL + "\nsecond",
        "sent_at_ms": NOW,
        "state": "failed",
        "reason": EVIL,
    }
    call = Call("message.list", (("contact", "Bob"), ("before", "9")), "Bob")
    expected = Message("1", True, CLEAN + "\nsecond", NOW, Delivery.FAILED, CLEAN)
    assert answered(call, [entry]) == answer.HistoryLoaded("Bob", "9", (expected,))
    search = Call("message.list", (("contact", "Bob"), ("search", "x")), "Bob")
    assert answered(search, [entry]) == answer.SearchDone("Bob", "x", (Hit("Bob", expected),))
    everywhere = Call("message.search", (("words", "x"), ("limit", 50)))
    assert answered(everywhere, [{**entry, "contact": "Ann\x1b"}]) == answer.SearchDone(
        "", "x", (Hit("Ann\x1b", expected),)
    )
    newer = Call("message.list", (("contact", "Bob"), ("after", "9")), "Bob")
    assert answered(newer, [entry]) == answer.NewerLoaded("Bob", "9", (expected,))


def test_notifications() -> None:
    received = {"contact": "Bob", "message_id": "1", "text": EVIL, "sent_at_ms": NOW}
    assert notified("message.received", received, NOW) == news.MessageArrived(
        "Bob", Message("1", False, CLEAN, NOW, Delivery.DELIVERED)
    )
    moved = {"contact": "Bob", "message_id": "1", "state": "sent"}
    assert notified("message.state", moved, NOW) == news.MessageMoved("Bob", "1", Delivery.SENT)
    seen = {"contact": "Bob", "online": True, "trust": "verified", "pq": False}
    assert notified("contact.state", seen, NOW) == news.ContactMoved(
        "Bob", True, Trust.VERIFIED, False
    )
    request = {"contact": "x", "name": EVIL, "peer_id": "y", "note": "z"}
    assert notified("contact.request", request, NOW) == news.RequestArrived(CLEAN)
    restarted = {"contact": "Bob", "cause": EVIL}
    assert notified("session.restarted", restarted, NOW) == news.SessionRenewed("Bob", CLEAN, NOW)
    differed = {"contact": "Bob", "lost_here": 1, "sent_elsewhere": 2, "lost_there": 0}
    action = notified("ledger.differed", {**differed, "forked": False}, NOW)
    assert isinstance(action, news.Announced)
    assert action.handle == "Bob"
    assert "missing here, though delivered before: 1" in action.text
    assert "sent in your name and not known here: 2" in action.text
    assert "another past" not in action.text
    key = {"contact": "Bob", "news": "revoked", "at_ms": 7}
    assert notified("contact.key", key, NOW) == news.KeyTold("Bob", "revoked", 7, NOW)
    assert notified("of.a.later.version", {}, NOW) is None


@given(st.sampled_from(METHODS), JSON)
def test_any_answer_is_an_action(method: str, result: object) -> None:
    assert answered(Call(method), result) is not None


@given(st.sampled_from(NEWS), st.dictionaries(st.text(), JSON, max_size=4))
def test_any_notification_is_an_action_or_nothing(method: str, params: dict[str, Any]) -> None:
    notified(method, params, NOW)


@pytest.mark.parametrize("number", ["", "12345 x", "１２３４５", "\x1b[2J"])
def test_a_safety_number_is_digits_or_nothing(number: str) -> None:
    action = answered(Call("contact.safety_number", (), "Bob"), {"number": number})
    assert action == answer.NumberShown("Bob", "") or isinstance(action, answer.CallFailed)
