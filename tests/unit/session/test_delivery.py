"""The stored session: indexes, digests, acknowledgements, snapshots (protocol.md §8.4, §8.5)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from p2pchat.constants import ENVELOPE_MAX_BYTES, SEND_WINDOW
from p2pchat.crypto import x25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import (
    DamagedStateError,
    DecryptionError,
    LocalProtocolError,
    ProtocolError,
)
from p2pchat.ratchet.hybrid import Offered
from p2pchat.ratchet.snapshot import encode_state
from p2pchat.ratchet.state import RatchetSeed
from p2pchat.session.delivery import (
    INDEX_MAX,
    Envelope,
    SessionSeed,
    SessionState,
    SessionSummary,
    acknowledge,
    can_resume,
    check_envelope_size,
    decode_session,
    encode_session,
    next_digest,
    open_envelope,
    ratchet_seed,
    seal,
    start_initiator,
    start_responder,
    summarise,
)
from tests.support.pairs import seeded_rng

RNG = seeded_rng("delivery")
SESSION_ID = b"session-id-16byt"
IDS = [bytes([number]) * 16 for number in range(8)]


def seed() -> SessionSeed:
    keys = RatchetSeed(Secret(b"r" * 32), Secret(b"i" * 32), Secret(b"n" * 32))
    return SessionSeed(SESSION_ID, keys, b"h" * 32 + b"a" * 32 + b"b" * 32)


def started() -> tuple[SessionState, SessionState, Envelope]:
    pair = x25519.generate(rng=RNG)
    alice, first = start_initiator(seed(), pair.public, rng=RNG)
    return alice, start_responder(seed(), pair), first


def opened(state: SessionState, envelope: Envelope) -> tuple[SessionState, bytes]:
    result = open_envelope(state, envelope.index, envelope.envelope)
    assert result is not None
    return result


def talking() -> tuple[SessionState, SessionState]:
    """Alice has sealed four envelopes (the empty one and ids 0 to 2), bob has opened all."""
    alice, bob, first = started()
    bob, _ = opened(bob, first)
    for message_id in IDS[:3]:
        alice, envelope = seal(alice, b"from alice", message_id, rng=RNG)
        bob, _ = opened(bob, envelope)
    return alice, bob


def test_a_fresh_session() -> None:
    """R-8.4.4: the initiator begins with an empty envelope, the responder waits for it."""
    alice, bob, first = started()
    digest = hashlib.sha256(b"p2pchat/1 envelope digest" + SESSION_ID).digest()
    assert alice.session_id == bob.session_id == SESSION_ID
    assert (first.index, first.message_id) == (1, None)
    assert alice.unacknowledged == (first,)
    assert (alice.sent, alice.acknowledged, alice.received) == (1, 0, 0)
    assert (bob.sent, bob.acknowledged, bob.received) == (0, 0, 0)
    assert alice.acknowledged_digest == alice.received_digest == digest
    assert bob.acknowledged_digest == bob.received_digest == digest
    assert alice.window == SEND_WINDOW - 1
    assert bob.window == 0
    assert bob.unacknowledged == ()
    bob, content = opened(bob, first)
    assert content == b""
    assert bob.window == SEND_WINDOW


def test_the_responder_cannot_seal_before_it_has_opened() -> None:
    _, bob, _ = started()
    with pytest.raises(LocalProtocolError):
        seal(bob, b"too early", IDS[0], rng=RNG)


@pytest.mark.parametrize(("wish", "offers"), [({}, False), ({"kem_due": True}, True)])
def test_a_hybrid_step_is_wished_for_by_the_caller_alone(
    wish: dict[str, bool], offers: bool
) -> None:
    """R-6.7.3: when a chain begins, and it is our turn."""
    alice, bob = talking()
    bob, envelope = seal(bob, b"from bob", IDS[3], rng=RNG)
    alice, _ = opened(alice, envelope)
    alice, _ = seal(alice, b"an answer", IDS[4], rng=RNG, **wish)
    assert isinstance(alice.ratchet.root.kem.step, Offered) is offers


def test_indexes_and_digests_chain() -> None:
    """R-8.4.2, R-8.4.3: by the formula of §8.4."""
    alice, bob, _ = started()
    digest = hashlib.sha256(b"p2pchat/1 envelope digest" + SESSION_ID).digest()
    for number in range(4):
        if number:
            alice, _ = seal(alice, b"x", IDS[number], rng=RNG)
        envelope = alice.unacknowledged[-1]
        digest = hashlib.sha256(b"p2pchat/1 envelope digest" + digest + envelope.envelope).digest()
        assert next_digest(b"", b"") != digest
        assert envelope.index == alice.sent == number + 1
        assert envelope.digest == digest
        assert envelope.message_id == (IDS[number] if number else None)
        bob, _ = opened(bob, envelope)
        assert (bob.received, bob.received_digest) == (number + 1, digest)
        if number == 2:
            alice, _ = acknowledge(alice, alice.sent)  # the chain goes on from what was dropped
            assert alice.acknowledged_digest == digest


def test_both_directions_count_on_their_own() -> None:
    alice, bob = talking()
    bob, envelope = seal(bob, b"from bob", IDS[7], rng=RNG)
    assert envelope.index == 1
    alice, content = opened(alice, envelope)
    assert content == b"from bob"
    assert (alice.sent, alice.received, bob.sent, bob.received) == (4, 1, 1, 4)


def test_the_window_holds_256_envelopes() -> None:
    """R-8.5.1."""
    alice, _, _ = started()
    for number in range(SEND_WINDOW - 1):
        assert alice.window == SEND_WINDOW - 1 - number
        alice, _ = seal(alice, b"", None, rng=RNG)
    assert alice.window == 0
    assert len(alice.unacknowledged) == SEND_WINDOW == 256
    with pytest.raises(LocalProtocolError, match="wait for the peer"):
        seal(alice, b"", None, rng=RNG)
    alice, _ = acknowledge(alice, 1)
    assert alice.window == 1
    alice, _ = seal(alice, b"", None, rng=RNG)
    assert alice.window == 0


def test_an_old_envelope_is_ignored() -> None:
    """R-8.5.2, whatever it holds."""
    _, bob = talking()
    for index in range(bob.received + 1):
        assert open_envelope(bob, index, b"anything") is None


@pytest.mark.parametrize("ahead", [2, 3, 2**64 - 1])
def test_a_gap_is_refused(ahead: int) -> None:
    """R-8.5.3."""
    alice, bob = talking()
    alice, envelope = seal(alice, b"x", IDS[3], rng=RNG)
    index = min(bob.received + ahead, 2**64 - 1)
    with pytest.raises(ProtocolError, match="missing"):
        open_envelope(bob, index, envelope.envelope)


def test_a_forged_envelope_leaves_the_state_as_it_was() -> None:
    """R-8.5.6."""
    alice, bob = talking()
    alice, envelope = seal(alice, b"x", IDS[3], rng=RNG)
    before = encode_session(bob)
    for place in range(len(envelope.envelope)):
        forged = bytearray(envelope.envelope)
        forged[place] ^= 1
        with pytest.raises(DecryptionError):
            open_envelope(bob, envelope.index, bytes(forged))
    assert encode_session(bob) == before
    assert opened(bob, envelope)[1] == b"x"


def test_an_acknowledgement_stands_for_all_up_to_it() -> None:
    """R-8.5.5: and gives the ids of messages only, in order."""
    alice, _ = talking()
    after, delivered = acknowledge(alice, 3)
    assert delivered == (IDS[0], IDS[1])
    assert after.acknowledged == 3
    assert [item.index for item in after.unacknowledged] == [4]
    assert after.acknowledged_digest == alice.unacknowledged[2].digest
    assert after.window == SEND_WINDOW - 1
    last, delivered = acknowledge(after, 4)
    assert delivered == (IDS[2],)
    assert last.unacknowledged == ()


def test_the_same_acknowledgement_again_says_nothing_new() -> None:
    """R-8.5.5."""
    alice, _ = talking()
    alice, _ = acknowledge(alice, 2)
    again, delivered = acknowledge(alice, 2)
    assert again is alice
    assert delivered == ()


@pytest.mark.parametrize("index", [0, 1, 5, 6, INDEX_MAX, 2**64 - 1])
def test_an_impossible_acknowledgement_is_refused(index: int) -> None:
    """R-8.5.5: of what was not sent, or less than before."""
    alice, _ = talking()
    alice, _ = acknowledge(alice, 2)
    with pytest.raises(ProtocolError, match="what was not sent"):
        acknowledge(alice, index)


def test_a_summary_says_what_was_received() -> None:
    """R-8.4.2."""
    _, bob = talking()
    bob, _ = seal(bob, b"x", IDS[7], rng=RNG)
    assert summarise(bob) == SessionSummary(SESSION_ID, 1, 4, bob.received_digest)


def test_states_that_belong_together_resume() -> None:
    """R-8.4.2: wherever the peer stopped, from our last acknowledged envelope to our last."""
    alice, _ = talking()
    digests = [alice.acknowledged_digest, *(item.digest for item in alice.unacknowledged)]
    for acknowledged in range(5):
        ours, _ = acknowledge(alice, acknowledged)
        for received in range(5):
            theirs = SessionSummary(SESSION_ID, 0, received, digests[received])
            assert can_resume(ours, theirs) is (received >= acknowledged)


def other_id(theirs: SessionSummary) -> SessionSummary:
    return replace(theirs, session_id=b"x" * 16)


def sent_less(theirs: SessionSummary) -> SessionSummary:
    return replace(theirs, sent=theirs.sent - 1)


def received_more(theirs: SessionSummary) -> SessionSummary:
    return replace(theirs, received=theirs.received + 1)


def received_less(theirs: SessionSummary) -> SessionSummary:
    return replace(theirs, received=theirs.received - 1)


def received_before_acknowledged(theirs: SessionSummary) -> SessionSummary:
    return replace(theirs, received=0)


def other_digest(theirs: SessionSummary) -> SessionSummary:
    return replace(theirs, digest=bytes([theirs.digest[0] ^ 1]) + theirs.digest[1:])


@pytest.mark.parametrize(
    "change",
    [
        other_id,
        sent_less,
        received_more,
        received_less,
        received_before_acknowledged,
        other_digest,
    ],
)
def test_one_difference_is_enough_not_to_resume(
    change: Callable[[SessionSummary], SessionSummary],
) -> None:
    """R-8.4.2."""
    alice, bob = talking()
    bob, envelope = seal(bob, b"x", IDS[7], rng=RNG)
    alice, _ = opened(alice, envelope)
    alice, _ = acknowledge(alice, 2)
    theirs = summarise(bob)
    assert can_resume(alice, theirs)
    assert can_resume(bob, summarise(alice))
    assert not can_resume(alice, change(theirs))


def test_more_sent_than_received_resumes() -> None:
    """R-8.4.2: what is on its way comes again."""
    alice, bob = talking()
    bob, _ = seal(bob, b"lost", IDS[7], rng=RNG)
    assert can_resume(alice, summarise(bob))
    assert can_resume(bob, summarise(alice))


def test_the_snapshots_layout() -> None:
    """What is stored today must be readable for ever."""
    alice, bob = talking()
    bob, envelope = seal(bob, b"x", IDS[7], rng=RNG)
    alice, _ = opened(alice, envelope)
    alice, _ = acknowledge(alice, 2)
    head = struct.pack(">B16sQQ", 1, SESSION_ID, 4, 2) + alice.acknowledged_digest
    head += struct.pack(">Q", 1) + alice.received_digest
    assert encode_session(alice) == head + encode_state(alice.ratchet)


@pytest.mark.parametrize("acknowledged", range(5))
def test_a_stored_session_comes_back_whole(acknowledged: int) -> None:
    """R-8.2.1: as if nothing had happened."""
    alice, bob = talking()
    alice, _ = acknowledge(alice, acknowledged)
    for state in (alice, bob):
        again = decode_session(encode_session(state), list(state.unacknowledged))
        assert again == state
        assert isinstance(again.unacknowledged, tuple)


def test_a_damaged_snapshot_is_refused() -> None:
    alice, _ = talking()
    snapshot, envelopes = encode_session(alice), alice.unacknowledged
    for length in range(len(snapshot)):
        with pytest.raises(DamagedStateError, match="cut short"):
            decode_session(snapshot[:length], envelopes)
    for other in (b"\x00", b"\x02"):
        with pytest.raises(DamagedStateError, match="unknown format"):
            decode_session(other + snapshot[1:], envelopes)
    with pytest.raises(DamagedStateError):
        decode_session(snapshot + b"\x00", envelopes)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda items: items[:-1],
        lambda items: items[1:],
        lambda items: (),
        lambda items: (*items, items[-1]),
        lambda items: (*items, replace(items[-1], index=5)),
        lambda items: (items[1], items[0], *items[2:]),
        lambda items: (replace(items[0], index=0), *items[1:]),
        lambda items: (replace(items[0], index=2), *items[1:]),
        lambda items: (replace(items[0], digest=bytes(32)), *items[1:]),
        lambda items: (replace(items[0], envelope=items[0].envelope + b"x"), *items[1:]),
        lambda items: (*items[:-1], replace(items[-1], envelope=b"")),
    ],
)
def test_envelopes_that_do_not_fit_the_snapshot_are_refused(
    spoil: Callable[[tuple[Envelope, ...]], tuple[Envelope, ...]],
) -> None:
    alice, _ = talking()
    with pytest.raises(DamagedStateError, match="envelopes"):
        decode_session(encode_session(alice), spoil(alice.unacknowledged))


def test_an_envelopes_size_has_a_limit() -> None:
    """R-8.5.7."""
    check_envelope_size(ENVELOPE_MAX_BYTES)
    assert ENVELOPE_MAX_BYTES == 73728
    with pytest.raises(ProtocolError, match="limit"):
        check_envelope_size(ENVELOPE_MAX_BYTES + 1)


def test_the_seed_is_cut_in_order() -> None:
    """R-6.1.1."""
    keys = bytes(range(112))
    cut, session_id = ratchet_seed(keys)
    assert cut.root_key.reveal() == keys[:32]
    assert cut.header_key_initiator.reveal() == keys[32:64]
    assert cut.next_header_key.reveal() == keys[64:96]
    assert session_id == keys[96:]
