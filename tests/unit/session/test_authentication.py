"""Who gets through the handshake, and who does not (protocol.md §5.4)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from typing import Any

import pytest

from p2pchat.constants import CERTIFICATE_CLOCK_SKEW_MS, CERTIFICATE_LIFETIME_MS
from p2pchat.errors import ErrorCode
from p2pchat.identity.certificate import issue
from p2pchat.session.codec import encode_map
from p2pchat.session.credentials import ConnectionConfig
from p2pchat.session.events import Attach, PeerAuthenticated
from p2pchat.session.frames import (
    pad_payload,
    unpad_payload,
)
from p2pchat.session.negotiation import XX_HFS, Suite
from p2pchat.session.states import State
from tests.support.pairs import (
    ALL_SUITES,
    NOW_MS,
    Pair,
    Person,
    authenticated,
    closed,
    codes,
    offer_of,
    open_pair,
    pair_for,
    pair_of,
    person,
    suite_id,
)
from tests.support.scripted import Script, payload_of, speak


def certified(
    who: Person, *, static: bytes | None = None, now_ms: int = NOW_MS
) -> ConnectionConfig:
    """A config of ``who`` whose certificate says something else than it should."""
    certificate = issue(who.identity.seed, static or who.static.public, generation=0, now_ms=now_ms)
    return ConnectionConfig(certificate, who.static, None)


def test_two_people_prove_themselves_to_each_other() -> None:
    """R-5.4.1, R-5.4.2, R-5.4.5."""
    pair = pair_of()
    pair.pump()
    alice, bob = authenticated(pair.a), authenticated(pair.b)
    assert alice.identity == person("bob").identity.public == pair.a.connection.peer_identity
    assert bob.identity == person("alice").identity.public == pair.b.connection.peer_identity
    assert alice.certificate.static == person("bob").static.public
    assert bob.certificate.static == person("alice").static.public
    assert alice.handshake_hash == bob.handshake_hash
    assert (alice.version, alice.suite) == (bob.version, bob.suite) == ((1, 0), XX_HFS)
    assert not pair.a.connection.is_open


@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
def test_each_suite_proves_the_same_and_says_what_it_is(suite: Suite) -> None:
    """R-5.1.1, R-5.4.1, R-5.5.1, R-4.3.5: post-quantum is what the hybrid ones are called."""
    pair = open_pair(suite=suite)
    alice, bob = authenticated(pair.a), authenticated(pair.b)
    assert alice.identity == person("bob").identity.public == pair.a.connection.peer_identity
    assert bob.identity == person("alice").identity.public == pair.b.connection.peer_identity
    assert alice.handshake_hash == bob.handshake_hash
    assert alice.suite == bob.suite == suite
    assert alice.post_quantum is bob.post_quantum is (suite.number >= 0x0100)
    assert pair.a.connection.is_open
    assert pair.b.connection.is_open


def test_two_handshakes_share_nothing() -> None:
    """R-5.3.3: not even between the same two people."""
    alice, bob = person("alice"), person("bob")
    first, second = Pair(alice, bob), Pair(alice, bob)
    for pair in (first, second):
        pair.attach()
    assert authenticated(first.a).handshake_hash != authenticated(second.a).handshake_hash
    assert first.a.state.session_id != second.a.state.session_id


FLIGHTS = {
    0x0001: (32, 608, 576),
    0x0002: (608, 560),
    0x0101: (1216, 1712, 576),
    0x0102: (1808, 1664),
}
"""protocol.md §5.3."""


@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
def test_the_flights_have_the_sizes_that_are_written_down(suite: Suite) -> None:
    """R-5.1.2, R-5.3.1, R-5.3.2, R-5.5.2: each in a NOISE frame."""
    pair = pair_for(suite)
    flights: list[bytes] = []
    preamble_len = 12 + 3 + 5 + 1
    sender, receiver = pair.a, pair.b
    while data := sender.connection.data_to_send():
        flights.append(data if flights else data[preamble_len:])
        receiver.connection.receive_data(data, now=pair.now)
        receiver.drain()
        sender, receiver = receiver, sender
    assert tuple(len(flight) - 3 for flight in flights) == FLIGHTS[suite.number]
    for flight in flights:
        assert int.from_bytes(flight[:2], "big") == len(flight) - 2
        assert flight[2] == 0x01


@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
def test_identities_never_travel_in_the_clear(suite: Suite) -> None:
    pair = pair_for(suite)
    seen = bytearray()

    def listen(data: bytes) -> bytes:
        seen.extend(data)
        return data

    pair.pump(listen)
    pair.attach()
    for who in (person("alice"), person("bob")):
        assert who.identity.public not in seen
        assert who.static.public not in seen


@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
def test_another_identity_than_the_one_dialled(suite: Suite) -> None:
    """R-5.4.5, R-5.4.6, R-3.6.2: and the other end learns why, also where it awaits a frame."""
    alice, bob, carol = person("alice"), person("bob"), person("carol")
    knows = bob.static.public if suite.knows_responder else None
    mine = alice.config(expects=carol.identity.public, offer=offer_of(suite), knows=knows)
    pair = Pair(alice, bob, dialler_config=mine, listener_config=bob.config(offer=offer_of(suite)))
    pair.pump()
    assert codes(pair) == (ErrorCode.WRONG_IDENTITY, ErrorCode.WRONG_IDENTITY)
    assert pair.a.connection.peer_identity == bob.identity.public
    assert pair.b.connection.peer_identity is None
    assert not pair.a.of(PeerAuthenticated)
    assert not pair.b.of(PeerAuthenticated)
    assert (closed(pair.a).by_peer, closed(pair.b).by_peer) == (False, True)
    assert (closed(pair.a).clean, closed(pair.b).clean) == (False, False)


@pytest.mark.parametrize("expects_itself", [True, False])
@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
def test_dialling_oneself(suite: Suite, expects_itself: bool) -> None:
    """R-5.4.3."""
    alice = person("alice")
    expected = alice.identity.public if expects_itself else None
    knows = alice.static.public if suite.knows_responder else None
    config = alice.config(expects=expected, offer=offer_of(suite), knows=knows)
    pair = Pair(alice, alice, dialler_config=config, listener_config=config)
    pair.pump()
    assert codes(pair) == (ErrorCode.WRONG_IDENTITY, ErrorCode.WRONG_IDENTITY)
    assert pair.a.connection.peer_identity is None


def test_a_listener_refuses_its_own_identity_too() -> None:
    """R-5.4.3: a copy of the profile dials the original."""
    bob, copy = person("bob"), person("bob")
    copy.static = person("elsewhere").static
    pair = Pair(person("alice"), bob, dialler_config=copy.config())
    pair.a.connection._opening._authentication._check_peer = lambda encoded: None  # type: ignore[method-assign,assignment,return-value]  # a dialler that does not care
    pair.a.connection._opening._authentication._certificate = bob.config().certificate
    pair.pump()
    assert closed(pair.b).code is ErrorCode.WRONG_IDENTITY


def test_our_own_static_key_in_other_hands() -> None:
    """R-5.4.4: a thief of it must not pass it off to us as his."""
    alice, mallory = person("alice"), person("mallory")
    mallory.static = alice.static
    pair = Pair(alice, mallory)
    pair.pump()
    assert closed(pair.a).code is ErrorCode.CERTIFICATE_INVALID
    pair = Pair(mallory, alice, listener_config=alice.config())
    pair.a.connection._opening._authentication._check_peer = lambda encoded: None  # type: ignore[method-assign,assignment,return-value]  # a dialler that does not care
    pair.a.connection._opening._authentication._certificate = alice.config().certificate
    pair.pump()
    assert closed(pair.b).code is ErrorCode.CERTIFICATE_INVALID


@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
@pytest.mark.parametrize("guilty", ["alice", "bob"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"static": b"\x09" * 32}, "another static key"),
        (
            {"now_ms": NOW_MS - CERTIFICATE_LIFETIME_MS - CERTIFICATE_CLOCK_SKEW_MS - 1},
            "ended 7 days ago: is a clock wrong",
        ),
        ({"now_ms": NOW_MS + CERTIFICATE_CLOCK_SKEW_MS + 1}, "begins in 7 days: is a clock wrong"),
    ],
    ids=["another static key", "expired", "not yet valid"],
)
def test_a_certificate_that_does_not_hold(
    guilty: str, changes: dict[str, Any], words: str, suite: Suite
) -> None:
    """R-5.4.1, R-5.4.2, R-5.4.6: either side's; and its owner learns why, on whichever side."""
    alice, bob = person("alice").config(), person("bob").config()
    if guilty == "alice":
        alice = certified(person(guilty), **changes)
    else:
        bob = certified(person(guilty), **changes)
    knows = person("bob").static.public if suite.knows_responder else None
    offer = offer_of(suite)
    pair = pair_of(replace(alice, offer=offer, peer_static=knows), replace(bob, offer=offer))
    pair.pump()
    if guilty == "alice" and not suite.knows_responder:
        pair.a.connection.send(Attach(True, "alice"), now=pair.now)
    pair.pump()
    assert codes(pair) == (ErrorCode.CERTIFICATE_INVALID, ErrorCode.CERTIFICATE_INVALID)
    judge = pair.b if guilty == "alice" else pair.a
    assert words in closed(judge).reason
    assert judge.connection.peer_identity is None
    assert not judge.of(PeerAuthenticated)


@pytest.mark.parametrize("early", [False, True])
def test_a_clock_that_is_a_week_off_is_forgiven(early: bool) -> None:
    """R-5.4.1 with R-3.3.4."""
    shift = (
        CERTIFICATE_CLOCK_SKEW_MS if early else -CERTIFICATE_LIFETIME_MS - CERTIFICATE_CLOCK_SKEW_MS
    )
    pair = pair_of(certified(person("alice"), now_ms=NOW_MS + shift))
    pair.pump()
    assert authenticated(pair.b)


def test_a_certificate_that_another_identity_signed_for_our_peers_key() -> None:
    """R-5.4.2, R-5.4.5: mallory certifies bob's static key as her own, without having it."""
    bob, mallory = person("bob"), person("mallory")
    stolen = certified(mallory, static=bob.static.public)
    pair = pair_of(None, replace(stolen, static=mallory.static))
    pair.pump()
    assert closed(pair.a).code is ErrorCode.CERTIFICATE_INVALID


@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
def test_the_sessions_keys_are_derived_as_written(suite: Suite) -> None:
    """R-6.1.1, R-6.1.2: from ck and h, with both identities bound in, initiator first."""
    pair = open_pair(suite=suite)
    alice, bob = person("alice").identity.public, person("bob").identity.public
    expected = authenticated(pair.a).handshake_hash + alice + bob
    for peer in (pair.a, pair.b):
        assert peer.state.ratchet.root.associated_data == expected
    start = hashlib.sha256(b"p2pchat/1 envelope digest" + pair.a.state.session_id).digest()
    assert pair.b.state.acknowledged_digest == start


@pytest.mark.parametrize("suite", ALL_SUITES, ids=suite_id)
def test_the_sessions_keys_come_from_the_secrets_of_the_handshake(suite: Suite) -> None:
    """R-6.1.1: RFC 5869 by hand, over what the other end has agreed on."""
    script = speak(initiator=False, suite=suite, payload=payload_of(False, suite))
    if not suite.knows_responder:
        script.collect()
        script.read()
    split = script.engine.split()
    key = hmac.digest(split.chaining_key.reveal(), b"", "sha256")
    info, block, keys = b"p2pchat/1 ratchet seed" + split.handshake_hash, b"", b""
    for number in range(1, 5):
        block = hmac.digest(key, block + info + bytes([number]), "sha256")
        keys += block
    peer = script.peer.connection._peer
    assert peer is not None
    ratchet = peer.seed.ratchet
    secrets = (ratchet.root_key, ratchet.header_key_initiator, ratchet.next_header_key)
    assert b"".join(secret.reveal() for secret in secrets) == keys[:96]
    assert peer.seed.session_id == keys[96:112]


def test_the_ratchet_key_is_fresh_and_its_own() -> None:
    """R-5.3.3: neither Noise's ephemeral nor the static key, and another each time."""
    keys = []
    alice, bob = person("alice"), person("bob")
    for _ in range(2):
        pair, seen = Pair(alice, bob), bytearray()

        def listen(data: bytes, seen: bytearray = seen) -> bytes:
            seen += data
            return data

        pair.pump(listen)
        peer = pair.a.connection._peer
        assert peer is not None
        keys.append(peer.remote_ratchet_key)
        assert peer.remote_ratchet_key != bob.static.public
        assert peer.remote_ratchet_key is not None
        assert peer.remote_ratchet_key not in seen
    assert keys[0] != keys[1]


def test_padding_hides_lengths_in_the_handshake() -> None:
    """R-5.3.1: a later, longer offer fits the same 512 bytes."""
    content = encode_map(Script(initiator=False).proof)
    assert len(pad_payload(content)) == 512
    assert unpad_payload(pad_payload(content)) == content


def test_the_first_envelope_is_the_initiators() -> None:
    """R-8.4.4."""
    pair = Pair(person("alice"), person("bob"))
    pair.a.commit_at_once = pair.b.commit_at_once = False
    pair.attach()
    [first] = pair.a.state.unacknowledged
    assert first.message_id is None
    assert pair.b.state.unacknowledged == ()
    assert pair.b.connection.state is State.OPEN
    assert pair.b.connection.send_window == 0
