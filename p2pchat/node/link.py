"""One stream with one ``Connection``: the asyncio glue (protocol.md §8, design §2).

One task owns both. Each round it feeds what arrived, drains the events, seals what waits to be
sent, commits all of it in one unit of work, and only then transmits. While a commit is on its
way to the disk, bytes pile up in the stream (bounded, then the peer is slowed down) and are
taken as one batch in the next round: the busier, the bigger the batches.

The link knows nothing of contacts and requests: whom it may talk to, and what is told to the
person, its owner decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from p2pchat.errors import ErrorCode, LocalProtocolError, ProtocolError, StoreError
from p2pchat.node.clock import Clock
from p2pchat.node.inbox import Batch, Outcome
from p2pchat.node.opening import Opening
from p2pchat.node.outbox import FETCH_MAX, to_message
from p2pchat.node.peer import Peer
from p2pchat.node.tasks import Alarm, Signal
from p2pchat.node.unsent import Backlog, hang_up
from p2pchat.session.connection import Connection
from p2pchat.session.events import (
    Accept,
    Answer,
    AskAgain,
    Attach,
    Close,
    ConnectionClosed,
    FirstMessageRead,
    NoticeReceived,
    PeerAuthenticated,
    PeerGreeted,
    SendMessage,
    SendNotice,
    SessionStarted,
)
from p2pchat.session.notices import Notice
from p2pchat.session.states import State
from p2pchat.store.audit_types import AuditEvent
from p2pchat.store.ports import Store
from p2pchat.transport.base import Stream

HEARS_NOTICES: Final = frozenset({State.PENDING, State.SYNCING, State.OPEN})
"""Both greetings are out: from here on the peer reads notices."""

_log = logging.getLogger(__name__)


class LinkOwner(Protocol):
    """Who decides, and who tells the person."""

    async def consider(self, event: FirstMessageRead) -> Answer | AskAgain:
        """Judge whether a known peer's first message is fresh."""

    async def admit(self, link: Link, event: PeerAuthenticated) -> Attach | Close:
        """Decide about a peer that has just proven its identity."""

    async def greeted(self, link: Link, event: PeerGreeted) -> None:
        """The peer's HELLO arrived."""

    async def noticed(self, link: Link, notice: Notice) -> None:
        """The peer told something outside the ratchet.

        Raises:
            ProtocolError: It is not true or not allowed; the link ends with that code.
        """

    async def accept_waiting(self, link: Link) -> Accept:
        """Return the command for a peer that the person has accepted meanwhile."""

    def may_restart(self, link: Link, event: SessionStarted) -> bool:
        """Decide whether a new session may take the place of the stored one."""

    def audited(self, link: Link, batch: Batch) -> Sequence[AuditEvent]:
        """Return what the audit log is told in the batch's transaction."""

    def committed(self, link: Link, batch: Batch, outcome: Outcome) -> None:
        """A batch is on the disk and its bytes are handed to the transport."""

    def detached(self, link: Link, closed: ConnectionClosed) -> None:
        """The link will write nothing more to the store."""


class Link:
    """One connection with one peer.

    Attributes:
        peer: The contact, once admitted; a stranger has none until its request is stored.
        opening: Who dialled, and when.
        address: Where it leads: the address dialled, or where the peer came from.
        admitted: Done when the owner has decided; its result tells whether to go on.
        proof: What the handshake proved, once it did.
        is_detached: Set once the link will write nothing more to the store.
        race: The same object for all attempts of one round of dialling.
        session_used: In the stored session that this link began with, the peer has said something.
        store_error: What our store refused, if that ended the link.
    """

    def __init__(
        self,
        stream: Stream,
        connection: Connection,
        *,
        owner: LinkOwner,
        store: Store,
        clock: Clock,
        opening: Opening,
        peer: Peer | None = None,
        race: object = None,
    ) -> None:
        self.opening = opening
        self.address = stream.peer_address
        self.peer = peer
        self.race = race
        self.admitted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.proof: PeerAuthenticated | None = None
        self.is_detached = asyncio.Event()
        self.closed: ConnectionClosed | None = None
        self.session_used = False
        self.store_error: StoreError | None = None
        self._stream = stream
        self._connection = connection
        self._owner = owner
        self._store = store
        self._clock = clock
        self._signal = Signal()
        self._alarm = Alarm(clock, self._signal)
        self._goodbye: Close | None = None
        self._accept = False
        self._notices: list[Notice] = []
        self._messages_wait = True
        self._backlog = Backlog(stream)
        stream.on_activity(self._signal.notify)

    # --- for the owner ------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether messages flow."""
        return self._connection.is_open

    @property
    def peer_identity(self) -> bytes | None:
        """Who proved to be at the other end, wanted or not."""
        return self._connection.peer_identity

    def require_peer(self) -> Peer:
        """Return the contact of an admitted link."""
        if self.peer is None:
            raise LocalProtocolError("the link has no contact", ErrorCode.INTERNAL)
        return self.peer

    def close(self, code: ErrorCode, reason: str) -> None:
        """Say goodbye as soon as the current round is over."""
        if self._goodbye is None:
            self._goodbye = Close(code, reason)
            self._signal.notify()

    def abort(self) -> None:
        """Break off without a word; the peer learns nothing, not even who we are."""
        self._stream.abort()
        self.close(ErrorCode.NORMAL, "not needed any more")

    def accept(self) -> None:
        """The person accepted this peer."""
        self._accept = True
        self._signal.notify()

    def tell(self, notice: Notice) -> None:
        """Tell the peer something outside the ratchet as soon as greetings are exchanged."""
        self._notices.append(notice)
        self._signal.notify()

    def messages_wait(self) -> None:
        """There is something in the outbox."""
        self._messages_wait = True
        self._signal.notify()

    async def run(self) -> None:
        """Serve the connection until it is over; the link's one task."""
        try:
            await self._serve()
        except StoreError as error:
            # What could not be stored was neither sent nor acknowledged: the peer has it, or
            # our outbox has, and the next connection goes on from the last commit.
            self.store_error = error
            self._end(ErrorCode.INTERNAL, "the store failed")
        except LocalProtocolError as error:
            _log.error("a connection was used wrongly: %s", error)
            self._end(ErrorCode.INTERNAL, str(error))
        finally:
            self._detach()
            self._alarm.cancel()
            self._stream.on_activity(None)
            self._transmit()
            await hang_up(self._stream, self._clock, politely=self.peer_identity is not None)

    # --- one round ------------------------------------------------------------------------------

    async def _serve(self) -> None:
        while True:
            self._feed()
            self._obey()
            batch = Batch()
            await self._drain(batch)
            peer = self.peer
            if peer is not None and self._may_seal():
                async with peer.outbox.sealing:
                    await self._seal(peer, batch)
                    await self._commit(batch)
            else:
                await self._commit(batch)
            if self._connection.is_closed and self.closed is not None:
                return
            if self._idle():
                for due in (self._connection.next_deadline(), self._backlog.due):
                    self._alarm.set(due)
                await self._signal.wait()

    def _feed(self) -> None:
        now = self._clock.monotonic()
        if not self._backlog.is_full:
            data = self._stream.take()
            if data is not None:
                self._connection.receive_data(data, now=now)
        due = self._connection.next_deadline()
        if due is not None and now >= due:
            self._connection.handle_timeout(now)
        if self.opening.is_spent(now) and self._connection.is_open:
            self.close(ErrorCode.NORMAL, "a day is over: new keys by a new handshake")
        if self._backlog.is_given_up(now) and not self._connection.is_closed:
            self._stream.abort()
            self._end(ErrorCode.TIMEOUT, "the peer does not read")

    def _obey(self) -> None:
        """Carry out what was asked of this link since the last round; the goodbye comes last."""
        now = self._clock.monotonic()
        if self._may_tell():
            notices, self._notices = self._notices, []
            for notice in notices:
                self._connection.send(SendNotice(notice), now=now)
        if self._goodbye is not None:
            self._connection.send(self._goodbye, now=now)

    async def _drain(self, batch: Batch) -> None:
        """Take all events that the connection has now; decisions are answered at once."""
        connection, owner = self._connection, self._owner
        if self._accept and connection.state is State.PENDING:
            self._accept = False
            connection.send(await owner.accept_waiting(self), now=self._clock.monotonic())
        while (event := connection.next_event()) is not None:
            match event:
                case FirstMessageRead():
                    connection.send(await owner.consider(event), now=self._clock.monotonic())
                case PeerAuthenticated():
                    answer = await owner.admit(self, event)
                    connection.send(answer, now=self._clock.monotonic())
                    self._decided(isinstance(answer, Attach))
                case PeerGreeted():
                    await owner.greeted(self, event)
                case NoticeReceived(notice):
                    try:
                        await owner.noticed(self, notice)
                    except ProtocolError as error:
                        self._end(error.code, str(error))
                case ConnectionClosed():
                    self.closed = event
                case SessionStarted() if not owner.may_restart(self, event):
                    self._end(ErrorCode.LIMIT_EXCEEDED, "the session was made anew too often")
                case _:
                    batch.add(event)
                    if batch.opened:
                        self._messages_wait = True

    def _may_tell(self) -> bool:
        return bool(self._notices) and self._connection.state in HEARS_NOTICES

    def _may_seal(self) -> bool:
        if self.peer is not None and self.peer.verify_first:
            return False
        return self._messages_wait and self._connection.send_window > 0 and self._stream.writable

    async def _seal(self, peer: Peer, batch: Batch) -> None:
        """Encrypt the next messages of the outbox into this batch."""
        limit = min(FETCH_MAX, self._connection.send_window)
        self._messages_wait = False  # before the read: what comes after it is noticed again
        if batch.started is not None:
            # Every undelivered message belongs to the new session, but the store learns of that
            # session only with this batch: the outbox is read in the next round.
            self._messages_wait = True
            return
        records = await peer.outbox.fetch(limit, self._clock.wall_ms())
        self._messages_wait = self._messages_wait or len(records) == limit
        now = self._clock.monotonic()
        for record in records:
            self._connection.send(SendMessage(to_message(record)), now=now)
            if record.kind.is_hidden:
                batch.hidden.add(record.message_id)
        await self._drain(batch)

    async def _commit(self, batch: Batch) -> None:
        """Make the batch durable, then let everything go that waited for it."""
        peer = self.peer
        if batch.is_empty or peer is None:
            self._transmit()
            return
        contact_id = peer.contact_id
        events, now_ms = self._owner.audited(self, batch), self._clock.wall_ms()
        outcome = await self._store.write(lambda tx: batch.apply(tx, contact_id, now_ms, events))
        self._connection.committed(batch.revision)
        self._transmit()
        self._owner.committed(self, batch, outcome)

    def _transmit(self) -> None:
        data = self._connection.data_to_send()
        if data:
            self._stream.write(data)

    def _idle(self) -> bool:
        """Whether there is nothing to do before the next signal."""
        return not self._may_seal() and not self._may_tell()

    # --- the end --------------------------------------------------------------------------------

    def _end(self, code: ErrorCode, reason: str) -> None:
        """Close from inside and note why."""
        self._connection.send(Close(code, reason), now=self._clock.monotonic())
        while (event := self._connection.next_event()) is not None:
            if isinstance(event, ConnectionClosed):
                self.closed = event

    def _decided(self, admitted: bool) -> None:
        if not self.admitted.done():
            self.admitted.set_result(admitted)

    def _detach(self) -> None:
        """Nothing more goes to the store; the next connection of this contact may begin."""
        if self.closed is None:  # cancelled
            self.closed = ConnectionClosed(ErrorCode.GOING_AWAY, False, False, "stopped")
        self._owner.detached(self, self.closed)
        self._decided(False)
        self.is_detached.set()
