"""Who may come in, and what a connection means for a contact (protocol.md §8.3, §10.2).

The one ``LinkOwner``: it admits or refuses proven peers, keeps one connection for each contact,
turns strangers into requests, limits what they cost, and tells the person what has happened.
A blocked contact is served exactly like a stranger who is never accepted, so it learns nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from p2pchat.constants import PENDING_REQUESTS_MAX
from p2pchat.errors import DamagedStateError, ErrorCode, UnknownContactError
from p2pchat.identity.trust import Pin, Trust, may_converse
from p2pchat.node.announcing import Announcements
from p2pchat.node.book import PeerBook, name_of_stranger
from p2pchat.node.certificates import CertificateDesk
from p2pchat.node.changes import ChangeDesk
from p2pchat.node.comparisons import ComparisonDesk
from p2pchat.node.credentials import key_event
from p2pchat.node.endings import NOT_SOON, reason_of, refused_as_revoked
from p2pchat.node.environment import Environment
from p2pchat.node.inbox import Batch, Outcome
from p2pchat.node.journal import Journal
from p2pchat.node.ledgers import LedgerDesk
from p2pchat.node.limits import AcceptGate, Ticket, source_of
from p2pchat.node.link import Link
from p2pchat.node.messages import Announcer
from p2pchat.node.notices import NoticeDesk
from p2pchat.node.opening import Opening, newcomer_stays
from p2pchat.node.peer import Peer
from p2pchat.node.presence import Absence, Reason
from p2pchat.node.requests import RequestDesk
from p2pchat.node.revocations import REVOKED, RevocationDesk
from p2pchat.node.typing import TypingDesk
from p2pchat.node.views import ContactRequested, SessionRestarted
from p2pchat.session.connection import Connection
from p2pchat.session.delivery import Envelope, SessionState, decode_session
from p2pchat.session.events import (
    Accept,
    Answer,
    AskAgain,
    Attach,
    Close,
    ConnectionClosed,
    FirstMessageRead,
    PeerAuthenticated,
    PeerGreeted,
    SessionStarted,
)
from p2pchat.session.ledger import LedgerSummary
from p2pchat.session.messages import KINDS
from p2pchat.session.notices import CertificateNotice, Notice
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.ports import Transaction
from p2pchat.store.records import ContactRecord, SessionRecord
from p2pchat.transport.base import Stream

MISMATCH: Final = "the two sides' stored sessions did not match (a restored backup or a lost disk)"
UNREADABLE: Final = "a message could not be decrypted with the stored session"
DAMAGED: Final = "the stored session was damaged"
REPLACED: Final = "another connection took its place"

_log = logging.getLogger(__name__)


class Reception:
    """Admits connections and speaks for their contacts.

    Attributes:
        ledgers: Compares the two sides' accounts of a conversation.
        changes: Carries out what the person wants of messages.
        typing: Who is writing just now.
        comparisons: Of phrases, on these connections.
        requests: What strangers may ask, and who was declined.
    """

    def __init__(
        self,
        env: Environment,
        book: PeerBook,
        journal: Journal,
        revocations: RevocationDesk,
        announcements: Announcements,
    ) -> None:
        self._env = env
        self._announcements = announcements
        self._revocations = revocations
        self._book = book
        self._journal = journal
        self._announce = Announcer(env)
        self.ledgers = LedgerDesk(env)
        self.changes = ChangeDesk(env, self._announce)
        self.comparisons = ComparisonDesk(env)
        self.typing = TypingDesk(env)
        self._notices = NoticeDesk(
            CertificateDesk(env), self.ledgers, self.comparisons, revocations, self.typing
        )
        self.requests = RequestDesk(env)
        self._gate = AcceptGate()
        self._tickets: dict[Link, Ticket] = {}
        self._strangers: dict[bytes, Link] = {}
        self._links: dict[Link, asyncio.Task[None]] = {}

    # --- making links ---------------------------------------------------------------------------

    def accept(self, stream: Stream) -> None:
        """Serve an incoming stream, or drop it at once if there are too many from there.

        If there are too many in all, the one that has dawdled longest goes: an honest handshake
        takes a few round trips, so a flood of slow connections does not lock the others out.
        """
        if self._gate.is_full:
            dawdler = next(iter(self._tickets))
            self._leave(dawdler)
            dawdler.abort()
            self._turned_away(dawdler.address)
        ticket = self._gate.enter(stream.peer_address, self._env.clock.monotonic())
        if ticket is None:
            stream.abort()
            self._turned_away(stream.peer_address)
            return
        link = self._link(stream, None, None)
        self._tickets[link] = ticket
        self._start(link)

    def serve_dialled(self, stream: Stream, peer: Peer, race: object) -> Link:
        """Serve a stream that we opened to reach ``peer``."""
        link = self._link(stream, peer, race)
        self._start(link)
        return link

    def _link(self, stream: Stream, peer: Peer | None, race: object) -> Link:
        env, now = self._env, self._env.clock.monotonic()
        now_ms = env.clock.wall_ms()
        if peer is None:
            config = env.credentials.for_listening(now_ms, env.config)
        else:
            config = env.credentials.for_dialling(peer.record, now_ms, env.config)
        outbound = peer is not None
        connection = Connection(config, initiator=outbound, now=now, now_ms=now_ms, rng=env.rng)
        return Link(
            stream,
            connection,
            owner=self,
            store=env.store,
            clock=env.clock,
            opening=Opening(outbound, now),
            peer=peer,
            race=race,
        )

    def _start(self, link: Link) -> None:
        task = self._env.supervisor.spawn(link.run, f"link {link.address}")
        if task is None:
            link.abort()
            self._leave(link)
            return
        self._links[link] = task
        task.add_done_callback(lambda _: self._gone(link))

    def _gone(self, link: Link) -> None:
        self._links.pop(link, None)
        self._leave(link)
        link.abort()  # for a task that was cancelled before it began

    def tell_all(self, notice: Notice) -> None:
        """Tell everybody who has proven who they are."""
        for link in self._links:
            if link.proof is not None:
                link.tell(notice)

    async def close_all(self, grace_s: float) -> None:
        """Say goodbye on all connections and wait for their ends, ``grace_s`` at most."""
        for link in self._links:
            link.close(ErrorCode.GOING_AWAY, "this node stops")
        if self._links:
            await asyncio.wait(list(self._links.values()), timeout=grace_s)

    # --- LinkOwner: admission -----------------------------------------------------------------

    async def consider(self, event: FirstMessageRead) -> Answer | AskAgain:
        """Judge whether a known peer's first message is fresh (R-5.6.1).

        Someone who is no contact has no time to compare: a replay of his gets our answer, and can
        do nothing with it. In stealth even an answer would be too much (R-5.7.1).
        """
        peer = self._book.by_identity(event.certificate.identity)
        if peer is None:
            return AskAgain() if self._env.config.stealth else Answer()

        def work(tx: Transaction) -> bool:
            record = tx.contact(peer.contact_id)
            if record is None or event.time_ms <= record.handshake_time_ms:
                return False
            tx.put_contact(replace(record, handshake_time_ms=event.time_ms))
            return True

        return Answer() if await self._env.store.write(work) else AskAgain()

    async def admit(self, link: Link, event: PeerAuthenticated) -> Attach | Close:
        """Decide about a peer that has just proven its identity."""
        self._leave(link)
        link.proof = event
        current = self._env.credentials.certificate(self._env.clock.wall_ms())
        if event.presented.generation < current.generation:
            link.tell(CertificateNotice(current.encoded))
        peer = self._book.by_identity(event.identity)
        if self._env.revocations.refuses(event.identity):
            if peer is not None:
                host, _, _ = link.address.rpartition(":")
                peer.away(Reason(Absence.CAME_REVOKED, host))
            return Close(ErrorCode.KEY_REVOKED, REVOKED)
        if link.opening.outbound:
            if peer is None or peer is not link.peer:
                return Close(ErrorCode.NORMAL, "the contact was changed meanwhile")
        elif peer is None:
            return await self._admit_stranger(link, event.identity)
        try:
            async with peer.attaching:
                return await self._attach(link, peer, event)
        finally:
            peer.dial.notify()

    async def _admit_stranger(self, link: Link, identity: bytes) -> Attach | Close:
        previous = self._strangers.get(identity)
        requests = sum(peer.record.pin.trust is Trust.REQUEST for peer in self._book)
        asking = requests + sum(not self.requests.is_declined(each) for each in self._strangers)
        held = len(self._strangers) if self.requests.is_declined(identity) else asking
        if previous is None and held >= PENDING_REQUESTS_MAX:
            return Close(ErrorCode.LIMIT_EXCEEDED, "too many requests are waiting")
        if previous is not None:
            previous.close(ErrorCode.SUPERSEDED, REPLACED)
        self._strangers[identity] = link
        self._revocations.tell(link, is_contact=False)
        return Attach(accepted=False, name="")

    async def _attach(self, link: Link, peer: Peer, event: PeerAuthenticated) -> Attach | Close:
        if peer.removed:
            return Close(ErrorCode.NORMAL, "the contact was removed")
        # Under the lock: what another connection has just shown of the contact counts already.
        if event.certificate.generation < peer.record.certificate_generation:
            return Close(ErrorCode.CERTIFICATE_INVALID, "an outdated certificate was presented")
        if peer.record.post_quantum and not event.post_quantum:
            return Close(
                ErrorCode.DOWNGRADE_DETECTED, "the post-quantum handshake of before was left out"
            )
        current = peer.link
        if current is not None:
            if link.race is not None and current.race is link.race:
                link.abort()  # before its last handshake message: the peer never counts it
                return Close(ErrorCode.SUPERSEDED, REPLACED)
            ours = self._env.credentials.identity
            if not newcomer_stays(ours, peer.identity, current.opening, link.opening):
                return Close(ErrorCode.SUPERSEDED, REPLACED)
            current.close(ErrorCode.SUPERSEDED, REPLACED)
            await current.is_detached.wait()
        record, session, ledger = await self._load(peer, event)
        peer.record = record
        peer.link, link.peer = link, peer
        link.session_used = session is not None and (session.received or session.acknowledged) > 0
        # Under a revoked key nothing is said but that it is revoked.
        accepted = may_converse(record.pin) and self._env.revocations.own is None
        self._revocations.tell(link, is_contact=True)
        peer.away(Reason(Absence.OPENING))
        name = self._env.credentials.name
        if not accepted:
            return Attach(False, name)
        told = self._announcements.to(record)
        return Attach(True, name, peer.note, session, ledger, told, KINDS)

    async def _load(
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
                seen = _shown_by(record, event)
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

    async def forget_sessions(self, cause: str) -> None:
        """The store was older than it should be and has dropped all sessions."""
        event = AuditEvent(
            AuditKind.SESSION_HEALED, self._env.clock.wall_ms(), context={"reason": cause}
        )
        await self._env.store.write(lambda tx: tx.audit(event))
        for peer in self._book:
            if peer.record.static is not None:  # there was a handshake, and so a session
                peer.session_lost = cause

    async def accept_waiting(self, link: Link) -> Accept:
        """Return the command for a peer that the person has accepted meanwhile."""
        record, session, ledger = await self._load(link.require_peer())
        told = self._announcements.to(record)
        return Accept(self._env.credentials.name, session, ledger, told, KINDS)

    # --- LinkOwner: what happens on a link ----------------------------------------------------

    async def greeted(self, link: Link, event: PeerGreeted) -> None:
        """The peer's HELLO arrived: a stranger's is a request."""
        peer = link.peer
        if peer is not None:
            if event.accepted:  # of a request too: accepted, it does not greet us again
                await self.changes.greeted(peer, event.kinds)
            if not may_converse(peer.record.pin) or self._env.revocations.own is not None:
                return
            if not event.accepted:
                peer.away(Reason(Absence.WAITING))
                return
            if peer.note:
                await self._book.set_note(peer, "")
            if event.ledger is not None:
                await self.ledgers.compare(peer, event.ledger)
            await self._announcements.heard(peer, event.announcement)
            return
        identity = link.peer_identity
        if identity is None or self._strangers.get(identity) is not link or not event.accepted:
            return
        if self._env.revocations.own is not None:
            return
        succession = event.announcement.succession
        if succession is not None and await self._announcements.takes_over(succession):
            return
        if self.requests.is_declined(identity):
            return  # it waits, like one about whom nobody has decided yet
        if not self.requests.take(link.address):
            link.close(ErrorCode.LIMIT_EXCEEDED, "too many requests came from there")
            return
        record = ContactRecord(
            contact_id=0,
            name=name_of_stranger(event.name, identity),
            pin=Pin(identity, Trust.REQUEST),
            note=event.note or "",
            added_at_ms=self._env.clock.wall_ms(),
        )
        if link.proof is not None:
            record = _shown_by(record, link.proof)
        async with self._book.adding:
            if self._book.by_identity(identity) is not None:
                # The person has added them this very moment: they come back as a contact.
                link.close(ErrorCode.NORMAL, "the contact was changed meanwhile")
                return
            peer = await self._book.add(record, unique=True)
        self._strangers.pop(identity, None)
        peer.link, link.peer = link, peer
        if self._env.hub.is_heard:
            self._env.hub.publish(ContactRequested(peer.view()))
        await self.changes.greeted(peer, event.kinds)

    async def noticed(self, link: Link, notice: Notice) -> None:
        """The peer told something outside the ratchet (§7.8)."""
        await self._notices.noticed(link, notice)

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

    def audited(self, link: Link, batch: Batch) -> Sequence[AuditEvent]:
        """Return what the audit log is told in the batch's transaction."""
        peer = link.require_peer()
        if batch.started is None or not peer.session_lost:
            return ()
        at_ms, context = self._env.clock.wall_ms(), {"reason": peer.session_lost}
        return (AuditEvent(AuditKind.SESSION_HEALED, at_ms, peer.identity, context=context),)

    def committed(self, link: Link, batch: Batch, outcome: Outcome) -> None:
        """A batch is on the disk and its bytes are handed to the transport."""
        peer = link.require_peer()
        if batch.started is not None and peer.session_lost:
            cause, peer.session_lost = peer.session_lost, ""
            self._env.hub.publish(SessionRestarted(peer.record.name, cause))
        if batch.broke:
            peer.session_lost = UNREADABLE
        if outcome.on_record is not None:
            peer.on_record = outcome.on_record
        if outcome.vanishing is not None:
            peer.vanishing = outcome.vanishing
        if outcome.expiring:
            self._env.expiring.notify()
        if batch.opened or outcome.on_record is not None or outcome.vanishing is not None:
            peer.show()
        if outcome.arrived:
            self.typing.stopped(peer)
        self._announce.batch(peer, batch, outcome)
        self.ledgers.delivered(peer, len(batch.delivered), outcome.sent)

    def detached(self, link: Link, closed: ConnectionClosed) -> None:
        """The link will write nothing more to the store."""
        self._leave(link)
        self.comparisons.detached(link)
        identity = link.peer_identity
        if not (link.admitted.done() and link.admitted.result()):
            self._refused(link, closed)
        if identity is not None and self._strangers.get(identity) is link:
            del self._strangers[identity]
        peer = link.peer
        if peer is None or peer.link is not link:
            return
        peer.link = None
        self.typing.stopped(peer)
        now = self._env.clock.monotonic()
        if closed.code in NOT_SOON:
            peer.backoff.refused()
        else:
            peer.backoff.lost(now - link.opening.since, now)
        if refused_as_revoked(closed):
            self._revocations.acknowledged(peer)
        peer.away(reason_of(link, closed, self._env.clock.wall_ms()))
        peer.dial.notify()

    def let_wait(self, peer: Peer) -> None:
        """The person has declined this request: its connection goes on as if nothing had been."""
        link, peer.link = peer.link, None
        if isinstance(link, Link):
            link.peer = None
            self._strangers[peer.identity] = link

    def turn_away_stranger(self, identity: bytes) -> None:
        """The person has just added this identity: let it connect anew, as a contact."""
        link = self._strangers.pop(identity, None)
        if link is not None:
            link.close(ErrorCode.NORMAL, "the contact was changed meanwhile")

    def _refused(self, link: Link, closed: ConnectionClosed) -> None:
        """The handshake came to nothing."""
        expected = link.peer.identity if link.peer is not None else link.peer_identity
        known = expected is not None and self._book.by_identity(expected) is not None
        self._journal.refused(
            closed.code,
            outbound=link.opening.outbound,
            by_peer=closed.by_peer,
            principal=expected if known else None,
            source=source_of(link.address),
        )

    def _turned_away(self, address: str) -> None:
        """There were too many: not even a handshake was begun with this one."""
        self._journal.refused(
            ErrorCode.LIMIT_EXCEEDED,
            outbound=False,
            by_peer=False,
            principal=None,
            source=source_of(address),
        )

    def _leave(self, link: Link) -> None:
        ticket = self._tickets.pop(link, None)
        if ticket is not None:
            self._gate.leave(ticket)


def _shown_by(record: ContactRecord, event: PeerAuthenticated) -> ContactRecord:
    """Return the contact with what its handshake has told of it."""
    shown = replace(record, post_quantum=event.post_quantum)
    if event.certificate.generation < record.certificate_generation:
        return shown  # another connection has told of a later key this very moment
    return replace(
        shown,
        certificate_generation=event.certificate.generation,
        static=event.certificate.static,
    )
