"""What contacts, messages and findings look like as JSON values (interface.md)."""

from __future__ import annotations

from typing import Any

from p2pchat.node.views import ContactView, LedgerView, MessageView
from p2pchat.session.vanishing import Vanishing


def ledger(view: LedgerView) -> dict[str, Any]:
    """Return what differed between two accounts of a conversation."""
    return {
        "contact": view.contact,
        "lost_here": view.lost_here,
        "sent_elsewhere": view.sent_elsewhere,
        "lost_there": view.lost_there,
        "lost_there_ids": list(view.lost_there_ids),
        "forked": view.forked,
        "at_ms": view.at_ms,
    }


def contact(view: ContactView) -> dict[str, Any]:
    """Return a contact."""
    return {
        "contact": view.contact,
        "name": view.name,
        "peer_id": view.peer_id,
        "trust": view.trust.value,
        "online": view.online,
        "pq": view.post_quantum,
        "unread": view.unread,
        "note": view.note,
        "addresses": list(view.addresses),
        "offline_reason": view.offline_reason,
        "offered_peer_id": view.offered_peer_id,
        "verified_at_ms": view.verified_at_ms,
        "revoked": view.revoked_at_ms is not None,
        "revoked_at_ms": view.revoked_at_ms,
        "announced": view.announced,
        "verified_by": None if view.verified_by is None else view.verified_by.value,
        "compare_asked": view.compare_asked,
        "verify_first": view.verify_first,
        "record": view.on_record.value,
        **timers(view.vanishing),
    }


def message(view: MessageView) -> dict[str, Any]:
    """Return a message."""
    return {
        "message_id": view.message_id,
        "direction": view.direction.value,
        "text": view.text,
        "sent_at_ms": view.sent_at_ms,
        "state": view.state.value,
        "reason": view.reason,
        "kind": view.kind.value,
        **reply(view),
        "edited_at_ms": view.edited_at_ms,
        "deleted": view.deleted,
        "reactions": [
            {"direction": direction.value, "emoji": emoji} for direction, emoji in view.reactions
        ],
        "lifetime_s": view.lifetime_s,
        "expires_at_ms": view.expires_at_ms,
        "unsent_until_ms": view.unsent_until_ms,
    }


def reply(view: MessageView) -> dict[str, Any]:
    """Return what a message answers."""
    return {"reply_to": view.reply_to, "quote": view.quote}


def timers(state: Vanishing) -> dict[str, Any]:
    """Return the seconds in force, proposed by us, and proposed by the contact."""
    return {
        "timer_s": state.seconds,
        "timer_proposed_s": None if state.ours is None else state.ours.seconds,
        "timer_asked_s": None if state.theirs is None else state.theirs.seconds,
    }
