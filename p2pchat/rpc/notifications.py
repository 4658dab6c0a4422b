"""What the node announces, as JSON-RPC notifications (interface.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

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
    LedgersDiffered,
    MessageArrived,
    MessageChanged,
    MessageQueued,
    MessageRemoved,
    MessageStateChanged,
    NodeEvent,
    SessionRestarted,
)
from p2pchat.rpc import shapes
from p2pchat.store.records import MessageKind

if TYPE_CHECKING:
    from p2pchat.node.node import Subscription


class Notifications:
    """The node's events as JSON-RPC notifications: an asynchronous iterator to be closed."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._held_back: tuple[str, dict[str, Any]] | None = None

    def __aiter__(self) -> Notifications:
        return self

    async def __anext__(self) -> tuple[str, dict[str, Any]]:
        """Return the next method and its parameters.

        When the node had to drop some for want of room, ``notifications.lost`` comes first: what
        a client remembers is out of date then, and it lists anew.
        """
        if self._held_back is not None:
            notification, self._held_back = self._held_back, None
            return notification
        notification = to_notification(await anext(self._subscription))
        if lost := self._subscription.lost:
            self._subscription.lost = 0
            self._held_back = notification
            return "notifications.lost", {"count": lost}
        return notification

    def close(self) -> None:
        """Stop collecting."""
        self._subscription.close()


def to_notification(event: NodeEvent) -> tuple[str, dict[str, Any]]:
    """Return the method and the parameters that announce ``event``."""
    match event:
        case MessageArrived(message):
            return "message.received", {
                "contact": message.contact,
                "message_id": message.message_id,
                "text": message.text,
                "sent_at_ms": message.sent_at_ms,
                **({} if message.kind is MessageKind.TEXT else {"kind": message.kind.value}),
                **({} if message.reply_to is None else shapes.reply(message)),
                **({} if message.lifetime_s is None else {"lifetime_s": message.lifetime_s}),
            }
        case MessageQueued(message):
            return "message.queued", {"contact": message.contact, **shapes.message(message)}
        case MessageChanged(message):
            return "message.changed", {
                "contact": message.contact,
                **shapes.message(message),
                "removed": False,
            }
        case MessageRemoved(contact, message_id):
            return "message.changed", {
                "contact": contact,
                "message_id": message_id,
                "removed": True,
            }
        case MessageStateChanged(contact, message_id, state, reason):
            return "message.state", {
                "contact": contact,
                "message_id": message_id,
                "state": state.value,
                **({"reason": reason} if reason else {}),
            }
        case ContactChanged(view):
            return "contact.state", {
                "contact": view.contact,
                "online": view.online,
                "trust": view.trust.value,
                "pq": view.post_quantum,
            }
        case ContactRemoved(contact):
            return "contact.removed", {"contact": contact}
        case ContactTyping(contact, writing):
            return "contact.typing", {"contact": contact, "writing": writing}
        case ContactRequested(view):
            return "contact.request", {
                "contact": view.contact,
                "name": view.name,
                "peer_id": view.peer_id,
                "note": view.note,
            }
        case SessionRestarted(contact, cause):
            return "session.restarted", {"contact": contact, "cause": cause}
        case HistoryCut(contact, count):
            return "history.cut", {"contact": contact, "count": count}
        case LedgersDiffered(view):
            return "ledger.differed", shapes.ledger(view)
        case KeyNews(contact, kind, at_ms):
            return "contact.key", {"contact": contact, "news": kind.value, "at_ms": at_ms}
        case IdentityRevoked(at_ms):
            return "identity.revoked", {"revoked_at_ms": at_ms}
        case AuditWarned(pattern, count, at_ms):
            return "audit.warning", {"pattern": pattern, "count": count, "at_ms": at_ms}
        case ComparisonAsked(contact):
            return "contact.compare_asked", {"contact": contact}
        case ComparisonEnded(contact, outcome, tries_left):
            return "contact.compared", {
                "contact": contact,
                "outcome": outcome.value,
                "tries_left": tries_left,
            }
        case _ as unreachable:
            assert_never(unreachable)
