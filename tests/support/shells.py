"""A shell reduced to what protocol.md §8 asks of it: what is durable, and what to send again.

Two shells joined by a ``Link`` are the two-peer model of the session's tests. A shell's ``Disk``
is immutable; committing replaces it. So every disk that ever was can be kept and put back, which
is how crashes and rolled-back stores are tested. What is missing is everything that decides when
to dial, whom to accept and what to show: that is the node's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from p2pchat.session.connection import Connection
from p2pchat.session.delivery import (
    Envelope,
    SessionState,
    decode_session,
    encode_session,
)
from p2pchat.session.events import (
    Attach,
    Close,
    ConnectionClosed,
    Event,
    MessageReceived,
    MessagesDelivered,
    MessageSealed,
    PeerAuthenticated,
    PeerGreeted,
    SendMessage,
    SessionBroke,
    SessionChanged,
    SessionResumed,
    SessionStarted,
)
from p2pchat.session.messages import Text
from tests.support.pairs import NOW_MS, Person, person


@dataclass(frozen=True, slots=True)
class Disk:
    """What survives a crash.

    Attributes:
        session: Encoded snapshot and unacknowledged envelopes, or None.
        received: How many of the peer's envelopes the session has opened.
        outbox: Everything that the person wrote, in order.
        delivered: Ids of those that the peer stored.
        inbox: What the peer wrote, in the order of arrival, each id once.
    """

    session: tuple[bytes, tuple[Envelope, ...]] | None = None
    received: int = 0
    outbox: tuple[Text, ...] = ()
    delivered: frozenset[bytes] = frozenset()
    inbox: tuple[Text, ...] = ()

    def load_session(self) -> SessionState | None:
        """Decode the session as the store would."""
        return None if self.session is None else decode_session(*self.session)


def stored_session(state: SessionState) -> tuple[bytes, tuple[Envelope, ...]]:
    return encode_session(state), state.unacknowledged


class Shell:
    """One person's program: a disk, and at most one connection."""

    def __init__(self, person: Person, peer: Person) -> None:
        self.person = person
        self.peer = peer
        self.disk = Disk()
        self.on_write: Callable[[], None] = lambda: None
        self.on_take: Callable[[], None] = lambda: None
        self.connection: Connection | None = None
        self.events: list[Event] = []
        self.uncommitted: list[Event] = []
        self.closed: ConnectionClosed | None = None
        self._session: SessionState | None = None
        self._delivered: frozenset[bytes] = frozenset()

    # --- Connections ------------------------------------------------------------------------

    def connect(self, *, initiator: bool, now: float = 0.0) -> None:
        """Start anew with what the disk holds; whatever was not committed is lost."""
        self.connection = Connection(
            self.person.config(expects=self.peer.identity.public if initiator else None),
            initiator=initiator,
            now=now,
            now_ms=NOW_MS,
            rng=self.person.rng,
        )
        self.events = []
        self.uncommitted = []
        self.closed = None
        self._session = self.disk.load_session()
        self._delivered = self.disk.delivered

    @property
    def live(self) -> Connection:
        assert self.connection is not None
        return self.connection

    def receive(self, data: bytes, now: float = 0.0) -> None:
        """Take bytes of the wire (``b""``: its end) and handle all events."""
        self.live.receive_data(data, now=now)
        self.drain(now)

    def take(self) -> bytes:
        """What may leave for the wire now."""
        self.on_take()
        return self.live.data_to_send()

    def drain(self, now: float = 0.0) -> None:
        while (event := self.live.next_event()) is not None:
            self.events.append(event)
            self._handle(event, now)

    def _handle(self, event: Event, now: float) -> None:
        match event:
            case PeerAuthenticated():
                assert event.identity == self.peer.identity.public
                attach = Attach(True, self.person.name, session=self.disk.load_session())
                self.live.send(attach, now=now)
            case SessionBroke():
                self.uncommitted.append(event)
            case SessionChanged():
                if isinstance(event, MessagesDelivered | SessionResumed):
                    self._delivered |= frozenset(event.delivered)
                self._session = event.state
                self.uncommitted.append(event)
            case ConnectionClosed():
                self.closed = event
            case PeerGreeted():
                assert event.accepted
            case _:
                raise AssertionError(event)

    def fill_window(self, now: float = 0.0) -> None:
        """Seal every message that has no envelope yet, as far as the window allows."""
        assert self._session is not None or not self.live.is_open
        while self.live.send_window > 0 and (message := self._next_unsealed()) is not None:
            self.live.send(SendMessage(message), now=now)
            self.drain(now)

    def _next_unsealed(self) -> Text | None:
        assert self._session is not None
        sealed = {item.message_id for item in self._session.unacknowledged}
        for message in self.disk.outbox:
            if message.message_id not in self._delivered and message.message_id not in sealed:
                return message
        return None

    # --- The store ----------------------------------------------------------------------------

    def write(self, message: Text) -> None:
        """The person writes; durable at once."""
        self._put(replace(self.disk, outbox=(*self.disk.outbox, message)))

    def commit(self, count: int | None = None) -> None:
        """Make the first ``count`` uncommitted events durable, one transaction each."""
        for event in self.uncommitted[:count]:
            self._put(_applied(self.disk, event))
            if isinstance(event, SessionChanged):
                self.live.committed(event.revision)
        del self.uncommitted[:count]

    def roll_back(self, disk: Disk) -> None:
        """Put an earlier disk in place; the connection is gone."""
        self.connection = None
        self._put(disk)

    def _put(self, disk: Disk) -> None:
        self.disk = disk
        self.on_write()


def _applied(disk: Disk, event: Event) -> Disk:
    if isinstance(event, SessionBroke):
        return replace(disk, session=None)
    assert isinstance(event, SessionChanged)
    disk = replace(disk, session=stored_session(event.state), received=event.state.received)
    match event:
        case SessionStarted():
            assert event.envelopes == event.state.unacknowledged
            return disk
        case MessageSealed():
            assert event.envelope == event.state.unacknowledged[-1]
            return disk
        case MessagesDelivered() | SessionResumed():
            return replace(disk, delivered=disk.delivered | frozenset(event.delivered))
        case MessageReceived(message=None):
            return disk
        case MessageReceived(message=Text() as message):
            if any(message.message_id == known.message_id for known in disk.inbox):
                return disk
            return replace(disk, inbox=(*disk.inbox, message))
        case _:
            raise AssertionError(event)


class Link:
    """Two shells and the wire between them."""

    def __init__(self, left: Shell, right: Shell) -> None:
        self.left = left
        self.right = right
        self.now = 0.0

    def connect(self, *, left_dials: bool = True) -> None:
        self.left.connect(initiator=left_dials, now=self.now)
        self.right.connect(initiator=not left_dials, now=self.now)

    def step(self, sender: Shell, receiver: Shell) -> bool:
        """Commit, then carry whatever may leave ``sender``; True if anything did."""
        sender.drain(self.now)
        sender.fill_window(self.now)
        sender.commit()
        data = sender.take()
        if data:
            receiver.receive(data, self.now)
            receiver.commit()
        return bool(data)

    def settle(self) -> None:
        """Carry bytes both ways, committing everything, until nothing moves."""
        while self.step(self.left, self.right) | self.step(self.right, self.left):
            pass

    def reconnect(self, *, left_dials: bool = True) -> None:
        self.connect(left_dials=left_dials)
        self.settle()

    def close(self) -> None:
        self.left.live.send(Close(), now=self.now)
        self.settle()


def make_link(left: str = "alice", right: str = "bob") -> Link:
    alice, bob = person(left), person(right)
    return Link(Shell(alice, bob), Shell(bob, alice))


def text(number: int, body: str = "") -> Text:
    return Text(number.to_bytes(16, "big"), number, body or f"message {number}")
