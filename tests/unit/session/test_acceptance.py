"""Greeting, contact requests, acceptance and silence (protocol.md §8.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.errors import ErrorCode, LocalProtocolError
from p2pchat.identity.succession import succeed
from p2pchat.session.events import (
    Accept,
    Attach,
    Close,
    Event,
    PeerGreeted,
    SendMessage,
    SessionChanged,
    SessionStarted,
)
from p2pchat.session.frames import Kind
from p2pchat.session.greeting import Announcement, Greeting, encode_greeting
from p2pchat.session.ledger import Head, LedgerSummary
from p2pchat.session.messages import Text
from p2pchat.session.states import State
from tests.support.pairs import Pair, Peer, closed, forge, open_pair, pair_of, person

HELLO = SendMessage(Text(bytes(16), 0, "hello"))


def attached(alice: Attach, bob: Attach) -> Pair:
    pair = pair_of()
    pair.pump()
    pair.a.connection.send(alice, now=pair.now)
    pair.b.connection.send(bob, now=pair.now)
    pair.pump()
    return pair


def request() -> Pair:
    """Alice has dialled bob, who does not know her yet."""
    return attached(Attach(True, "Alice", "We met at the fair."), Attach(False, "Bob"))


def greetings(peer: Peer) -> list[Event]:
    return peer.of(PeerGreeted)


def test_two_who_accepted_each_other_start_at_once() -> None:
    """R-8.4.1, R-8.4.4."""
    pair = attached(Attach(True, "Alice"), Attach(True, "Bob"))
    assert greetings(pair.a) == [PeerGreeted(True, "Bob", None)]
    assert greetings(pair.b) == [PeerGreeted(True, "Alice", None)]
    for peer in (pair.a, pair.b):
        [started] = peer.of(SessionStarted)
        assert isinstance(started, SessionStarted)
        assert not started.replaced
        assert peer.connection.is_open
        assert peer.connection.send_window == 256


def test_a_request_shows_a_name_and_a_note_and_gets_neither() -> None:
    """R-8.3.1, R-8.3.2."""
    pair = request()
    assert greetings(pair.b) == [PeerGreeted(True, "Alice", "We met at the fair.")]
    assert greetings(pair.a) == [PeerGreeted(False, None, None)]
    for peer in (pair.a, pair.b):
        assert peer.connection.state is State.PENDING
        assert peer.connection.send_window == 0
        assert not peer.of(SessionChanged)


def test_a_request_can_be_accepted_on_the_same_connection() -> None:
    """R-8.3.4."""
    pair = request()
    pair.command(pair.b, Accept("Bob"))
    pair.pump()
    assert greetings(pair.a) == [PeerGreeted(False, None, None), PeerGreeted(True, "Bob", None)]
    assert pair.a.connection.is_open
    assert pair.b.connection.is_open
    pair.command(pair.a, HELLO)
    pair.pump()
    assert pair.a.state.acknowledged == 2


def test_an_account_of_the_conversation_goes_to_the_accepted_alone() -> None:
    """R-8.6.2: with the first HELLO, or with the second that accepts."""
    alices = LedgerSummary(Head(1, b"s" * 32), Head(2, b"r" * 32))
    bobs = LedgerSummary(alices.received, alices.sent)
    pair = attached(Attach(True, "Alice", ledger=alices), Attach(False, "Bob", ledger=bobs))
    assert greetings(pair.b) == [PeerGreeted(True, "Alice", None, alices)]
    assert greetings(pair.a) == [PeerGreeted(False, None, None)]
    pair.command(pair.b, Accept("Bob", ledger=bobs))
    pair.pump()
    assert greetings(pair.a)[1:] == [PeerGreeted(True, "Bob", None, bobs)]


def announced(to: str) -> Announcement:
    """An old identity of alice's says that ``to`` takes its place."""
    succession = succeed(Secret(b"o" * 32), person(to).identity.seed, now_ms=1)
    return Announcement(7, succession)


def test_announcements_and_kinds_go_to_the_accepted_alone() -> None:
    """R-3.7.9: with the first HELLO, or with the second that accepts."""
    kinds, announcement = frozenset({"text", "edit"}), announced("alice")
    first = Attach(True, "Alice", announcement=announcement, kinds=kinds)
    second = Accept("Alice", announcement=announcement, kinds=kinds)
    arrived = PeerGreeted(True, "Alice", None, announcement=announcement, kinds=kinds)
    assert greetings(attached(first, Attach(False, "Bob")).b) == [arrived]
    pair = attached(replace(first, accepted=False), Attach(True, "Bob"))
    pair.command(pair.a, second)
    pair.pump()
    assert greetings(pair.b) == [PeerGreeted(False, None, None), arrived]


def test_nobody_announces_somebody_else() -> None:
    """R-3.7.9."""
    pair = attached(Attach(True, "Alice", announcement=announced("carol")), Attach(True, "Bob"))
    assert closed(pair.b).code is ErrorCode.PROTOCOL_VIOLATION
    assert not greetings(pair.b)


def test_or_on_the_next_one() -> None:
    pair = request()
    pair.command(pair.b, Close())
    pair.pump()
    again = attached(Attach(True, "Alice"), Attach(True, "Bob"))
    assert again.a.connection.is_open


def test_both_may_hesitate_and_accept_in_any_order() -> None:
    """R-8.3.4, R-8.4.1."""
    for first_is_alice in (True, False):
        pair = attached(Attach(False, "Alice"), Attach(False, "Bob"))
        order = (pair.a, pair.b) if first_is_alice else (pair.b, pair.a)
        for peer in order:
            assert not peer.connection.is_open
            pair.command(peer, Accept("Me"))
            pair.pump()
        assert pair.a.connection.is_open
        assert pair.b.connection.is_open


def test_both_accept_at_the_same_moment() -> None:
    """R-8.3.4: the second HELLOs cross on the way."""
    pair = attached(Attach(False, "Alice"), Attach(False, "Bob"))
    pair.command(pair.a, Accept("Alice"))
    pair.command(pair.b, Accept("Bob"))
    pair.pump()
    assert pair.a.connection.is_open
    assert pair.b.connection.is_open


def test_accepting_before_the_peers_hello_has_come() -> None:
    """R-8.3.4: while the first is still on its way."""
    pair = pair_of()
    pair.pump()
    pair.b.connection.send(Attach(False, "Bob"), now=pair.now)
    pair.b.connection.send(Accept("Bob"), now=pair.now)
    assert pair.b.connection.state is State.GREETING
    pair.a.connection.send(Attach(True, "Alice"), now=pair.now)
    pair.pump()
    assert pair.a.connection.is_open
    assert pair.b.connection.is_open
    assert greetings(pair.a) == [PeerGreeted(False, None, None), PeerGreeted(True, "Bob", None)]


def test_what_is_accepted_cannot_be_accepted_again() -> None:
    """R-8.3.4."""
    pair = attached(Attach(True, "Alice"), Attach(False, "Bob"))
    with pytest.raises(LocalProtocolError, match="already"):
        pair.a.connection.send(Accept("Alice"), now=pair.now)
    assert pair.a.connection.state is State.PENDING
    assert pair.a.connection.data_to_send() == b""


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_a_second_hello_may_only_accept(first: bool, second: bool) -> None:
    """R-8.3.4."""
    pair = attached(Attach(first, "Alice"), Attach(False, "Bob"))
    body = encode_greeting(Greeting(second, "Alice"))
    pair.b.connection.receive_data(forge(pair.a, Kind.HELLO, body), now=pair.now)
    pair.b.drain()
    if second and not first:
        assert pair.b.connection.state is State.PENDING
        pair.b.connection.receive_data(forge(pair.a, Kind.HELLO, body), now=pair.now)
        pair.b.drain()
    assert closed(pair.b).code is ErrorCode.PROTOCOL_VIOLATION


ALWAYS = {Kind.HELLO, Kind.PING, Kind.PONG, Kind.CLOSE, Kind.REKEY}


@pytest.mark.parametrize("kind", sorted(set(Kind) - ALWAYS))
def test_a_stranger_may_say_nothing_else(kind: Kind) -> None:
    """R-8.3.5."""
    pair = request()
    body = bytes(8) if kind in (Kind.ACK, Kind.RATCHET, Kind.RATCHET_PART) else b""
    pair.b.connection.receive_data(forge(pair.a, kind, body), now=pair.now)
    pair.b.drain()
    assert closed(pair.b).code is ErrorCode.PROTOCOL_VIOLATION
    assert not pair.b.of(SessionChanged)


def test_nor_can_one_who_waits_be_made_to_speak() -> None:
    """R-8.3.5: whom we asked has not accepted us, so nothing of ours leaves."""
    pair = request()
    with pytest.raises(LocalProtocolError):
        pair.a.connection.send(HELLO, now=pair.now)
    assert pair.a.connection.data_to_send() == b""


def test_blocked_looks_like_not_accepted() -> None:
    """R-8.3.1: the same frames of the same sizes, whatever we hold of the blocked one."""
    session = open_pair().b.state
    sizes = []
    for bob in (Attach(False, "Bob"), Attach(False, "B" * 64, "a note", session)):
        pair = pair_of()
        seen: list[int] = []
        pair.pump()
        pair.a.connection.send(Attach(True, "Alice"), now=pair.now)
        pair.b.connection.send(bob, now=pair.now)

        def measure(data: bytes, seen: list[int] = seen) -> bytes:
            seen.append(len(data))
            return data

        pair.pump(measure)
        pair.now += 20
        pair.b.connection.handle_timeout(pair.now)
        pair.pump(measure)
        sizes.append(seen)
        assert greetings(pair.a) == [PeerGreeted(False, None, None)]
    assert sizes[0] == sizes[1]
    assert len(sizes[0]) >= 3


def test_a_session_is_not_mentioned_to_whom_we_do_not_accept() -> None:
    """R-8.3.1: and it is not used, either."""
    old = open_pair()
    pair = attached(
        Attach(True, "Alice", session=old.a.state), Attach(False, "Bob", session=old.b.state)
    )
    pair.command(pair.b, Accept("Bob"))
    pair.pump()
    [started] = pair.a.of(SessionStarted)
    assert isinstance(started, SessionStarted)
    assert started.replaced


def test_accepting_with_the_stored_session_resumes_it() -> None:
    """R-8.4.2: unblocking does not cost a session."""
    old = open_pair()
    pair = attached(Attach(True, "Alice", session=old.a.state), Attach(False, "Bob"))
    pair.command(pair.b, Accept("Bob", session=old.b.state))
    pair.pump()
    assert pair.a.state.session_id == old.a.state.session_id
    assert not pair.a.of(SessionStarted)


def test_names_come_out_clean() -> None:
    """R-8.3.3."""
    pair = attached(Attach(True, "A\x1b]0;x\x07\nb\u202e", "\x1b[2J"), Attach(False, ""))
    [greeted] = greetings(pair.b)
    assert isinstance(greeted, PeerGreeted)
    assert greeted.name
    assert greeted.name.isprintable()
    assert greeted.note
    assert greeted.note.isprintable()


@pytest.mark.parametrize(
    "attach",
    [Attach(True, "n" * 65), Attach(True, "Alice", "n" * 281), Attach(True, "\udcff")],
    ids=["name", "note", "surrogate"],
)
def test_an_attach_that_cannot_be_said_changes_nothing(attach: Attach) -> None:
    pair = pair_of()
    pair.pump()
    with pytest.raises(LocalProtocolError):
        pair.a.connection.send(attach, now=pair.now)
    assert pair.a.connection.state is State.AUTHENTICATED
    assert pair.a.connection.data_to_send() == b""
    pair.attach()
    assert pair.a.connection.is_open


def test_a_hello_that_is_not_one_ends_the_connection() -> None:
    """R-8.3.3, R-9.1.1."""
    for body in (b"", b"\x80", b"\xc1", b"\x81\xa8accepted\x01"):
        pair = pair_of()
        pair.pump()
        pair.b.connection.send(Attach(True, "Bob"), now=pair.now)
        pair.b.connection.receive_data(forge(pair.a, Kind.HELLO, body), now=pair.now)
        pair.b.drain()
        assert closed(pair.b).code is ErrorCode.PROTOCOL_VIOLATION


def test_what_is_sent_before_we_look_is_bounded() -> None:
    """R-5.4.7: who floods before its first greeting is answered does not fill our memory."""
    pair = pair_of()
    pair.pump()
    pair.b.connection.receive_data(bytes(65537), now=pair.now)
    assert pair.b.connection.next_event() is None
    assert pair.b.connection.state is State.AUTHENTICATED
    pair.b.connection.receive_data(b"\x00", now=pair.now)
    pair.b.drain()
    assert closed(pair.b).code is ErrorCode.LIMIT_EXCEEDED
    pair.pump()
    assert pair.a.connection.state is State.AUTHENTICATED
    pair.a.connection.send(Attach(True, "Alice"), now=pair.now)
    pair.a.drain()
    assert (closed(pair.a).code, closed(pair.a).by_peer) == (ErrorCode.LIMIT_EXCEEDED, True)


def test_whoever_says_nothing_is_nobody() -> None:
    """R-7.4.4: between the handshake and the greeting, too."""
    pair = pair_of()
    pair.pump()
    pair.a.connection.send(Attach(True, person("alice").name), now=pair.now)
    pair.a.connection.handle_timeout(pair.now + 10)
    pair.a.drain()
    assert closed(pair.a).code is ErrorCode.TIMEOUT
