"""What the person does to messages: reply, edit, delete, react, read, let disappear (§9.5, §9.6).

Each is one transaction: what changes here, and the message that tells the contact, which waits in
the outbox like a text. A contact whose program does not know a kind is not sent one: the person
is told instead, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from p2pchat.constants import EDIT_WINDOW_MS, MESSAGE_ID_LEN, REACTION_MAX_BYTES
from p2pchat.errors import LocalProtocolError, TrustError, UsageError
from p2pchat.identity.trust import require_sendable
from p2pchat.node.arriving import REACTABLE
from p2pchat.node.environment import Environment
from p2pchat.node.messages import Announcer
from p2pchat.node.outbox import unsent_until_ms
from p2pchat.node.peer import Peer
from p2pchat.sanitize import clean_line
from p2pchat.session.messages import KINDS, check_text
from p2pchat.session.vanishing import Proposal, TimerStep, Vanishing, we_say
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, MessageKind, MessageRecord

T = TypeVar("T")

_NOT_LEFT: Final = (DeliveryState.QUEUED, DeliveryState.FAILED)
_SHOWS: Final = {
    "edit": "edited messages",
    "delete": "that a message was deleted",
    "reaction": "reactions",
    "timer": "disappearing messages",
}


class ChangeDesk:
    """Carries out what the person wants of messages, and remembers what a contact understands."""

    def __init__(self, env: Environment, announce: Announcer) -> None:
        self._env = env
        self._announce = announce

    async def greeted(self, peer: Peer, kinds: frozenset[str]) -> None:
        """Note what the contact's program understands, as far as it means anything to ours."""
        known = kinds & KINDS

        def work(tx: Transaction) -> None:
            if tx.contact(peer.contact_id) is not None:  # or it was removed this very moment
                tx.changes(peer.contact_id).put_kinds(known)

        if await self._env.store.read(lambda tx: tx.changes(peer.contact_id).kinds()) != known:
            await self._env.store.write(work)

    async def send(
        self,
        peer: Peer,
        text: str,
        reply_to: bytes | None = None,
        expires_in_s: int | None = None,
    ) -> MessageRecord:
        """Queue a text, with the time in force until it disappears; it may wait for so long."""
        self._require_sendable(peer)
        _check(text)
        until_ms = self._unsent_until_ms(expires_in_s)
        made = self._outgoing(peer, MessageKind.TEXT, text, reply_to, until_ms)

        def work(tx: Transaction) -> MessageRecord:
            if reply_to is not None:
                target = _find(tx, peer, reply_to)
                if target.deleted:
                    raise UsageError("that message was deleted")
            record = made(_lifetime_s(tx, peer))
            return tx.add_message(record) or record

        # Not under the outbox's lock: each call takes its place in the store at once.
        stored = await self._env.store.write(work)
        self._announce.queued(peer, stored)
        self._queued(peer)
        if until_ms is not None:
            self._env.expiring.notify()
        return stored

    async def resend(self, peer: Peer, message_id: bytes) -> MessageRecord:
        """Queue a text that failed once more, as a new message in place of the old one.

        It begins at the end, where the contact will have it. It gets an id of its own: had the
        old one left after all, before an older copy of the profile was put back, the contact
        would not count it a second time and we would (§8.6).
        """
        self._require_sendable(peer)
        until_ms = self._unsent_until_ms()
        now_ms, new_id = self._env.clock.wall_ms(), self._env.rng(MESSAGE_ID_LEN)

        def work(tx: Transaction) -> MessageRecord:
            failed = _find(tx, peer, message_id)
            if failed.state is not DeliveryState.FAILED:
                raise UsageError("only a message of yours that failed can be sent again")
            if failed.kind is not MessageKind.TEXT:
                raise UsageError("a statement says when it was signed; sign it again instead")
            tx.delete_message(peer.contact_id, message_id)
            queued = replace(
                failed,
                message_id=new_id,
                sent_at_ms=now_ms,
                state=DeliveryState.QUEUED,
                reason="",
                lifetime_s=tx.changes(peer.contact_id).lifetime_s(),
                unsent_until_ms=until_ms,
            )
            return tx.add_message(queued) or queued

        stored = await self._change(peer, work)
        self._announce.removed(peer, message_id)
        self._announce.queued(peer, stored)
        if until_ms is not None:
            self._env.expiring.notify()
        return stored

    async def edit(self, peer: Peer, message_id: bytes, text: str) -> None:
        """Replace a text of ours, within ``EDIT_WINDOW_MS``."""
        self._require_sendable(peer)
        _check(text)
        now_ms = self._env.clock.wall_ms()
        made = self._outgoing(peer, MessageKind.EDIT, text, message_id)

        def work(tx: Transaction) -> None:
            target = _own(tx, peer, message_id)
            changes = tx.changes(peer.contact_id)
            if target.state is DeliveryState.FAILED:
                raise UsageError("that message was not delivered; send it again instead")
            if target.state is DeliveryState.QUEUED:
                changes.edit(message_id, text, None)  # nobody has seen the old one
                return
            if not 0 <= now_ms - target.sent_at_ms <= EDIT_WINDOW_MS:
                hours = EDIT_WINDOW_MS // 3_600_000
                raise UsageError(f"a message can be edited for {hours} hours")
            _require_known(tx, peer, "edit")
            changes.edit(message_id, text, now_ms)
            changes.withdraw(MessageKind.EDIT, message_id)
            tx.add_message(made())

        await self._change(peer, work)
        await self._changed(peer, message_id)

    async def delete(self, peer: Peer, message_id: bytes) -> None:
        """Delete a text of ours, here and there; one that has not left leaves no trace."""
        self._require_sendable(peer)
        made = self._outgoing(peer, MessageKind.DELETE, "", message_id)

        def work(tx: Transaction) -> bool:
            target = _own(tx, peer, message_id)
            changes = tx.changes(peer.contact_id)
            if target.state in _NOT_LEFT:
                changes.erase(message_id)
                tx.delete_message(peer.contact_id, message_id)
                return True
            _require_known(tx, peer, "delete")
            changes.erase(message_id)
            changes.withdraw(MessageKind.EDIT, message_id)
            tx.add_message(made())
            return False

        if await self._change(peer, work):
            peer.outbox.settled([message_id])
            self._announce.removed(peer, message_id)
        else:
            await self._changed(peer, message_id)

    async def react(self, peer: Peer, message_id: bytes, emoji: str) -> None:
        """Set our one reaction to a message, or take it back with an empty one."""
        self._require_sendable(peer)
        if (
            clean_line(emoji, REACTION_MAX_BYTES) != emoji
            or " " in emoji
            or len(emoji.encode(errors="replace")) > REACTION_MAX_BYTES
        ):
            raise UsageError("a reaction is one emoji or a very short word")
        made = self._outgoing(peer, MessageKind.REACTION, emoji, message_id)

        def work(tx: Transaction) -> None:
            target = _find(tx, peer, message_id)
            if target.deleted or target.kind not in REACTABLE:
                raise UsageError("there is nothing to react to: the message is gone")
            if target.direction is Direction.OUT and target.state in _NOT_LEFT:
                raise UsageError("that message has not left yet")
            _require_known(tx, peer, "reaction")
            changes = tx.changes(peer.contact_id)
            changes.react(message_id, Direction.OUT, emoji)
            changes.withdraw(MessageKind.REACTION, message_id)
            tx.add_message(made())

        await self._change(peer, work)
        await self._changed(peer, message_id)

    async def timer(self, peer: Peer, step: TimerStep, seconds: int = 0) -> Vanishing:
        """Propose that messages disappear after some time, accept, decline or end it."""
        self._require_sendable(peer)
        text = str(seconds) if step is TimerStep.PROPOSE else ""
        kind = MessageKind(f"timer.{step.value}")

        def work(tx: Transaction) -> tuple[Vanishing, MessageRecord]:
            if step is not TimerStep.END:  # what has been agreed on can always be ended
                _require_known(tx, peer, "timer")
            changes = tx.changes(peer.contact_id)
            state = changes.vanishing()
            answers = step in (TimerStep.ACCEPT, TimerStep.DECLINE)
            of = state.theirs.message_id if answers and state.theirs is not None else None
            record = self._outgoing(peer, kind, text, of)()
            following = we_say(state, step, Proposal(record.message_id, seconds))
            if following is None:
                raise UsageError(_not_now(state, step))
            changes.put_vanishing(following)
            tx.add_message(record)
            return following, record

        peer.vanishing, said = await self._change(peer, work)
        self._announce.queued(peer, said)
        peer.show()
        return peer.vanishing

    async def read(self, peer: Peer) -> None:
        """Note that the person has seen everything, and tell the contact if so set."""
        now_ms = self._env.clock.wall_ms()
        made = self._outgoing(peer, MessageKind.READ, "")
        tells = self._env.config.read_receipts and self._may_send(peer)

        def work(tx: Transaction) -> bool:
            changes = tx.changes(peer.contact_id)
            newest = changes.newest_unread()
            tx.mark_read(peer.contact_id)
            if newest is not None and tells and "read" in changes.kinds():
                changes.withdraw(MessageKind.READ)
                tx.add_message(made(of=newest))
            return changes.start(Direction.IN, now_ms)

        if await self._change(peer, work):
            self._env.expiring.notify()
        peer.set_unread(0)

    def _require_sendable(self, peer: Peer) -> None:
        self._env.revocations.require_own_key()
        require_sendable(peer.record.pin, verified_only=self._env.config.verified_only)

    def _may_send(self, peer: Peer) -> bool:
        try:
            self._require_sendable(peer)
        except TrustError:
            return False
        return True

    async def _change(self, peer: Peer, work: Callable[[Transaction], T]) -> T:
        """Run a unit of work while nothing is being sealed: what is queued has not left."""
        async with peer.outbox.sealing:
            result = await self._env.store.write(work)
        self._queued(peer)
        return result

    async def _changed(self, peer: Peer, message_id: bytes) -> None:
        record = await self._env.store.read(lambda tx: tx.message(peer.contact_id, message_id))
        if record is not None:
            self._announce.changed(peer, record)

    def _unsent_until_ms(self, expires_in_s: int | None = None) -> int | None:
        return unsent_until_ms(self._env.config, self._env.clock.wall_ms(), expires_in_s)

    def _outgoing(
        self,
        peer: Peer,
        kind: MessageKind,
        text: str,
        about: bytes | None = None,
        until_ms: int | None = None,
    ) -> Callable[..., MessageRecord]:
        message_id = self._env.rng(MESSAGE_ID_LEN)
        now_ms = self._env.clock.wall_ms()

        def made(lifetime_s: int | None = None, *, of: bytes | None = about) -> MessageRecord:
            return MessageRecord(
                message_id,
                peer.contact_id,
                Direction.OUT,
                text,
                now_ms,
                DeliveryState.QUEUED,
                kind=kind,
                refers_to=of,
                lifetime_s=lifetime_s,
                unsent_until_ms=until_ms,
            )

        return made

    def _queued(self, peer: Peer) -> None:
        if peer.link is not None:
            peer.link.messages_wait()


def _check(text: str) -> None:
    try:
        check_text(text)
    except LocalProtocolError as error:
        raise UsageError(str(error)) from error


def _find(tx: Transaction, peer: Peer, message_id: bytes) -> MessageRecord:
    record = tx.message(peer.contact_id, message_id)
    if record is None or record.kind.value in KINDS - {"text", "statement"}:
        raise UsageError("there is no such message")
    return record


def _own(tx: Transaction, peer: Peer, message_id: bytes) -> MessageRecord:
    record = _find(tx, peer, message_id)
    if record.direction is not Direction.OUT:
        raise UsageError("only your own messages can be changed")
    if record.kind is MessageKind.STATEMENT:
        raise UsageError("what is on the record stays as it was signed")
    if record.kind is not MessageKind.TEXT:
        raise UsageError("only a text can be changed")
    if record.deleted:
        raise UsageError("that message was deleted")
    return record


def _lifetime_s(tx: Transaction, peer: Peer) -> int | None:
    """Return the time in force; a program that would keep the text for good is not sent one."""
    changes = tx.changes(peer.contact_id)
    lifetime_s = changes.lifetime_s()
    if lifetime_s is not None and "timer" not in changes.kinds():
        raise UsageError(
            f"{peer.record.name}'s program would not let messages disappear any more; "
            "end that first, or wait until they have a newer one"
        )
    return lifetime_s


def _require_known(tx: Transaction, peer: Peer, kind: str) -> None:
    if kind not in tx.changes(peer.contact_id).kinds():
        raise UsageError(
            f"{peer.record.name}'s program cannot show {_SHOWS[kind]}, or you have not been "
            "connected yet; nothing was changed"
        )


def _not_now(state: Vanishing, step: TimerStep) -> str:
    match step:
        case TimerStep.PROPOSE if state.ours is not None:
            return "a time is proposed already; the other side has to answer, or you end it"
        case TimerStep.PROPOSE:
            return "that time is in force already"
        case TimerStep.END:
            return "messages do not disappear, and nothing is proposed"
        case _:
            return "the other side has proposed nothing"
