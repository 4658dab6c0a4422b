"""The state table: in code, in protocol.md, and in real connections (protocol.md §8.1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pchat.errors import ErrorCode, LocalProtocolError
from p2pchat.identity.certificate import CERTIFICATE_LEN
from p2pchat.session.connection import Connection
from p2pchat.session.events import (
    Accept,
    Answer,
    AskAgain,
    Attach,
    Command,
    ConnectionClosed,
    PeerAuthenticated,
    SendMessage,
    SendNotice,
)
from p2pchat.session.frames import ClearKind, Kind, encode_clear
from p2pchat.session.greeting import Greeting, encode_greeting
from p2pchat.session.messages import Text
from p2pchat.session.negotiation import IK_HFS, XX_HFS, Suite
from p2pchat.session.notices import CompareNotice
from p2pchat.session.states import TRANSITIONS, State, Trigger, markdown
from tests.support.pairs import (
    Pair,
    Peer,
    authenticated,
    forge,
    offer_of,
    open_pair,
    pair_for,
    person,
)

PROTOCOL = Path(__file__).parents[3] / "protocol.md"
LOCAL: dict[Trigger, Command] = {
    Trigger.ANSWER: Answer(),
    Trigger.ASK_AGAIN: AskAgain(),
    Trigger.ATTACH: Attach(True, "alice"),
    Trigger.ACCEPT: Accept("alice"),
    Trigger.SEND: SendMessage(Text(bytes(16), 0, "hello")),
    Trigger.NOTIFY: SendNotice(CompareNotice(b"1")),
}
RECEIVED = [
    trigger
    for trigger in Trigger
    if trigger not in LOCAL and trigger not in (Trigger.BOTH_ACCEPTED, Trigger.CONFIRMED)
]
DEAF = (State.CONSIDERING, State.AUTHENTICATED, State.CLOSED)
HEARING = [state for state in State if state not in DEAF]
INDEX = bytes(8)
BODIES = {
    Kind.PING: b"12345678",
    Kind.PONG: b"12345678",
    Kind.CLOSE: b"\x00\x00",
    Kind.HELLO: encode_greeting(Greeting(False)),
    Kind.RESUME: b"",
    Kind.RESET: b"",
    Kind.RATCHET_PART: INDEX,
    Kind.RATCHET: INDEX + b"an old one",
    Kind.ACK: (1).to_bytes(8, "big"),
    Kind.CERTIFICATE: bytes(CERTIFICATE_LEN),
    Kind.REVOKED: b"1",
    Kind.COMPARE: b"1",
    Kind.LEDGER: bytes(40),
    Kind.TYPING: bytes(1),
}
"""Bodies that are right in the states that allow them, with ``reach`` below."""
FRAMES = {Trigger[kind.name]: kind for kind in Kind if kind is not Kind.REKEY}
IN_THE_CLEAR = (
    State.AWAIT_PREAMBLE,
    State.AWAIT_MESSAGE_1,
    State.AWAIT_MESSAGE_1_AGAIN,
    State.AWAIT_MESSAGE_2,
    State.AWAIT_MESSAGE_2_AGAIN,
    State.AWAIT_MESSAGE_3,
)
PREAMBLE_LEN = 21
AGAIN = (State.AWAIT_MESSAGE_1_AGAIN, State.AWAIT_MESSAGE_2_AGAIN)
OF_KNOWN_PEERS = (State.CONSIDERING, State.AWAIT_CONFIRMATION)


def fresh(suite: Suite, *, stale: bool = False) -> Pair:
    """A pair that begins with ``suite``; ``stale``: the listener's static key is another now."""
    if not stale:
        return pair_for(suite)
    alice, bob = person("alice"), person("bob")
    offer = offer_of(XX_HFS, IK_HFS)
    knows = person("bob's former key").static.public
    return Pair(
        alice,
        bob,
        dialler_config=alice.config(expects=bob.identity.public, offer=offer, knows=knows),
        listener_config=bob.config(offer=offer),
    )


def reach(state: State, suite: Suite = XX_HFS) -> tuple[Pair, Peer, Peer]:
    """Bring a connection into ``state``; returns the pair, that end, and the other."""
    if state in OF_KNOWN_PEERS:
        suite = IK_HFS
    if state is State.OPEN:
        pair = open_pair()
    else:
        pair = fresh(IK_HFS if state in AGAIN else suite, stale=state in AGAIN)
    a, b = pair.a, pair.b
    match state:
        case State.AWAIT_PREAMBLE:
            a, b = b, a
        case State.AWAIT_MESSAGE_1:
            a, b = b, a
            a.connection.receive_data(b.connection.data_to_send()[:PREAMBLE_LEN], now=pair.now)
            a.drain()
        case State.AWAIT_MESSAGE_3 | State.AWAIT_MESSAGE_1_AGAIN | State.CONSIDERING:
            a, b = b, a
            a.judgement = None
            a.connection.receive_data(b.connection.data_to_send(), now=pair.now)
            a.drain()
        case State.AWAIT_MESSAGE_2_AGAIN:
            b.connection.receive_data(a.connection.data_to_send(), now=pair.now)
            b.drain()
            a.connection.receive_data(b.connection.data_to_send(), now=pair.now)
            a.drain()
        case State.AWAIT_CONFIRMATION:
            a, b = b, a
            pair.pump()
        case State.AWAIT_MESSAGE_2 | State.OPEN:
            pass
        case State.AUTHENTICATED:
            pair.pump()
        case State.GREETING:
            pair.pump()
            a.connection.send(Attach(False, "alice"), now=pair.now)
        case State.PENDING:
            pair.attach(accepted=(False, False))
        case State.SYNCING:
            pair.pump()
            a.connection.send(Attach(True, "alice"), now=pair.now)
            b.connection.send(Attach(True, "bob"), now=pair.now)
            a.connection.receive_data(b.connection.data_to_send(), now=pair.now)
            a.drain()
        case State.CLOSED:
            a.connection.receive_data(b"", now=pair.now)
            a.drain()
    assert a.connection.state is state
    return pair, a, b


def deliver(trigger: Trigger, pair: Pair, subject: Peer, other: Peer) -> None:
    state = subject.connection.state
    if trigger in FRAMES and state not in IN_THE_CLEAR:
        body = BODIES[FRAMES[trigger]]
        if trigger is Trigger.HELLO and state is State.PENDING:
            body = encode_greeting(Greeting(True))
        data = forge(other, FRAMES[trigger], body)
    elif trigger in FRAMES:
        data = encode_clear(ClearKind.NOISE, b"not yet")[:-7] + b"\x7fnot yet"
    elif trigger is Trigger.REFUSE:
        data = encode_clear(ClearKind.REFUSE, b"\x00\x0b")
    elif trigger is Trigger.RETRY:
        data = encode_clear(ClearKind.RETRY, XX_HFS.number.to_bytes(2, "big"))
    elif trigger in (Trigger.MESSAGE_1_XX, Trigger.MESSAGE_1_IK):
        # Any initiator's will do: it only has to be for this responder and its preamble.
        suite = XX_HFS if trigger is Trigger.MESSAGE_1_XX else IK_HFS
        data = pair_for(suite).a.connection.data_to_send()[PREAMBLE_LEN:]
    elif trigger is Trigger.MESSAGE_1_OF_NO_USE:
        data = encode_clear(ClearKind.NOISE, bytes(1808))
    elif trigger is Trigger.NOISE:
        data = noise_frame(pair, subject, other)
    else:
        data = pair_for(XX_HFS).a.connection.data_to_send()[:PREAMBLE_LEN]
        if state is not State.AWAIT_PREAMBLE:
            data += bytes(0x7032)  # where frames are due, "p2" is the length of one
    subject.connection.receive_data(data, now=pair.now)
    subject.drain()


def noise_frame(pair: Pair, subject: Peer, other: Peer) -> bytes:
    """The right handshake message where one is due, any other else."""
    match subject.connection.state:
        case State.AWAIT_MESSAGE_2 | State.AWAIT_MESSAGE_2_AGAIN | State.AWAIT_MESSAGE_3:
            other.connection.receive_data(subject.connection.data_to_send(), now=pair.now)
            other.drain()
            return other.connection.data_to_send()
        case State.AWAIT_MESSAGE_1 | State.AWAIT_MESSAGE_1_AGAIN:
            return encode_clear(ClearKind.NOISE, b"")
        case _:
            return encode_clear(ClearKind.NOISE, bytes(600))


SUITE_FOR = {
    Trigger.MESSAGE_1_IK: IK_HFS,
    Trigger.MESSAGE_1_OF_NO_USE: IK_HFS,
    Trigger.RETRY: IK_HFS,
}
"""With which suite the connection has to begin for the trigger to be a regular one."""


def test_the_table_is_the_one_that_is_written_down() -> None:
    """R-8.1: code and text come from one source, and this holds them together."""
    document = PROTOCOL.read_text()
    start, end = "<!-- state-table -->\n", "\n<!-- /state-table -->"
    assert document.count(start) == document.count(end) == 1
    assert document[document.index(start) + len(start) : document.index(end)] == markdown()


def test_every_state_can_be_reached_and_left() -> None:
    reached = {State.AWAIT_PREAMBLE, State.AWAIT_MESSAGE_2}
    while (
        more := {following for (state, _), following in TRANSITIONS.items() if state in reached}
        - reached
    ):
        reached |= more
    assert reached == set(State)
    assert {state for state, _ in TRANSITIONS} == set(State) - {State.CLOSED}
    assert {trigger for _, trigger in TRANSITIONS} == set(Trigger)


@pytest.mark.parametrize("state", HEARING, ids=lambda state: state.name)
@pytest.mark.parametrize("trigger", RECEIVED, ids=lambda trigger: trigger.name)
def test_each_pair_of_state_and_frame(state: State, trigger: Trigger) -> None:
    """R-4.4.1, R-8.3.5: what is in the table moves as it says, all else is a violation."""
    begins = state in (State.AWAIT_MESSAGE_1, State.AWAIT_MESSAGE_2)
    pair, subject, other = reach(state, SUITE_FOR.get(trigger, XX_HFS) if begins else XX_HFS)
    subject.judgement = None
    deliver(trigger, pair, subject, other)
    expected = TRANSITIONS.get((state, trigger))
    if state is State.AWAIT_CONFIRMATION and trigger in FRAMES:
        expected = TRANSITIONS[state, Trigger.CONFIRMED]  # what it says is judged afterwards
    if expected is not None:
        assert subject.connection.state is expected
        assert expected is State.CLOSED or not subject.of(ConnectionClosed)
    else:
        [closed] = subject.of(ConnectionClosed)
        assert isinstance(closed, ConnectionClosed)
        assert subject.connection.is_closed
        assert (closed.by_peer, closed.clean) == (False, False)
        assert closed.code in (ErrorCode.PROTOCOL_VIOLATION, ErrorCode.HANDSHAKE_FAILED)


@pytest.mark.parametrize("state", State, ids=lambda s: s.name)
@pytest.mark.parametrize("trigger", LOCAL, ids=lambda t: t.name)
def test_each_pair_of_state_and_command(state: State, trigger: Trigger) -> None:
    """R-8.3.5: a command out of place is refused and changes nothing."""
    pair, subject, _ = reach(state)
    subject.connection.data_to_send()
    expected = TRANSITIONS.get((state, trigger))
    if expected is not None:
        subject.connection.send(LOCAL[trigger], now=pair.now)
        assert subject.connection.state is expected
    else:
        with pytest.raises(LocalProtocolError):
            subject.connection.send(LOCAL[trigger], now=pair.now)
        assert subject.connection.state is state
        assert subject.connection.next_event() is None
        assert subject.connection.data_to_send() == b""


@pytest.mark.parametrize("kind", [*FRAMES.values(), 0x7F, 0xFF], ids=int)
def test_the_first_frame_of_a_known_peer_is_its_proof_and_then_judged(kind: int) -> None:
    """R-5.4.8, R-8.3.5: whatever it says; it waits until the shell attaches."""
    pair, subject, other = reach(State.AWAIT_CONFIRMATION)
    assert not subject.of(PeerAuthenticated)
    body = BODIES.get(Kind(kind), b"") if kind < 0x7F else b""
    subject.connection.receive_data(forge(other, kind, body), now=pair.now)
    subject.drain()
    assert authenticated(subject).identity == person("alice").identity.public
    assert subject.connection.state is State.AUTHENTICATED
    subject.connection.send(Attach(False, "bob"), now=pair.now)
    subject.drain()
    after = TRANSITIONS.get((State.GREETING, Trigger[Kind(kind).name])) if kind < 0x7F else None
    if kind == 0xFF:
        after = State.GREETING
    assert subject.connection.state is (after or State.CLOSED)


def test_nothing_is_parsed_before_the_shell_attaches() -> None:
    """R-8.3.5: what comes early waits, and is judged afterwards."""
    pair, subject, other = reach(State.AUTHENTICATED)
    subject.connection.receive_data(forge(other, Kind.RATCHET, INDEX), now=pair.now)
    assert subject.connection.next_event() is None
    subject.connection.receive_data(b"", now=pair.now)
    assert subject.connection.next_event() is None
    assert subject.connection.state is State.AUTHENTICATED
    subject.connection.send(Attach(True, "alice"), now=pair.now)
    event = subject.connection.next_event()
    assert isinstance(event, ConnectionClosed)
    assert event.code is ErrorCode.PROTOCOL_VIOLATION


def test_a_closed_connection_hears_nothing() -> None:
    pair, subject, other = reach(State.CLOSED)
    before = list(subject.events)
    for data in (other.connection.data_to_send(), b"\x00\x00", b""):
        subject.connection.receive_data(data, now=pair.now)
        assert subject.connection.next_event() is None
    subject.connection.handle_timeout(pair.now + 1e6)
    assert subject.connection.next_event() is None
    assert subject.connection.next_deadline() is None
    assert subject.events == before


def test_both_roles_start_where_the_table_says() -> None:
    states = [Pair(person("alice"), person("bob")).a, Pair(person("alice"), person("bob")).b]
    assert [peer.connection.state for peer in states] == [
        State.AWAIT_MESSAGE_2,
        State.AWAIT_PREAMBLE,
    ]
    assert all(isinstance(peer.connection, Connection) for peer in states)
