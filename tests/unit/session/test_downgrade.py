"""Versions and suites in real handshakes, attacked on the path (protocol.md §4.2, §4.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.errors import ErrorCode
from p2pchat.session import negotiation
from p2pchat.session.connection import Connection
from p2pchat.session.events import PeerAuthenticated
from p2pchat.session.frames import (
    ClearKind,
    FrameBuffer,
    encode_clear,
    encode_refusal,
)
from p2pchat.session.negotiation import SUITE_XX, Offer, encode_offer, encode_preamble
from tests.support.pairs import (
    NOW_MS,
    Peer,
    authenticated,
    closed,
    codes,
    pair_of,
    person,
)
from tests.support.scripted import Script, payload_of, speak

V10 = ((1, 0),)
OTHER_SUITE = 0x0002


def test_a_peer_of_another_major_version_is_told_so() -> None:
    """R-4.3.2: it began as one of us, so it may know."""
    pair = pair_of(replace(person("alice").config(), offer=Offer(((2, 0),), (SUITE_XX,))))
    pair.pump()
    assert codes(pair) == (ErrorCode.UNSUPPORTED_VERSION, ErrorCode.UNSUPPORTED_VERSION)
    assert closed(pair.a).by_peer


def test_a_responder_of_another_major_version() -> None:
    """R-4.3.4: found by the initiator, from the offer inside message 2."""
    offer = encode_offer(Offer(((2, 0),), (SUITE_XX,)))
    script = speak(initiator=False, payload=payload_of(False, offer=offer))
    assert closed(script.peer).code is ErrorCode.UNSUPPORTED_VERSION


def test_a_later_minor_version_is_served() -> None:
    """R-13.1.1: with features and suites that we have never heard of."""
    later = replace(person("bob").config(), offer=Offer(((1, 9),), (SUITE_XX, 0x7777), (1, 2)))
    pair = pair_of(None, later)
    pair.attach()
    assert pair.a.connection.is_open
    assert pair.b.connection.is_open
    assert authenticated(pair.a).version == authenticated(pair.b).version == (1, 0)


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


def suites(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Two suites that both ends know, the second one stronger by its number."""
    monkeypatch.setitem(negotiation.SUITE_NAMES, OTHER_SUITE, "Noise_XX_25519_ChaChaPoly_BLAKE2s")
    return Offer(V10, (SUITE_XX, OTHER_SUITE))


def test_the_greater_suite_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-4.3.1."""
    offer = suites(monkeypatch)
    pair = pair_of(
        replace(person("alice").config(), offer=offer), replace(person("bob").config(), offer=offer)
    )
    pair.attach()
    assert authenticated(pair.a).suite == authenticated(pair.b).suite == OTHER_SUITE
    assert pair.a.connection.is_open


def test_a_suite_that_is_not_the_best_is_refused_by_the_responder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R-4.3.3."""
    offer = suites(monkeypatch)
    bob = Peer(
        Connection(
            replace(person("bob").config(), offer=offer),
            initiator=False,
            now=0.0,
            now_ms=NOW_MS,
            rng=person("bob").rng,
        )
    )
    bob.connection.receive_data(encode_preamble(SUITE_XX, offer), now=0.0)
    bob.drain()
    assert closed(bob).code is ErrorCode.DOWNGRADE_DETECTED
    assert bob.connection.data_to_send() == encode_refusal(ErrorCode.DOWNGRADE_DETECTED)


def test_a_suite_that_is_not_the_best_is_refused_by_the_initiator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R-4.3.3, R-4.3.4: the responder itself went along with less than its offer says."""
    script = Script(initiator=False)
    authentication = script.peer.connection._authentication
    authentication._config = replace(authentication._config, offer=suites(monkeypatch))
    stronger = encode_offer(Offer(V10, (SUITE_XX, OTHER_SUITE)))
    script.say(payload_of(False, offer=stronger))
    assert closed(script.peer).code is ErrorCode.DOWNGRADE_DETECTED


@pytest.mark.parametrize("place", range(19))
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


def test_an_offer_weakened_on_the_path_breaks_the_handshake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R-4.3.4: the attacker strips the better suite, and the responder believes him."""
    offer = suites(monkeypatch)
    weaker = Offer(V10, (SUITE_XX,))
    script = Script(initiator=False)
    alice = Peer(
        Connection(
            replace(person("alice").config(), offer=offer),
            initiator=True,
            now=0.0,
            now_ms=NOW_MS,
            rng=person("alice").rng,
        )
    )
    data = alice.connection.data_to_send()
    ephemeral = data[len(encode_preamble(OTHER_SUITE, offer)) :]
    script.start(encode_preamble(SUITE_XX, weaker))
    script.buffer = FrameBuffer()
    script.buffer.append(ephemeral)
    script.read()
    answer = script.engine.write_message(payload_of(False))
    alice.connection.receive_data(encode_clear(ClearKind.NOISE, answer), now=0.0)
    alice.drain()
    assert closed(alice).code is ErrorCode.HANDSHAKE_FAILED
