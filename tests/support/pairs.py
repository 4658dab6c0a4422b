"""Real pairs of connections joined by nothing but bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

from p2pchat.crypto import x25519
from p2pchat.crypto.secret import Rng
from p2pchat.errors import ErrorCode
from p2pchat.identity.certificate import issue
from p2pchat.identity.keys import IdentityKey, generate_identity
from p2pchat.session.connection import Connection
from p2pchat.session.credentials import ConnectionConfig
from p2pchat.session.delivery import Envelope, SessionState, decode_session, encode_session
from p2pchat.session.events import (
    Answer,
    AskAgain,
    Attach,
    Command,
    ConnectionClosed,
    Event,
    FirstMessageRead,
    PeerAuthenticated,
    SessionChanged,
    SessionStarted,
)
from p2pchat.session.negotiation import OUR_OFFER, SUITES, Offer, Suite
from p2pchat.session.states import State

if TYPE_CHECKING:
    from p2pchat.session.frames import Kind

E = TypeVar("E")

NOW_MS = 1_790_000_000_000
"""A wall clock for tests: September 2026."""


ALL_SUITES = tuple(SUITES.values())
XX_SUITES = tuple(suite for suite in ALL_SUITES if not suite.knows_responder)
IK_SUITES = tuple(suite for suite in ALL_SUITES if suite.knows_responder)


def suite_id(suite: object) -> str:
    """Name a suite in a parametrised test."""
    assert isinstance(suite, Suite)
    return suite.noise_name.split("_")[1]


def offer_of(*suites: Suite) -> Offer:
    """An offer of this version with these suites only."""
    return Offer(OUR_OFFER.versions, tuple(sorted(suite.number for suite in suites)))


def seeded_rng(seed: str) -> Rng:
    """A reproducible source: SHA-256 in counter mode over a seed. For tests only."""
    counter = 0

    def rng(count: int) -> bytes:
        nonlocal counter
        out = b""
        while len(out) < count:
            out += hashlib.sha256(f"{seed}/{counter}".encode()).digest()
            counter += 1
        return out[:count]

    return rng


@dataclass
class Person:
    """Someone with an identity and a static key."""

    name: str
    rng: Rng
    identity: IdentityKey = field(init=False)
    static: x25519.KeyPair = field(init=False)

    def __post_init__(self) -> None:
        self.identity = generate_identity(rng=self.rng)
        self.static = x25519.generate(rng=self.rng)

    def config(
        self,
        *,
        expects: bytes | None = None,
        generation: int = 0,
        offer: Offer = OUR_OFFER,
        knows: bytes | None = None,
        stealth: bool = False,
    ) -> ConnectionConfig:
        certificate = issue(
            self.identity.seed, self.static.public, generation=generation, now_ms=NOW_MS
        )
        return ConnectionConfig(certificate, self.static, expects, offer, knows, stealth)


def person(name: str) -> Person:
    return Person(name, seeded_rng(name))


class Peer:
    """One end: a Connection and the store beside it, reduced to a snapshot and envelopes."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.events: list[Event] = []
        self.commit_at_once = True
        self.judgement: Answer | AskAgain | None = Answer()

    def drain(self) -> list[Event]:
        """Take all events; commit what they changed, judge first messages, unless told not to."""
        taken: list[Event] = []
        while (event := self.connection.next_event()) is not None:
            taken.append(event)
            if isinstance(event, FirstMessageRead) and self.judgement is not None:
                self.connection.send(self.judgement, now=self.connection._timers.now)
        self.events += taken
        if self.commit_at_once:
            self.commit()
        return taken

    def commit(self) -> None:
        for event in reversed(self.events):
            if isinstance(event, SessionChanged):
                self.connection.committed(event.revision)
                return

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def state(self) -> SessionState:
        """The session as the store would give it back: through its encoding."""
        for event in reversed(self.events):
            if isinstance(event, SessionChanged):
                return stored(event.state)
        raise AssertionError("no session yet")


def stored(state: SessionState) -> SessionState:
    envelopes = [
        Envelope(item.index, item.envelope, item.digest, item.message_id)
        for item in state.unacknowledged
    ]
    return decode_session(encode_session(state), envelopes)


class Pair:
    """Two ends of one connection; ``now`` is both sides' monotonic clock."""

    def __init__(
        self,
        dialler: Person,
        listener: Person,
        *,
        dialler_config: ConnectionConfig | None = None,
        listener_config: ConnectionConfig | None = None,
    ) -> None:
        self.now = 100.0
        self.a = Peer(
            Connection(
                dialler_config or dialler.config(expects=listener.identity.public),
                initiator=True,
                now=self.now,
                now_ms=NOW_MS,
                rng=dialler.rng,
            )
        )
        self.b = Peer(
            Connection(
                listener_config or listener.config(),
                initiator=False,
                now=self.now,
                now_ms=NOW_MS,
                rng=listener.rng,
            )
        )
        self.names = dialler.name, listener.name

    def pump(self, change: Callable[[bytes], bytes] = lambda data: data) -> None:
        """Carry bytes both ways until nothing moves; ``change`` sees each piece on its way."""
        moved = True
        while moved:
            moved = False
            for sender, receiver in ((self.a, self.b), (self.b, self.a)):
                sender.drain()
                data = sender.connection.data_to_send()
                if data:
                    moved = True
                    receiver.connection.receive_data(change(data), now=self.now)
                    receiver.drain()

    def attach(
        self,
        *,
        sessions: tuple[SessionState | None, SessionState | None] = (None, None),
        accepted: tuple[bool, bool] = (True, True),
    ) -> None:
        self.pump()
        for peer, name, accept, session in zip(
            (self.a, self.b), self.names, accepted, sessions, strict=True
        ):
            if peer.connection.state is State.AWAIT_CONFIRMATION:
                self.pump()
            peer.connection.send(Attach(accept, name, session=session), now=self.now)
        self.pump()

    def command(self, peer: Peer, command: Command) -> list[Event]:
        peer.connection.send(command, now=self.now)
        return peer.drain()


def forge(sender: Peer, kind: int, body: bytes = b"") -> bytes:
    """Return a frame that ``sender``'s own program would not send now, under its real keys."""
    sender.connection._outgoing.control(cast("Kind", kind), body)
    return sender.connection.data_to_send()


def frames_of(data: bytes) -> list[bytes]:
    """Cut a stream of frames, as anybody on the path can: the lengths are in the clear."""
    frames = []
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        frames.append(data[:end])
        data = data[end:]
    return frames


def pair_for(suite: Suite, a: str = "alice", b: str = "bob") -> Pair:
    """A pair whose dialler begins with ``suite`` and offers it and what it needs for a RETRY."""
    alice, bob = person(a), person(b)
    offer = offer_of(*(other for other in ALL_SUITES if other.strength == suite.strength))
    return Pair(
        alice,
        bob,
        dialler_config=alice.config(
            expects=bob.identity.public,
            offer=offer,
            knows=bob.static.public if suite.knows_responder else None,
        ),
        listener_config=bob.config(offer=offer),
    )


def open_pair(a: str = "alice", b: str = "bob", suite: Suite | None = None) -> Pair:
    """A pair with a fresh session, both ends open."""
    pair = Pair(person(a), person(b)) if suite is None else pair_for(suite, a, b)
    pair.attach()
    assert pair.a.of(SessionStarted)
    assert pair.b.of(SessionStarted)
    return pair


def closed(peer: Peer) -> ConnectionClosed:
    [event] = peer.of(ConnectionClosed)
    assert isinstance(event, ConnectionClosed)
    return event


def codes(pair: Pair) -> tuple[ErrorCode, ErrorCode]:
    return closed(pair.a).code, closed(pair.b).code


def authenticated(peer: Peer) -> PeerAuthenticated:
    [event] = peer.of(PeerAuthenticated)
    assert isinstance(event, PeerAuthenticated)
    return event


def pair_of(alice: ConnectionConfig | None = None, bob: ConnectionConfig | None = None) -> Pair:
    return Pair(person("alice"), person("bob"), dialler_config=alice, listener_config=bob)
