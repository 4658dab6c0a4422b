"""What the node announces, as interface.md words it."""

from dataclasses import replace

from p2pchat.identity.on_record import OnRecord
from p2pchat.identity.trust import Trust
from p2pchat.node.subscription import EVENTS_MAX, Hub
from p2pchat.node.views import (
    ComparisonAsked,
    ComparisonEnded,
    ContactChanged,
    ContactRequested,
    ContactTyping,
    ContactView,
    KeyNews,
    KeyNewsKind,
    MessageArrived,
    MessageChanged,
    MessageRemoved,
    MessageStateChanged,
    MessageView,
    SessionRestarted,
)
from p2pchat.rpc.notifications import Notifications, to_notification
from p2pchat.session.comparison import Outcome
from p2pchat.store.records import DeliveryState, Direction

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


def test_every_event_has_its_notification() -> None:
    assert to_notification(ComparisonAsked("bob")) == (
        "contact.compare_asked",
        {"contact": "bob"},
    )
    assert to_notification(ComparisonEnded("bob", Outcome.DIFFERED, 2)) == (
        "contact.compared",
        {"contact": "bob", "outcome": "differed", "tries_left": 2},
    )
    assert to_notification(MessageArrived(MESSAGE)) == (
        "message.received",
        {"contact": "bob", "message_id": "0" * 32, "text": "text", "sent_at_ms": 5},
    )
    reply = replace(MESSAGE, reply_to="1" * 32, quote="asked", lifetime_s=60)
    assert to_notification(MessageArrived(reply))[1] == {
        "contact": "bob",
        "message_id": "0" * 32,
        "text": "text",
        "sent_at_ms": 5,
        "reply_to": "1" * 32,
        "quote": "asked",
        "lifetime_s": 60,
    }
    method, params = to_notification(MessageChanged(MESSAGE))
    assert (method, params["text"], params["removed"]) == ("message.changed", "text", False)
    assert to_notification(MessageRemoved("bob", "1")) == (
        "message.changed",
        {"contact": "bob", "message_id": "1", "removed": True},
    )
    assert to_notification(MessageStateChanged("bob", "1", DeliveryState.FAILED, "why")) == (
        "message.state",
        {"contact": "bob", "message_id": "1", "state": "failed"},
    )
    assert to_notification(ContactChanged(CONTACT)) == (
        "contact.state",
        {"contact": "bob", "online": True, "trust": "request", "pq": False},
    )
    assert to_notification(ContactTyping("bob", True)) == (
        "contact.typing",
        {"contact": "bob", "writing": True},
    )
    assert to_notification(ContactRequested(CONTACT)) == (
        "contact.request",
        {"contact": "bob", "name": "bob", "peer_id": "id", "note": "hello"},
    )
    assert to_notification(SessionRestarted("bob", "restored")) == (
        "session.restarted",
        {"contact": "bob", "cause": "restored"},
    )
    assert to_notification(KeyNews("bob", KeyNewsKind.REVOKED, 7)) == (
        "contact.key",
        {"contact": "bob", "news": "revoked", "at_ms": 7},
    )


async def test_lost_events_are_told_before_what_follows() -> None:
    hub = Hub()
    stream = Notifications(hub.subscribe())
    for number in range(EVENTS_MAX + 3):
        hub.publish(SessionRestarted("bob", str(number)))
    assert await anext(stream) == ("notifications.lost", {"count": 3})
    assert await anext(stream) == ("session.restarted", {"contact": "bob", "cause": "3"})
    assert await anext(stream) == ("session.restarted", {"contact": "bob", "cause": "4"})
    stream.close()
