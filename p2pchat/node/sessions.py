"""A contact's stored session: how connections take it up, lose it and replace it (§8.4, §10.2).

A session that cannot go on is replaced by a new one, rarely enough that nobody can wear it down,
and never in silence: the person and the audit log are told the cause.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from p2pchat.errors import DamagedStateError, StoreError, UnknownContactError
from p2pchat.node.book import PeerBook
from p2pchat.node.credentials import key_event
from p2pchat.node.environment import Environment
from p2pchat.node.events import SessionRestarted
from p2pchat.node.inbox import Batch
from p2pchat.node.link import Link
from p2pchat.node.peer import Peer
from p2pchat.session.delivery import Envelope, SessionState, decode_session
from p2pchat.session.events import PeerAuthenticated, SessionStarted
from p2pchat.session.ledger import LedgerSummary
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.freshness import LOST_KEY
from p2pchat.store.ports import Transaction
from p2pchat.store.records import ContactRecord, SessionRecord

MISMATCH: Final = "the two sides' stored sessions did not match (a restored backup or a lost disk)"
UNREADABLE: Final = "a message could not be decrypted with the stored session"
DAMAGED: Final = "the stored session was damaged"

_log = logging.getLogger(__name__)


class SessionDesk:
    """Loads sessions, and lets lost ones heal."""

    def __init__(self, env: Environment, book: PeerBook) -> None:
        self._env = env
        self._book = book

    async def load(
        self, peer: Peer, event: PeerAuthenticated | None = None
    ) -> tuple[ContactRecord, SessionState | None, LedgerSummary]:
        """Read the contact and its session; note what the handshake has told of the peer.

        Through the writing thread, behind whatever the previous connection has queued there.
        """
        now_ms = self._env.clock.wall_ms()
        rotated = event is not None and peer.records_rotation(event.certificate.static)

        def work(tx: Transaction) -> tuple[ContactRecord, SessionRecord | None, LedgerSummary]:
            record = tx.contact(peer.contact_id)
            if record is None:
                raise UnknownContactError("that contact was removed")
            if event is not None:
                seen = shown_by(record, event)
                if seen != record:
                    if rotated:
                        tx.audit(key_event(AuditKind.KEY_ROTATED, event.certificate, now_ms))
                    record = tx.put_contact(seen)
            return record, tx.session(peer.contact_id), tx.ledger(peer.contact_id)

        record, stored, ledger = await self._env.store.write(work)
        if stored is None:
            return record, None, ledger
        try:
            envelopes = [
                Envelope(item.index, item.envelope, item.digest, item.message_id)
                for item in stored.envelopes
            ]
            return record, decode_session(stored.state, envelopes), ledger
        except DamagedStateError as error:
            _log.error("a stored session is damaged: %s", error)
            peer.session_lost = DAMAGED
            await self._env.store.write(lambda tx: tx.break_session(peer.contact_id))
            return record, None, ledger

    async def take_over_loss(self) -> None:
        """Remember, for each conversation to be told, that the store has dropped all sessions.

        It did so because it was older than it should be, now or in an earlier start that had no
        connections to tell it with.
        """
        cause = await self._env.store.read(lambda tx: tx.get_setting(LOST_KEY))
        if not cause:
            return
        for peer in self._book:
            if peer.record.static is not None:  # there was a handshake, and so a session
                peer.session_lost = cause
        try:
            await self._env.store.write(lambda tx: tx.put_setting(LOST_KEY, ""))
        except StoreError as error:
            _log.warning("that all sessions are lost may be told again: %s", error)

    def may_restart(self, link: Link, event: SessionStarted) -> bool:
        """Decide whether a new session may take the place of the stored one.

        One in which the peer has neither sent nor acknowledged anything is replaced without ado:
        only this side ever knew it. Connections that break in their first moments leave such
        ones, and would otherwise use up the hour's share.
        """
        peer = link.require_peer()
        if event.replaced and link.session_used and not peer.session_lost:
            peer.session_lost = MISMATCH
        return not peer.session_lost or peer.resets.take(self._env.clock.monotonic())

    def audited(self, peer: Peer, batch: Batch) -> Sequence[AuditEvent]:
        """Return what the audit log is told in the batch's transaction."""
        if batch.started is None or not peer.session_lost:
            return ()
        at_ms, context = self._env.clock.wall_ms(), {"reason": peer.session_lost}
        return (AuditEvent(AuditKind.SESSION_HEALED, at_ms, peer.identity, context=context),)

    def committed(self, peer: Peer, batch: Batch) -> None:
        """Tell of a session that has taken the place of a lost one; note that one is lost."""
        if batch.started is not None and peer.session_lost:
            cause, peer.session_lost = peer.session_lost, ""
            self._env.hub.publish(SessionRestarted(peer.record.name, cause))
        if batch.broke:
            peer.session_lost = UNREADABLE


def shown_by(record: ContactRecord, event: PeerAuthenticated) -> ContactRecord:
    """Return the contact with what its handshake has told of it."""
    shown = replace(record, post_quantum=event.post_quantum)
    if event.certificate.generation < record.certificate_generation:
        return shown  # another connection has told of a later key this very moment
    return replace(
        shown,
        certificate_generation=event.certificate.generation,
        static=event.certificate.static,
    )
