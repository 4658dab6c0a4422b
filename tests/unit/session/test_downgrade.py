"""Versions and suites in real handshakes, attacked on the path (protocol.md §4.2, §4.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.errors import ErrorCode
from p2pchat.session.connection import Connection
from p2pchat.session.events import PeerAuthenticated
from p2pchat.session.frames import (
    ClearKind,
    FrameBuffer,
    encode_clear,
    encode_refusal,
)
from p2pchat.session.negotiation import (
    IK,
    OUR_OFFER,
    XX,
    XX_HFS,
    Offer,
    Suite,
    encode_offer,
    encode_preamble,
)
from p2pchat.session.states import State
from tests.support.pairs import (
    NOW_MS,
    Peer,
    authenticated,
    closed,
    codes,
    offer_of,
    pair_of,
    person,
    suite_id,
)
from tests.support.scripted import Script, payload_of, speak


def test_a_peer_of_another_major_version_is_told_so() -> None:
    """R-4.3.2: it began as one of us, so it may know."""
    pair = pair_of(person("alice").config(offer=Offer(((2, 0),), OUR_OFFER.suites)))
    pair.pump()
    assert codes(pair) == (ErrorCode.UNSUPPORTED_VERSION, ErrorCode.UNSUPPORTED_VERSION)
    assert closed(pair.a).by_peer


def test_a_responder_of_another_major_version() -> None:
    """R-4.3.4: found by the initiator, from the offer inside message 2."""
    offer = encode_offer(Offer(((2, 0),), OUR_OFFER.suites))
    script = speak(initiator=False, payload=payload_of(False, offer=offer))
    assert closed(script.peer).code is ErrorCode.UNSUPPORTED_VERSION


LATER = Offer(((1, 9), (2, 0)), (*OUR_OFFER.suites, 0x7777), (1, 2))


def test_a_later_minor_version_is_served() -> None:
    """R-13.1.1: with features and suites that we have never heard of."""
    pair = pair_of(None, person("bob").config(offer=LATER))
    pair.attach()
    assert pair.a.connection.is_open
    assert pair.b.connection.is_open
    assert authenticated(pair.a).version == authenticated(pair.b).version == (1, 0)


def test_a_later_minor_version_may_dial() -> None:
    """R-13.1.1, R-4.3.1: what is in common decides."""
    pair = pair_of(person("alice").config(offer=LATER))
    pair.attach()
    assert pair.a.connection.is_open
    assert authenticated(pair.b).version == (1, 0)
    assert authenticated(pair.b).suite == XX_HFS


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01",
        b"p2pchat\r",
        encode_refusal(ErrorCode.NORMAL),
        b"p2pchat\n\x00\x01\x02\x01",
        b"p2pchat\n\x00\x01\x00\x03\x01\x01\x00",
        b"p2pchat\n\x00\x01\x00\x00",
    ],
)
def test_who_sends_no_preamble_gets_no_answer(data: bytes) -> None:
    """R-4.2.1, R-4.2.2, R-4.4.3."""
    bob = Peer(
        Connection(
            person("bob").config(), initiator=False, now=0.0, now_ms=NOW_MS, rng=person("bob").rng
        )
    )
    bob.connection.receive_data(data, now=0.0)
    bob.drain()
    assert not closed(bob).clean
    assert bob.connection.data_to_send() == b""


def test_the_greatest_class_is_used() -> None:
    """R-4.3.1, R-4.2.5."""
    pair = pair_of()
    pair.attach()
    assert authenticated(pair.a).suite == authenticated(pair.b).suite == XX_HFS
    assert pair.a.connection.is_open


@pytest.mark.parametrize("old", ["dialler", "listener"])
@pytest.mark.parametrize("suites", [(XX,), (XX, IK)], ids=["XX", "XX and IK"])
@pytest.mark.parametrize("known", [False, True])
def test_an_older_peer_is_served_and_seen_to_be_classical(
    old: str, suites: tuple[Suite, ...], known: bool
) -> None:
    """R-4.3.1, R-4.3.3, R-4.3.5: a peer without hybrid suites, in either role."""
    bob = person("bob")
    theirs = offer_of(*suites)
    knows = bob.static.public if known else None
    alice = person("alice").config(offer=theirs if old == "dialler" else OUR_OFFER, knows=knows)
    pair = pair_of(alice, bob.config(offer=theirs if old == "listener" else OUR_OFFER))
    pair.attach()
    assert pair.a.connection.is_open
    assert authenticated(pair.a).suite == authenticated(pair.b).suite
    assert authenticated(pair.a).suite in suites
    assert not authenticated(pair.a).post_quantum
    assert not authenticated(pair.b).post_quantum


@pytest.mark.parametrize("suite", [XX, IK], ids=suite_id)
def test_a_responder_answers_a_weaker_suite_with_retry(suite: Suite) -> None:
    """R-4.3.3, R-5.6.2: never with the weaker handshake."""
    script = Script(initiator=True, suite=suite, theirs=OUR_OFFER)
    script.deliver(script.preamble)
    script.say(payload_of(True, suite) if suite.knows_responder else b"")
    assert script.peer.connection.data_to_send() == encode_clear(ClearKind.RETRY, b"\x01\x01")
    assert script.peer.connection.state is State.AWAIT_MESSAGE_1_AGAIN


@pytest.mark.parametrize("suite", [XX, IK], ids=suite_id)
def test_a_suite_that_is_not_the_best_is_refused_by_the_initiator(suite: Suite) -> None:
    """R-4.3.3, R-4.3.4: the responder itself went along with less than its offer says."""
    script = Script(initiator=False, suite=suite)
    authentication = script.peer.connection._opening._authentication
    authentication._config = replace(authentication._config, offer=OUR_OFFER)
    script.say(payload_of(False, suite, offer=encode_offer(OUR_OFFER)))
    assert closed(script.peer).code is ErrorCode.DOWNGRADE_DETECTED


@pytest.mark.parametrize("place", range(25))
def test_a_preamble_changed_on_the_path_breaks_the_handshake(place: int) -> None:
    """R-4.3.4: whatever the change, nobody ends up talking."""
    pair = pair_of()
    first = bytearray(pair.a.connection.data_to_send())
    first[place] ^= 0x02
    pair.b.connection.receive_data(bytes(first), now=pair.now)
    pair.pump()
    pair.b.connection.handle_timeout(pair.now + 10)
    pair.a.connection.handle_timeout(pair.now + 10)
    pair.pump()
    assert closed(pair.a)
    assert closed(pair.b)
    assert not pair.a.of(PeerAuthenticated)
    assert not pair.b.of(PeerAuthenticated)


def test_an_offer_weakened_on_the_path_breaks_the_handshake() -> None:
    """R-4.3.4: the attacker strips the better suites, and the responder believes him."""
    script = Script(initiator=False)
    alice = Peer(
        Connection(
            person("alice").config(),
            initiator=True,
            now=0.0,
            now_ms=NOW_MS,
            rng=person("alice").rng,
        )
    )
    data = alice.connection.data_to_send()
    first = data[len(encode_preamble(XX_HFS.number, OUR_OFFER)) :]
    script.start(encode_preamble(XX_HFS.number, offer_of(XX_HFS)))
    script.buffer = FrameBuffer()
    script.buffer.append(first)
    script.read()
    answer = script.engine.write_message(payload_of(False))
    alice.connection.receive_data(encode_clear(ClearKind.NOISE, answer), now=0.0)
    alice.drain()
    assert closed(alice).code is ErrorCode.HANDSHAKE_FAILED


def test_hybrid_stripped_on_the_path_breaks_the_handshake() -> None:
    """R-4.3.4, R-5.6.3: a responder that was made to believe in a classical peer, by its RETRY."""
    pair = pair_of()
    data = pair.a.connection.data_to_send()
    first = data[len(encode_preamble(XX_HFS.number, OUR_OFFER)) :]
    stripped = encode_preamble(XX_HFS.number, offer_of(XX))
    pair.b.connection.receive_data(stripped + first, now=pair.now)
    pair.pump()
    assert not pair.a.of(PeerAuthenticated)
    assert not pair.b.of(PeerAuthenticated)
    assert codes(pair) == (ErrorCode.HANDSHAKE_FAILED, ErrorCode.HANDSHAKE_FAILED)
    assert (closed(pair.a).by_peer, closed(pair.b).by_peer) == (False, True)
