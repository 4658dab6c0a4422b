"""What the node announces, as interface.md words it."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from p2pchat.identity.on_record import OnRecord
from p2pchat.identity.trust import Trust
from p2pchat.node.events import (
    AuditWarned,
    ComparisonAsked,
    ComparisonEnded,
    ContactChanged,
    ContactRemoved,
    ContactRequested,
    ContactTyping,
    HistoryCut,
    IdentityRevoked,
    KeyNews,
    KeyNewsKind,
    LedgersDiffered,
    MessageArrived,
    MessageChanged,
    MessageQueued,
    MessageRemoved,
    MessageStateChanged,
    NodeEvent,
    SessionRestarted,
)
from p2pchat.node.subscription import EVENTS_MAX, TEXT_MAX_CHARS, Hub
from p2pchat.node.views import ContactView, LedgerView, MessageView
from p2pchat.rpc.notifications import Notifications, to_notification
from p2pchat.session.comparison import Outcome
from p2pchat.store.records import DeliveryState, Direction, MessageKind
from p2pchat.tui.wire import notified

CONTACT = ContactView(
    contact="bob",
    name="bob",
    peer_id="id",
    trust=Trust.REQUEST,
    online=True,
    post_quantum=False,
    unread=2,
    note="hello",
    addresses=("h:1",),
    offline_reason="",
    offered_peer_id=None,
    verified_at_ms=None,
    verified_by=None,
    compare_asked=False,
    verify_first=False,
    on_record=OnRecord.OFF,
)
MESSAGE = MessageView("bob", "0" * 32, Direction.IN, "text", 5, DeliveryState.DELIVERED, "")


REPLY = replace(
    MESSAGE, reply_to="1" * 32, quote="asked", lifetime_s=60, kind=MessageKind.STATEMENT
)
RECEIVED = {"contact": "bob", "message_id": "0" * 32, "text": "text", "sent_at_ms": 5}
WHOLE = {
    **RECEIVED,
    "direction": "in",
    "state": "delivered",
    "reason": "",
    "kind": "text",
    "reply_to": None,
    "quote": "",
    "edited_at_ms": None,
    "deleted": False,
    "reactions": [],
    "lifetime_s": None,
    "expires_at_ms": None,
    "unsent_until_ms": None,
}
LEDGER = LedgerView("bob", 1, 2, 3, ("2" * 32,), forked=True, at_ms=8)

EXAMPLES: list[tuple[NodeEvent, str, dict[str, Any]]] = [
    (MessageArrived(MESSAGE), "message.received", RECEIVED),
    (
        MessageArrived(REPLY),
        "message.received",
        {
            **RECEIVED,
            "kind": "statement",
            "reply_to": "1" * 32,
            "quote": "asked",
            "lifetime_s": 60,
        },
    ),
    (
        MessageQueued(replace(MESSAGE, direction=Direction.OUT, state=DeliveryState.QUEUED)),
        "message.queued",
        {**WHOLE, "direction": "out", "state": "queued"},
    ),
    (
        MessageChanged(replace(MESSAGE, reactions=((Direction.OUT, "+"),))),
        "message.changed",
        {**WHOLE, "removed": False, "reactions": [{"direction": "out", "emoji": "+"}]},
    ),
    (
        MessageRemoved("bob", "1"),
        "message.changed",
        {"contact": "bob", "message_id": "1", "removed": True},
    ),
    (
        MessageStateChanged("bob", "1", DeliveryState.SENT, ""),
        "message.state",
        {"contact": "bob", "message_id": "1", "state": "sent"},
    ),
    (
        MessageStateChanged("bob", "1", DeliveryState.FAILED, "why"),
        "message.state",
        {"contact": "bob", "message_id": "1", "state": "failed", "reason": "why"},
    ),
    (
        ContactChanged(CONTACT),
        "contact.state",
        {"contact": "bob", "online": True, "trust": "request", "pq": False},
    ),
    (ContactRemoved("bob"), "contact.removed", {"contact": "bob"}),
    (ContactTyping("bob", True), "contact.typing", {"contact": "bob", "writing": True}),
    (
        ContactRequested(CONTACT),
        "contact.request",
        {"contact": "bob", "name": "bob", "peer_id": "id", "note": "hello"},
    ),
    (
        SessionRestarted("bob", "restored"),
        "session.restarted",
        {"contact": "bob", "cause": "restored"},
    ),
    (
        LedgersDiffered(LEDGER),
        "ledger.differed",
        {
            "contact": "bob",
            "lost_here": 1,
            "sent_elsewhere": 2,
            "lost_there": 3,
            "lost_there_ids": ["2" * 32],
            "forked": True,
            "at_ms": 8,
        },
    ),
    (
        KeyNews("bob", KeyNewsKind.REVOKED, 7),
        "contact.key",
        {"contact": "bob", "news": "revoked", "at_ms": 7},
    ),
    (IdentityRevoked(7), "identity.revoked", {"revoked_at_ms": 7}),
    (HistoryCut("bob", 3), "history.cut", {"contact": "bob", "count": 3}),
    (
        AuditWarned("many_failed_unlocks", 9, 7),
        "audit.warning",
        {"pattern": "many_failed_unlocks", "count": 9, "at_ms": 7},
    ),
    (ComparisonAsked("bob"), "contact.compare_asked", {"contact": "bob"}),
    (
        ComparisonEnded("bob", Outcome.DIFFERED, 2),
        "contact.compared",
        {"contact": "bob", "outcome": "differed", "tries_left": 2},
    ),
]


@pytest.mark.parametrize(("event", "method", "params"), EXAMPLES)
def test_an_event_has_its_notification(
    event: NodeEvent, method: str, params: dict[str, Any]
) -> None:
    assert to_notification(event) == (method, params)
    assert notified(method, params, 0) is not None, "the app does not know it"


def test_no_event_is_without_an_example() -> None:
    assert {type(event) for event, _, _ in EXAMPLES} == set(get_args(NodeEvent))


def test_texts_that_wait_are_bounded_whatever_brings_them() -> None:
    for event in (MessageArrived, MessageQueued, MessageChanged):
        subscription = Hub().subscribe()
        for _ in range(3):
            subscription.put(event(replace(MESSAGE, text="x" * (TEXT_MAX_CHARS // 2))))
        assert (subscription.pending, subscription.lost) == (2, 1)


async def test_lost_events_are_told_before_what_follows() -> None:
    hub = Hub()
    stream = Notifications(hub.subscribe())
    for number in range(EVENTS_MAX + 3):
        hub.publish(SessionRestarted("bob", str(number)))
    assert await anext(stream) == ("notifications.lost", {"count": 3})
    assert await anext(stream) == ("session.restarted", {"contact": "bob", "cause": "3"})
    assert await anext(stream) == ("session.restarted", {"contact": "bob", "cause": "4"})
    stream.close()
