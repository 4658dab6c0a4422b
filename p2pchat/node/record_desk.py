"""Going on the record with a contact, and signing statements there (protocol.md §9.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from p2pchat.constants import KEY_LEN, MESSAGE_ID_LEN
from p2pchat.crypto.secret import Secret
from p2pchat.errors import LocalProtocolError, TrustError, UsageError
from p2pchat.identity.on_record import OURS, OnRecord, RecordStep
from p2pchat.identity.statement_file import to_file
from p2pchat.identity.trust import require_sendable
from p2pchat.node.environment import Environment
from p2pchat.node.messages import Announcer
from p2pchat.node.on_record import put_state, signed_now, stored_state
from p2pchat.node.outbox import unsent_until_ms
from p2pchat.node.peer import Peer
from p2pchat.session.messages import check_text
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, MessageKind, MessageRecord

_NOT_NOW: Final = {
    OnRecord.OFF: "nothing is proposed; propose it first",
    OnRecord.PROPOSED: "it is proposed already; the other side has to accept",
    OnRecord.ASKED: "the other side has proposed it: accept or decline",
    OnRecord.ON: "both of you are on the record already",
}


class RecordDesk:
    """What the person does about the record."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._announce = Announcer(env)

    async def step(self, peer: Peer, step: RecordStep) -> OnRecord:
        """Propose, accept, decline or end it, and tell the contact."""
        self._require_sendable(peer)
        record = self._outgoing(peer, step.value, MessageKind(f"record.{step.value}"))

        def work(tx: Transaction) -> OnRecord:
            state = stored_state(tx, peer.contact_id)
            following = OURS.get((state, step))
            if following is None:
                raise UsageError(_NOT_NOW[state])
            put_state(tx, peer.contact_id, following)
            tx.add_message(record)
            return following

        peer.on_record = await self._env.store.write(work)
        self._announce.queued(peer, record)
        self._queued(peer)
        peer.show()
        return peer.on_record

    async def sign(self, peer: Peer, text: str) -> MessageRecord:
        """Sign a statement and queue it."""
        self._require_sendable(peer)
        try:
            check_text(text)
        except LocalProtocolError as error:
            raise UsageError(str(error)) from error
        record = self._outgoing(peer, text, MessageKind.STATEMENT)
        until_ms = unsent_until_ms(self._env.config, record.sent_at_ms)
        fresh = Secret(self._env.rng(KEY_LEN))

        def work(tx: Transaction) -> MessageRecord:
            if stored_state(tx, peer.contact_id) is not OnRecord.ON:
                raise TrustError(
                    "statements are signed only on the record: one of you proposes it, the other "
                    "accepts"
                )
            signed = signed_now(tx, record, recipient=peer.identity, fresh=fresh)
            stored = replace(record, signed=signed, unsent_until_ms=until_ms)
            return tx.add_message(stored) or stored

        stored = await self._env.store.write(work)
        self._announce.queued(peer, stored)
        self._queued(peer)
        if until_ms is not None:
            self._env.expiring.notify()
        return stored

    async def export(self, peer: Peer, message_id: bytes) -> str:
        """Return a statement as a text that can be checked anywhere (R-9.4.6)."""
        record = await self._env.store.read(lambda tx: tx.message(peer.contact_id, message_id))
        if record is None or record.signed is None:
            raise UsageError("there is no such statement; what is not signed proves nothing")
        return to_file(record.signed)

    def _require_sendable(self, peer: Peer) -> None:
        self._env.revocations.require_own_key()
        require_sendable(peer.record.pin, verified_only=self._env.config.verified_only)

    def _outgoing(self, peer: Peer, text: str, kind: MessageKind) -> MessageRecord:
        return MessageRecord(
            self._env.rng(MESSAGE_ID_LEN),
            peer.contact_id,
            Direction.OUT,
            text,
            self._env.clock.wall_ms(),
            DeliveryState.QUEUED,
            kind=kind,
        )

    def _queued(self, peer: Peer) -> None:
        if peer.link is not None:
            peer.link.messages_wait()
