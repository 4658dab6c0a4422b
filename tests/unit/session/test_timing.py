"""Deadlines, keepalive and ends, to the exact moment (protocol.md §7.4, §7.5)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pchat.errors import ErrorCode
from p2pchat.session.events import Attach, Close, ConnectionClosed, SendMessage
from p2pchat.session.frames import Kind
from p2pchat.session.messages import Text
from p2pchat.session.states import State
from tests.support.pairs import Pair, Peer, closed, codes, forge, frames_of, open_pair, pair_of

EARLY = 2.0**-20
"""Before a deadline by less than any timer can tell."""


def tick(pair: Pair, peer: Peer, now: float) -> bytes:
    """Let the time come, and return what leaves."""
    pair.now = now
    peer.connection.handle_timeout(now)
    peer.drain()
    return peer.connection.data_to_send()


def pending() -> Pair:
    pair = pair_of()
    pair.attach(accepted=(True, False))
    return pair


def test_a_handshake_has_ten_seconds() -> None:
    """R-7.4.4: on both sides, from the start, however busy the peer is."""
    pair = pair_of()
    start = pair.now
    first = pair.a.connection.data_to_send()
    for peer in (pair.a, pair.b):
        assert peer.connection.next_deadline() == start + 10
        tick(pair, peer, start + 10 - EARLY)
        assert not peer.connection.is_closed
    pair.b.connection.receive_data(first[:30], now=start + 9)
    pair.b.drain()
    assert pair.b.connection.next_deadline() == start + 10
    tick(pair, pair.a, start + 10)
    assert closed(pair.a) == ConnectionClosed(
        ErrorCode.TIMEOUT, by_peer=False, clean=False, reason=closed(pair.a).reason
    )
    tick(pair, pair.b, start + 10)
    assert closed(pair.b).code is ErrorCode.TIMEOUT
    assert "too long" in closed(pair.b).reason


def test_and_ten_more_from_there_to_a_greeting() -> None:
    """R-7.4.4: counted from the authentication, not from the shell's answer to it."""
    pair = pair_of()
    pair.now += 8
    pair.pump()
    proven = pair.now
    for peer in (pair.a, pair.b):
        assert peer.connection.state is State.AUTHENTICATED
        assert peer.connection.next_deadline() == proven + 10
    pair.a.connection.send(Attach(True, "alice"), now=proven + 5)
    assert pair.a.connection.data_to_send()
    assert pair.a.connection.next_deadline() == proven + 10
    tick(pair, pair.a, proven + 10 - EARLY)
    assert not pair.a.connection.is_closed
    tick(pair, pair.a, proven + 10)
    assert closed(pair.a).code is ErrorCode.TIMEOUT
    tick(pair, pair.b, proven + 10)
    assert closed(pair.b).code is ErrorCode.TIMEOUT


def test_a_pending_request_may_wait_for_its_person() -> None:
    """R-7.4.4: kept alive, and for as long as it takes."""
    pair = pending()
    for _ in range(100):
        pair.now += 15
        for peer in (pair.a, pair.b):
            peer.connection.handle_timeout(pair.now)
        pair.pump()
    assert pair.a.connection.state is pair.b.connection.state is State.PENDING


def test_the_agreement_on_a_session_has_ten_seconds_of_its_own() -> None:
    """R-7.4.4."""
    pair = pair_of()
    pair.pump()
    pair.now += 6
    pair.a.connection.send(Attach(True, "alice"), now=pair.now)
    pair.b.connection.send(Attach(True, "bob"), now=pair.now)
    pair.a.connection.receive_data(pair.b.connection.data_to_send(), now=pair.now)
    pair.a.drain()
    assert pair.a.connection.state is State.SYNCING
    pair.a.connection.data_to_send()
    assert pair.a.connection.next_deadline() == pair.now + 10
    tick(pair, pair.a, pair.now + 10)
    assert closed(pair.a).code is ErrorCode.TIMEOUT


@pytest.mark.parametrize("make", [open_pair, pending])
def test_a_ping_leaves_after_fifteen_silent_seconds(make: Callable[[], Pair]) -> None:
    """R-7.4.1."""
    pair = make()
    start = pair.now
    assert pair.a.connection.next_deadline() == start + 15
    assert tick(pair, pair.a, start + 15 - EARLY) == b""
    [ping] = frames_of(tick(pair, pair.a, start + 15))
    assert len(ping) == 2 + 256 + 16
    assert pair.a.connection.next_deadline() == start + 30
    pair.b.connection.receive_data(ping, now=pair.now)
    pair.b.drain()
    [pong] = frames_of(pair.b.connection.data_to_send())
    assert len(pong) == len(ping)
    pair.a.connection.receive_data(pong, now=pair.now)
    pair.a.drain()
    assert not pair.a.connection.is_closed
    assert pair.a.connection.data_to_send() == b""


def test_whatever_is_sent_puts_the_ping_off() -> None:
    """R-7.4.1: only silence needs one."""
    pair = open_pair()
    start = pair.now
    pair.now = start + 10
    pair.command(pair.a, SendMessage(Text(bytes(16), 0, "hello")))
    assert pair.a.connection.data_to_send()
    assert pair.a.connection.next_deadline() == start + 25
    assert tick(pair, pair.a, start + 15) == b""
    assert tick(pair, pair.a, start + 25)


def test_a_message_that_may_not_leave_does_not_count_as_sent() -> None:
    """R-7.4.1: a slow disk must not make us look dead."""
    pair = open_pair()
    pair.a.commit_at_once = False
    start = pair.now
    pair.now = start + 10
    pair.command(pair.a, SendMessage(Text(bytes(16), 0, "hello")))
    assert pair.a.connection.data_to_send() == b""
    assert pair.a.connection.next_deadline() == start + 15
    [ping] = frames_of(tick(pair, pair.a, start + 15))
    pair.b.connection.receive_data(ping, now=pair.now)
    pair.b.drain()
    assert len(frames_of(pair.b.connection.data_to_send())) == 1


def test_a_peer_that_is_silent_for_45_seconds_is_gone() -> None:
    """R-7.4.3: though we kept pinging it."""
    pair = open_pair()
    start = pair.now
    for seconds in (15, 30, 45 - EARLY):
        tick(pair, pair.a, start + seconds)
        assert not pair.a.connection.is_closed
    data = tick(pair, pair.a, start + 45)
    assert (closed(pair.a).code, closed(pair.a).clean) == (ErrorCode.TIMEOUT, False)
    assert "silent" in closed(pair.a).reason
    assert len(frames_of(data)) == 1
    assert pair.a.connection.next_deadline() is None


def test_stray_bytes_keep_nobody_alive() -> None:
    """R-7.4.3: on the path, somebody feeds us the beginning of a frame that never ends."""
    pair = open_pair()
    start = pair.now
    pair.a.connection.receive_data(b"\xff\xff", now=start + 1)
    for second in range(2, 45):
        pair.a.connection.receive_data(b"x", now=start + second)
        assert pair.a.drain() == []
    tick(pair, pair.a, start + 45)
    assert closed(pair.a).code is ErrorCode.TIMEOUT


def test_anything_received_keeps_the_connection_alive() -> None:
    """R-7.4.3: any frame that authenticates."""
    pair = open_pair()
    start = pair.now
    pair.a.connection.receive_data(forge(pair.b, Kind.PONG, bytes(8)), now=start + 40)
    pair.a.drain()
    tick(pair, pair.a, start + 85 - EARLY)
    assert not pair.a.connection.is_closed
    tick(pair, pair.a, start + 85)
    assert closed(pair.a).code is ErrorCode.TIMEOUT


def test_deadlines_only_move_on() -> None:
    """A shell that sleeps until each deadline and acts is never asked to act twice at once."""
    pair = open_pair()
    last = pair.now
    for _ in range(6):
        deadline = pair.a.connection.next_deadline()
        if deadline is None:
            break
        assert deadline > last
        last = deadline
        tick(pair, pair.a, deadline)
    assert closed(pair.a).code is ErrorCode.TIMEOUT


def test_a_timeout_before_its_time_does_nothing() -> None:
    for make in (pair_of, pending, open_pair):
        pair = make()
        for peer in (pair.a, pair.b):
            state = peer.connection.state
            peer.connection.data_to_send()
            assert tick(pair, peer, pair.now) == b""
            assert peer.connection.state is state


def test_a_goodbye_is_authenticated_and_clean() -> None:
    """R-7.5.1."""
    pair = open_pair()
    pair.command(pair.a, Close(ErrorCode.GOING_AWAY, "the program ends"))
    ours = closed(pair.a)
    assert (ours.code, ours.by_peer, ours.clean) == (ErrorCode.GOING_AWAY, False, True)
    assert ours.reason == "the program ends"
    pair.pump()
    theirs = closed(pair.b)
    assert (theirs.code, theirs.by_peer, theirs.clean) == (ErrorCode.GOING_AWAY, True, True)
    assert "program" not in theirs.reason
    assert pair.b.connection.data_to_send() == b""


def test_a_second_goodbye_says_nothing_more() -> None:
    pair = open_pair()
    pair.command(pair.a, Close())
    assert len(frames_of(pair.a.connection.data_to_send())) == 1
    pair.command(pair.a, Close())
    assert pair.a.connection.data_to_send() == b""
    assert len(pair.a.of(ConnectionClosed)) == 1


@pytest.mark.parametrize("make", [pair_of, pending, open_pair])
@pytest.mark.parametrize("partial", [b"", b"\x01", b"\x01\x10abc"])
def test_the_end_without_a_goodbye_is_a_truncation(
    make: Callable[[], Pair], partial: bytes
) -> None:
    """R-7.5.2: in the middle of a frame or between two."""
    pair = make()
    if partial and pair.b.connection.state is State.AWAIT_PREAMBLE:
        partial = b"p2pchat\n"[: len(partial)]
    for peer in (pair.a, pair.b):
        if partial:
            peer.connection.receive_data(partial, now=pair.now)
        peer.connection.receive_data(b"", now=pair.now)
        peer.drain()
    assert codes(pair) == (ErrorCode.TRUNCATED, ErrorCode.TRUNCATED)
    for peer in (pair.a, pair.b):
        assert (closed(peer).by_peer, closed(peer).clean) == (True, False)
        assert peer.connection.data_to_send() == b""


def test_what_came_before_the_end_still_counts() -> None:
    """R-7.5.2: a goodbye that has arrived makes the end an orderly one."""
    pair = open_pair()
    pair.command(pair.a, SendMessage(Text(bytes(16), 0, "last words")))
    data = pair.a.connection.data_to_send()
    pair.command(pair.a, Close())
    pair.b.connection.receive_data(data + pair.a.connection.data_to_send(), now=pair.now)
    pair.b.connection.receive_data(b"", now=pair.now)
    pair.b.drain()
    assert pair.b.state.received == 2
    assert closed(pair.b).clean


@pytest.mark.parametrize("code", [0x0777, 0xFFFF, 0x000D])
def test_a_goodbye_with_another_code(code: int) -> None:
    """Section 12: an unknown code counts as a plain violation."""
    pair = open_pair()
    pair.b.connection.receive_data(forge(pair.a, Kind.CLOSE, code.to_bytes(2, "big")), now=pair.now)
    pair.b.drain()
    known = code == ErrorCode.TRUNCATED
    assert closed(pair.b).code is (ErrorCode.TRUNCATED if known else ErrorCode.PROTOCOL_VIOLATION)


def test_a_failure_ends_with_its_code_as_the_last_frame() -> None:
    """R-7.5.1: and with nothing else of what happened."""
    pair = open_pair()
    pair.b.connection.receive_data(forge(pair.a, Kind.HELLO), now=pair.now)
    pair.b.drain()
    [close] = frames_of(pair.b.connection.data_to_send())
    pair.a.connection.receive_data(close, now=pair.now)
    pair.a.drain()
    assert (closed(pair.a).code, closed(pair.a).by_peer) == (ErrorCode.PROTOCOL_VIOLATION, True)
