"""Who may come in, and what a connection means for a contact (protocol.md §8.3, §10.2).

The one ``LinkOwner``: it admits or refuses proven peers, keeps one connection for each contact,
limits what connections cost, and tells the person what has happened. What becomes of strangers is
in ``node.strangers``, what becomes of sessions in ``node.sessions``.
A blocked contact is served exactly like a stranger who is never accepted, so it learns nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from p2pchat.errors import ErrorCode
from p2pchat.identity.trust import may_converse
from p2pchat.node.announcing import Announcements
from p2pchat.node.book import PeerBook
from p2pchat.node.certificates import CertificateDesk
from p2pchat.node.changes import ChangeDesk
from p2pchat.node.comparisons import ComparisonDesk
from p2pchat.node.endings import NOT_SOON, REPLACED, reason_of, refused_as_revoked
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
from p2pchat.node.sessions import SessionDesk
from p2pchat.node.strangers import Strangers
from p2pchat.node.typing import TypingDesk
from p2pchat.session.connection import Connection
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
from p2pchat.session.messages import KINDS
from p2pchat.session.notices import CertificateNotice, Notice
from p2pchat.store.audit_types import AuditEvent
from p2pchat.store.ports import Transaction
from p2pchat.transport.base import Stream


class Reception:
    """Admits connections and speaks for their contacts.

    Attributes:
        ledgers: Compares the two sides' accounts of a conversation.
        changes: Carries out what the person wants of messages.
        typing: Who is writing just now.
        comparisons: Of phrases, on these connections.
        requests: What strangers may ask, and who was declined.
        sessions: The stored ones, and what becomes of lost ones.
        strangers: Their connections.
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
        self.sessions = SessionDesk(env, book)
        self.strangers = Strangers(env, book, self.requests, revocations, announcements)
        self._gate = AcceptGate()
        self._tickets: dict[Link, Ticket] = {}
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
            self._journal.turned_away(source_of(dawdler.address))
        ticket = self._gate.enter(stream.peer_address, self._env.clock.monotonic())
        if ticket is None:
            stream.abort()
            self._journal.turned_away(source_of(stream.peer_address))
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
            return self.strangers.admit(link, event.identity)
        try:
            async with peer.attaching:
                return await self._attach(link, peer, event)
        finally:
            peer.dial.notify()

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
        record, session, ledger = await self.sessions.load(peer, event)
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

    async def accept_waiting(self, link: Link) -> Accept:
        """Return the command for a peer that the person has accepted meanwhile."""
        record, session, ledger = await self.sessions.load(link.require_peer())
        told = self._announcements.to(record)
        return Accept(self._env.credentials.name, session, ledger, told, KINDS)

    # --- LinkOwner: what happens on a link ----------------------------------------------------

    async def greeted(self, link: Link, event: PeerGreeted) -> None:
        """The peer's HELLO arrived: a stranger's is a request."""
        peer = link.peer
        if peer is None:
            asking = await self.strangers.greeted(link, event)
            if asking is not None:
                await self.changes.greeted(asking, event.kinds)
            return
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

    async def noticed(self, link: Link, notice: Notice) -> None:
        """The peer told something outside the ratchet (§7.8)."""
        await self._notices.noticed(link, notice)

    def may_restart(self, link: Link, event: SessionStarted) -> bool:
        """Decide whether a new session may take the place of the stored one."""
        return self.sessions.may_restart(link, event)

    def audited(self, link: Link, batch: Batch) -> Sequence[AuditEvent]:
        """Return what the audit log is told in the batch's transaction."""
        return self.sessions.audited(link.require_peer(), batch)

    def committed(self, link: Link, batch: Batch, outcome: Outcome) -> None:
        """A batch is on the disk and its bytes are handed to the transport."""
        peer = link.require_peer()
        self.sessions.committed(peer, batch)
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
        if not (link.admitted.done() and link.admitted.result()):
            self._refused(link, closed)
        self.strangers.detached(link)
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

    def _leave(self, link: Link) -> None:
        ticket = self._tickets.pop(link, None)
        if ticket is not None:
            self._gate.leave(ticket)
