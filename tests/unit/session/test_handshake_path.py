"""Handshakes that somebody on the path spoils (protocol.md §4.4, §5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.errors import ErrorCode
from p2pchat.session.events import Close, PeerAuthenticated
from p2pchat.session.frames import (
    ClearKind,
    Kind,
    encode_clear,
)
from p2pchat.session.negotiation import Suite
from tests.support.pairs import (
    ALL_SUITES,
    IK_SUITES,
    XX_SUITES,
    Pair,
    closed,
    codes,
    forge,
    offer_of,
    open_pair,
    pair_for,
    pair_of,
    person,
    suite_id,
)


def flights(suite: Suite) -> list[bytes]:
    pair = pair_for(suite)
    found: list[bytes] = []

    def record(data: bytes) -> bytes:
        found.append(data)
        return data

    pair.pump(record)
    return found


FLIGHTS = {suite: flights(suite) for suite in ALL_SUITES}
EACH_FLIGHT = pytest.mark.parametrize(
    ("suite", "flight"),
    [(suite, number) for suite in ALL_SUITES for number in range(len(FLIGHTS[suite]))],
    ids=lambda value: suite_id(value) if isinstance(value, Suite) else str(value),
)
PREAMBLE_LEN = 21


def test_there_are_two_flights_with_known_peers_and_three_otherwise() -> None:
    """§5.3."""
    assert {suite_id(suite): len(found) for suite, found in FLIGHTS.items()} == {
        "XX": 3,
        "IK": 2,
        "XXhfs": 3,
        "IKhfs": 2,
    }


@EACH_FLIGHT
def test_a_byte_changed_in_a_flight(suite: Suite, flight: int) -> None:
    """R-5.4.1, R-5.5.5, R-7.1.1: nobody who matters believes it, and no one is left waiting."""
    length = len(FLIGHTS[suite][flight])
    head = range(PREAMBLE_LEN + 3 + 32) if flight == 0 else ()
    for place in [*head, *range(len(head), length, 29)]:
        pair = pair_for(suite)
        number = -1

        def spoil(data: bytes, place: int = place) -> bytes:
            nonlocal number
            number += 1
            if number != flight:
                return data
            return data[:place] + bytes([data[place] ^ 0x80]) + data[place + 1 :]

        pair.pump(spoil)
        reader = pair.a if flight == 1 else pair.b
        assert not reader.of(PeerAuthenticated)
        for peer in (pair.a, pair.b):
            if not peer.connection.is_closed:
                deadline = peer.connection.next_deadline()
                assert deadline is not None
                assert deadline <= pair.now + 10
        assert not pair.a.connection.is_open
        assert not pair.b.connection.is_open


@EACH_FLIGHT
@pytest.mark.parametrize("length", [0, 1, 2, 3, 19, 22, 50, 300, 500, 1200, 1700])
def test_a_flight_cut_short_and_then_the_end(suite: Suite, flight: int, length: int) -> None:
    """R-7.5.2."""
    pair = pair_for(suite)
    peers = (pair.b, pair.a, pair.b)
    for number in range(flight):
        sender = peers[1 - number % 2] if number else pair.a
        peers[number].connection.receive_data(sender.connection.data_to_send(), now=pair.now)
        peers[number].drain()
    sender = pair.b if flight == 1 else pair.a
    data = sender.connection.data_to_send()
    if length < len(data):
        peers[flight].connection.receive_data(data[:length], now=pair.now)
        peers[flight].connection.receive_data(b"", now=pair.now)
        peers[flight].drain()
        end = closed(peers[flight])
        assert (end.code, end.by_peer, end.clean) == (ErrorCode.TRUNCATED, True, False)


@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
def test_our_own_bytes_sent_back(suite: Suite) -> None:
    """R-5.4.3: an echo is no peer, at any point."""
    for steps in range(len(FLIGHTS[suite])):
        pair = pair_for(suite)
        for _ in range(steps):
            for sender, receiver in ((pair.a, pair.b), (pair.b, pair.a)):
                receiver.connection.receive_data(sender.connection.data_to_send(), now=pair.now)
                receiver.drain()
        echo = pair.a.connection.data_to_send()
        for data in (echo, echo[PREAMBLE_LEN:]):
            if not pair.a.connection.is_closed and data:
                pair.a.connection.receive_data(data, now=pair.now)
                pair.a.drain()
        assert not pair.a.connection.is_open


@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
def test_transport_frames_sent_back_do_not_open(suite: Suite) -> None:
    """R-7.1.1: each direction has its own key."""
    pair = open_pair(suite=suite)
    echo = forge(pair.a, Kind.PING, b"12345678")
    pair.a.connection.receive_data(echo, now=pair.now)
    pair.a.drain()
    assert closed(pair.a).code is ErrorCode.PROTOCOL_VIOLATION


@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
def test_a_replayed_answer_leads_nowhere(suite: Suite) -> None:
    """The flights of one connection mean nothing in another."""
    alice, bob = person("alice"), person("bob")
    alice.rng(1000)  # other ephemeral keys than those that were recorded
    config = alice.config(
        expects=bob.identity.public,
        offer=offer_of(*(XX_SUITES + IK_SUITES)),
        knows=bob.static.public if suite.knows_responder else None,
    )
    pair = Pair(alice, bob, dialler_config=config)
    pair.a.connection.data_to_send()
    pair.a.connection.receive_data(FLIGHTS[suite][1], now=pair.now)
    pair.a.drain()
    assert closed(pair.a).code is ErrorCode.HANDSHAKE_FAILED
    assert not pair.a.of(PeerAuthenticated)


@pytest.mark.parametrize("suite", XX_SUITES, ids=suite_id)
def test_a_replayed_initiator_leads_nowhere(suite: Suite) -> None:
    """The flights of one connection mean nothing in another."""
    bob = person("bob")
    config = bob.config()
    bob.rng(1000)
    pair = Pair(person("alice"), bob, listener_config=replace(config, offer=offer_of(suite)))
    for flight in (FLIGHTS[suite][0], FLIGHTS[suite][2]):
        pair.b.connection.receive_data(flight, now=pair.now)
        pair.b.drain()
    assert closed(pair.b).code is ErrorCode.HANDSHAKE_FAILED
    assert not pair.b.of(PeerAuthenticated)


@pytest.mark.parametrize("code", [*ErrorCode, 0x0777, 0xFFFF])
def test_a_refusal_ends_this_attempt_and_nothing_else(code: int) -> None:
    """R-4.4.2: whoever is on the path can send one; unknown codes are plain violations."""
    pair = pair_of()
    refusal = encode_clear(ClearKind.REFUSE, int(code).to_bytes(2, "big"))
    pair.a.connection.receive_data(refusal, now=pair.now)
    pair.a.drain()
    end = closed(pair.a)
    known = code in set(ErrorCode)
    assert end.code is (ErrorCode(code) if known else ErrorCode.PROTOCOL_VIOLATION)
    assert (end.by_peer, end.clean) == (True, False)
    assert len(pair.a.events) == 1
    assert pair.a.connection.data_to_send() == b""


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x00\x00\x00"])
def test_a_refusal_of_another_length_is_a_violation(body: bytes) -> None:
    pair = pair_of()
    pair.a.connection.receive_data(encode_clear(ClearKind.REFUSE, body), now=pair.now)
    pair.a.drain()
    assert (closed(pair.a).code, closed(pair.a).by_peer) == (ErrorCode.PROTOCOL_VIOLATION, False)


@pytest.mark.parametrize("kind", [0, 4, 0x10, 0x80, 0xFF])
def test_an_unknown_kind_in_the_clear_is_refused(kind: int) -> None:
    """R-4.4.1."""
    pair = pair_of()
    pair.a.connection.receive_data(b"\x00\x03" + bytes([kind]) + b"xx", now=pair.now)
    pair.a.drain()
    assert closed(pair.a).code is ErrorCode.PROTOCOL_VIOLATION


def test_closing_before_the_handshake_is_over_is_a_refusal() -> None:
    pair = pair_of()
    pair.b.connection.receive_data(pair.a.connection.data_to_send(), now=pair.now)
    pair.b.drain()
    pair.a.connection.send(Close(ErrorCode.GOING_AWAY), now=pair.now)
    pair.pump()
    assert codes(pair) == (ErrorCode.GOING_AWAY, ErrorCode.GOING_AWAY)
    assert (closed(pair.a).clean, closed(pair.b).clean) == (True, False)


def test_a_listener_that_closes_before_any_byte_says_nothing() -> None:
    """R-4.4.3."""
    pair = pair_of()
    pair.b.connection.send(Close(), now=pair.now)
    assert pair.b.connection.data_to_send() == b""
