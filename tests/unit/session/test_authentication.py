"""Who gets through the handshake, and who does not (protocol.md §5.4)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from p2pchat.constants import CERTIFICATE_CLOCK_SKEW_MS, CERTIFICATE_LIFETIME_MS
from p2pchat.errors import ErrorCode
from p2pchat.identity.certificate import issue
from p2pchat.session.authentication import ConnectionConfig
from p2pchat.session.codec import encode_map
from p2pchat.session.events import Attach, PeerAuthenticated
from p2pchat.session.frames import (
    pad_payload,
    unpad_payload,
)
from p2pchat.session.negotiation import SUITE_XX
from p2pchat.session.states import State
from tests.support.pairs import (
    NOW_MS,
    Pair,
    Person,
    authenticated,
    closed,
    codes,
    open_pair,
    pair_of,
    person,
)
from tests.support.scripted import Script


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
    assert (alice.version, alice.suite) == (bob.version, bob.suite) == ((1, 0), SUITE_XX)
    assert not alice.post_quantum
    assert not bob.post_quantum
    assert not pair.a.connection.is_open


def test_two_handshakes_share_nothing() -> None:
    """R-5.3.3: not even between the same two people."""
    alice, bob = person("alice"), person("bob")
    first, second = Pair(alice, bob), Pair(alice, bob)
    for pair in (first, second):
        pair.attach()
    assert authenticated(first.a).handshake_hash != authenticated(second.a).handshake_hash
    assert first.a.state.session_id != second.a.state.session_id


def test_the_flights_have_the_sizes_that_are_written_down() -> None:
    """R-5.3.1, R-5.3.2: 32, 608 and 576 bytes, each in a NOISE frame."""
    pair = pair_of()
    first = pair.a.connection.data_to_send()
    assert len(first) == 19 + 3 + 32
    assert first[19:22] == b"\x00\x21\x01"
    pair.b.connection.receive_data(first, now=pair.now)
    pair.b.drain()
    second = pair.b.connection.data_to_send()
    assert len(second) == 3 + 608
    pair.a.connection.receive_data(second, now=pair.now)
    pair.a.drain()
    assert len(pair.a.connection.data_to_send()) == 3 + 576


def test_identities_never_travel_in_the_clear() -> None:
    pair = pair_of()
    seen = bytearray()

    def listen(data: bytes) -> bytes:
        seen.extend(data)
        return data

    pair.pump(listen)
    pair.attach()
    for who in (person("alice"), person("bob")):
        assert who.identity.public not in seen
        assert who.static.public not in seen


def test_another_identity_than_the_one_dialled() -> None:
    """R-5.4.5, R-3.6.2: it is told apart before we have said who we are."""
    alice, bob, carol = person("alice"), person("bob"), person("carol")
    pair = Pair(alice, bob, dialler_config=alice.config(expects=carol.identity.public))
    pair.pump()
    assert codes(pair) == (ErrorCode.WRONG_IDENTITY, ErrorCode.WRONG_IDENTITY)
    assert pair.a.connection.peer_identity == bob.identity.public
    assert pair.b.connection.peer_identity is None
    assert not pair.a.of(PeerAuthenticated)
    assert not pair.b.of(PeerAuthenticated)
    assert (closed(pair.a).by_peer, closed(pair.b).by_peer) == (False, True)


@pytest.mark.parametrize("expects_itself", [True, False])
def test_dialling_oneself(expects_itself: bool) -> None:
    """R-5.4.3."""
    alice = person("alice")
    expected = alice.identity.public if expects_itself else None
    pair = Pair(alice, alice, dialler_config=alice.config(expects=expected))
    pair.pump()
    assert codes(pair) == (ErrorCode.WRONG_IDENTITY, ErrorCode.WRONG_IDENTITY)
    assert pair.a.connection.peer_identity is None


def test_a_listener_refuses_its_own_identity_too() -> None:
    """R-5.4.3: a copy of the profile dials the original."""
    bob, copy = person("bob"), person("bob")
    copy.static = person("elsewhere").static
    pair = Pair(person("alice"), bob, dialler_config=copy.config())
    pair.a.connection._authentication._check_peer = lambda encoded: None  # type: ignore[method-assign]  # a dialler that does not care
    pair.a.connection._authentication._certificate = bob.config().certificate
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
    pair.a.connection._authentication._check_peer = lambda encoded: None  # type: ignore[method-assign]  # a dialler that does not care
    pair.a.connection._authentication._certificate = alice.config().certificate
    pair.pump()
    assert closed(pair.b).code is ErrorCode.CERTIFICATE_INVALID


@pytest.mark.parametrize("guilty", ["alice", "bob"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"static": b"\x09" * 32}, "another static key"),
        (
            {"now_ms": NOW_MS - CERTIFICATE_LIFETIME_MS - CERTIFICATE_CLOCK_SKEW_MS - 1},
            "expired: is a clock wrong",
        ),
        ({"now_ms": NOW_MS + CERTIFICATE_CLOCK_SKEW_MS + 1}, "not valid yet: is a clock wrong"),
    ],
    ids=["another static key", "expired", "not yet valid"],
)
def test_a_certificate_that_does_not_hold(guilty: str, changes: dict[str, Any], words: str) -> None:
    """R-5.4.1, R-5.4.2, R-5.4.6: either side's; and its owner learns why."""
    config = certified(person(guilty), **changes)
    pair = pair_of(config) if guilty == "alice" else pair_of(None, config)
    if guilty == "alice":
        pair.pump()
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


def test_the_sessions_keys_are_derived_as_written() -> None:
    """R-6.1.1, R-6.1.2: from ck and h, with both identities bound in, initiator first."""
    pair = open_pair()
    alice, bob = person("alice").identity.public, person("bob").identity.public
    expected = authenticated(pair.a).handshake_hash + alice + bob
    for peer in (pair.a, pair.b):
        assert peer.state.ratchet.root.associated_data == expected
    start = hashlib.sha256(b"p2pchat/1 envelope digest" + pair.a.state.session_id).digest()
    assert pair.b.state.acknowledged_digest == start


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
