"""What a change of the contact does to stored messages, inside the transaction (§9.5, §9.6).

Only its author changes a message, and only a message that is here: messages come in the order in
which they were said, so one that a change does not find was removed, and the change is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, assert_never

from p2pchat.constants import EDIT_WINDOW_MS
from p2pchat.session.changes import Change, Delete, Edit, Reaction, ReadUpTo, Timer
from p2pchat.session.messages import Text
from p2pchat.session.vanishing import Proposal, they_say
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, MessageKind, MessageRecord

REACTABLE: Final = (MessageKind.TEXT, MessageKind.STATEMENT)
"""What a reaction can be to."""


@dataclass(slots=True)
class Changed:
    """What the changes of one round did; ids of messages, in order.

    Attributes:
        messages: Look different now.
        read: Of ours, seen by the contact now.
    """

    messages: dict[bytes, None] = field(default_factory=dict)
    read: list[bytes] = field(default_factory=list)

    def apply(self, tx: Transaction, change: Change, contact_id: int) -> None:
        """Carry out a change, unless its sender may not make it (R-9.5.2 to R-9.5.6)."""
        changes = tx.changes(contact_id)
        if isinstance(change, ReadUpTo):
            self.read += changes.read_up_to(change.of)
            return
        target = tx.message(contact_id, change.of)
        if target is None or target.deleted:
            return
        theirs = target.direction is Direction.IN and target.kind is MessageKind.TEXT
        match change:
            case Edit(sent_at_ms=at_ms, body=body):
                if not theirs or not 0 <= at_ms - target.sent_at_ms <= EDIT_WINDOW_MS:
                    return
                changes.edit(change.of, body, at_ms)
            case Delete():
                if not theirs:
                    return
                changes.erase(change.of)
            case Reaction(emoji=emoji):
                if target.kind not in REACTABLE:
                    return
                changes.react(change.of, Direction.IN, emoji)
            case _ as unreachable:
                assert_never(unreachable)
        self.messages[change.of] = None


def text_record(tx: Transaction, text: Text, contact_id: int) -> MessageRecord:
    """Return the record of a text; it disappears only after a time that we agreed to (R-9.6.3)."""
    lifetime_s = text.lifetime_s
    if lifetime_s is not None and not tx.changes(contact_id).vanishing().honours(lifetime_s):
        lifetime_s = None
    return MessageRecord(
        text.message_id,
        contact_id,
        Direction.IN,
        text.body,
        text.sent_at_ms,
        DeliveryState.DELIVERED,
        refers_to=text.reply_to,
        lifetime_s=lifetime_s,
    )


def timer_record(tx: Transaction, timer: Timer, contact_id: int) -> MessageRecord:
    """Take a word about disappearing messages, and return its line in the conversation."""
    changes = tx.changes(contact_id)
    proposed = Proposal(timer.message_id, timer.seconds)
    changes.put_vanishing(they_say(changes.vanishing(), timer.step, proposed=proposed, of=timer.of))
    return MessageRecord(
        timer.message_id,
        contact_id,
        Direction.IN,
        str(timer.seconds) if timer.seconds else "",
        timer.sent_at_ms,
        DeliveryState.DELIVERED,
        kind=MessageKind(f"timer.{timer.step.value}"),
        refers_to=timer.of,
    )
