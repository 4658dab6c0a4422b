from __future__ import annotations

import itertools

import pytest

from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.crypto.x25519 import KeyPair, generate
from p2pchat.errors import CryptoError, DecryptionError, InvalidKeyError, LocalProtocolError
from p2pchat.noise.handshake import HandshakeState
from p2pchat.session.negotiation import SUITES
from tests.unit.noise.pairs import (
    EPHEMERAL_R,
    IKHFS,
    STATIC_I,
    STATIC_R,
    XX,
    XXHFS,
    Pair,
    contents,
    make_pair,
    seeded_rng,
)

PATTERNS = ["NN", "KK", "XX", "IK", "XXfallback", "NNfallback"]
PSKS = ["", "psk0", "psk1", "psk2", "psk0+psk2"]
NAMES = [
    f"Noise_{pattern}{'+' if psks and 'fallback' in pattern else ''}{psks}_25519_ChaChaPoly_{name}"
    for pattern, psks, name in itertools.product(
        PATTERNS, PSKS, ["SHA256", "SHA512", "BLAKE2s", "BLAKE2b"]
    )
    if not (pattern == "NNfallback" and "psk2" in psks)  # it has one message only
]


@pytest.mark.parametrize("name", NAMES)
def test_both_sides_of_every_protocol_agree(name: str) -> None:
    """R-5.1.1: payloads, hash, chaining key, static keys, and transport in both directions."""
    pair = make_pair(name, prologue=b"prologue")
    for number in itertools.count():
        if pair.initiator.is_complete:
            break
        writer, reader = pair.turn()
        payload = b"payload %d" % number
        assert reader.read_message(writer.write_message(payload)) == payload
        assert writer.handshake_hash == reader.handshake_hash
    assert pair.responder.is_complete
    if "NN" not in name:
        assert pair.initiator.remote_static == STATIC_R.public
        assert pair.responder.remote_static == STATIC_I.public
    else:
        assert pair.initiator.remote_static is pair.responder.remote_static is None
    ours, theirs = pair.initiator.split(), pair.responder.split()
    assert ours.handshake_hash == theirs.handshake_hash == pair.initiator.handshake_hash
    assert ours.chaining_key == theirs.chaining_key
    for text in (b"one", b"two", b""):
        assert theirs.receive.decrypt_with_ad(b"", ours.send.encrypt_with_ad(b"", text)) == text
        assert ours.receive.decrypt_with_ad(b"", theirs.send.encrypt_with_ad(b"", text)) == text


def test_the_two_directions_have_different_keys() -> None:
    pair = make_pair()
    pair.advance(3)
    split = pair.initiator.split()
    with pytest.raises(DecryptionError):
        split.receive.decrypt_with_ad(b"", split.send.encrypt_with_ad(b"", b"reflected"))


def test_xx_messages_have_the_layout_of_the_standard() -> None:
    """R-5.1.2: fixed parts of 32, 32 + 48 and 48 bytes; payloads have a tag once there are keys."""
    pair = make_pair()
    message_1 = pair.initiator.write_message(b"clear")
    assert message_1[32:] == b"clear"
    pair.responder.read_message(message_1)
    message_2 = pair.responder.write_message(b"sealed")
    assert len(message_2) == 32 + 48 + 6 + 16
    known = [pair.initiator.remote_static]
    pair.initiator.read_message(message_2)
    known.append(pair.initiator.remote_static)
    assert known == [None, STATIC_R.public]
    message_3 = pair.initiator.write_message(b"sealed")
    assert len(message_3) == 48 + 6 + 16
    for message in (message_2, message_3):
        assert STATIC_R.public not in message
        assert STATIC_I.public not in message
        assert b"sealed" not in message


def test_version_1_offers_xx_and_ik_classical_and_hybrid_and_nothing_else() -> None:
    """R-5.1.10"""
    offered = [suite.noise_name for suite in SUITES.values()]
    assert offered == [XX, XX.replace("XX", "IK"), XXHFS, IKHFS]


@pytest.mark.parametrize("name", [XX, XX.replace("XX", "IK"), XX.replace("XX", "KK")])
def test_another_prologue_is_refused(name: str) -> None:
    """R-5.1.1: the preamble is authenticated."""
    initiator = make_pair(name, prologue=b"offer 1").initiator
    responder = make_pair(name, prologue=b"offer 2").responder
    pair = Pair(initiator, responder)
    with pytest.raises(DecryptionError):
        pair.advance(2)


@pytest.mark.parametrize("place", range(4))
def test_another_psk_is_refused(place: int) -> None:
    name = XX.replace("XX", f"XXpsk{place}")
    responder = HandshakeState(
        name, initiator=False, rng=seeded_rng("r"), s=STATIC_R, psks=[Secret(b"\xff" * 32)]
    )
    pair = Pair(make_pair(name).initiator, responder)
    with pytest.raises(DecryptionError):
        pair.advance(3)


def test_the_peer_proves_its_static_key() -> None:
    """Someone who only knows the right public key cannot finish, on either side."""
    impostor = KeyPair(generate(rng=seeded_rng("impostor")).private, STATIC_R.public)
    responder = HandshakeState(XX, initiator=False, rng=seeded_rng("r"), s=impostor)
    pair = Pair(make_pair().initiator, responder)
    with pytest.raises(DecryptionError):
        pair.advance(2)
    impostor = KeyPair(impostor.private, STATIC_I.public)
    initiator = HandshakeState(XX, initiator=True, rng=seeded_rng("i"), s=impostor)
    pair = Pair(initiator, make_pair().responder)
    with pytest.raises(DecryptionError):
        pair.advance(3)


# --- Turns and single use -------------------------------------------------------------------------


def test_each_message_has_one_writer_and_one_reader() -> None:
    """R-5.2.4"""
    pair = make_pair()
    for _ in range(3):
        writer, reader = pair.turn()
        assert writer.is_my_turn
        assert not reader.is_my_turn
        before = contents(writer), contents(reader)
        with pytest.raises(LocalProtocolError, match="other party's"):
            reader.write_message()
        with pytest.raises(LocalProtocolError, match="other party's"):
            writer.read_message(bytes(200))
        with pytest.raises(LocalProtocolError, match="split"):
            writer.split()
        assert (contents(writer), contents(reader)) == before
        assert not writer.is_complete
        pair.advance(1)


def test_nothing_is_read_or_written_after_the_end() -> None:
    """R-5.2.4: neither before nor after Split."""
    pair = make_pair()
    pair.advance(3)
    for is_split in (False, True):
        for state in (pair.initiator, pair.responder):
            assert state.is_complete
            assert not state.is_my_turn
            with pytest.raises(LocalProtocolError, match="complete"):
                state.write_message()
            with pytest.raises(LocalProtocolError, match="complete"):
                state.read_message(bytes(64))
            if is_split:
                with pytest.raises(LocalProtocolError, match="once"):
                    state.split()
            else:
                state.split()


def test_splitting_forgets_every_secret() -> None:
    """R-5.1.8: what stays is public."""
    name = XX.replace("XX", "XXpsk3")
    pair = make_pair(name)
    pair.advance(3)
    for state, static in ((pair.initiator, STATIC_R), (pair.responder, STATIC_I)):
        handshake_hash = state.handshake_hash
        chaining_key = state.split().chaining_key.reveal()
        assert len(chaining_key) == 32
        left = contents(state)["_party"]
        assert left["_s"] is left["_e"] is left["_e1"] is None
        assert left["_psks"] == ()
        assert left["symmetric"]["_ck"] == b""
        assert left["symmetric"]["_cipher_state"]["_cipher"] is None
        assert chaining_key not in repr(left).encode()
        assert state.handshake_hash == handshake_hash
        assert state.remote_static == static.public


# --- Keys -----------------------------------------------------------------------------------------


def test_an_ephemeral_is_made_when_its_message_is_written() -> None:
    """R-5.1.7: 32 bytes of the rng for each side, and not before."""
    asked: list[int] = []

    def rng(count: int) -> bytes:
        asked.append(count)
        return system_rng(count)

    messages = []
    for attempt in (1, 2):
        initiator = HandshakeState(XX, initiator=True, rng=rng, s=STATIC_I)
        assert asked == [32] * (attempt - 1)
        messages.append(initiator.write_message())
        assert asked == [32] * attempt
    assert messages[0] != messages[1]
    responder = HandshakeState(XX, initiator=False, rng=rng, s=STATIC_R)
    responder.read_message(messages[1])
    assert asked == [32, 32]
    responder.write_message()
    assert asked == [32, 32, 32]


def test_a_given_ephemeral_is_used() -> None:
    initiator = HandshakeState(XX, initiator=True, rng=_never, s=STATIC_I, e=EPHEMERAL_R)
    assert initiator.write_message() == EPHEMERAL_R.public


@pytest.mark.parametrize(
    ("pattern", "initiator", "keys", "complaint"),
    [
        ("XX", True, {}, "needs our 's'"),
        ("XX", False, {}, "needs our 's'"),
        ("IK", True, {"s": STATIC_I}, "needs the peer's 's'"),
        ("IK", True, {"rs": STATIC_R.public}, "needs our 's'"),
        ("IK", False, {}, "needs our 's'"),
        ("IK", False, {"s": STATIC_R, "rs": STATIC_I.public}, "does not know rs"),
        ("KK", False, {"s": STATIC_R}, "needs the peer's 's'"),
        ("XX", True, {"s": STATIC_I, "rs": STATIC_R.public}, "does not know rs"),
        ("XX", True, {"s": STATIC_I, "re": STATIC_R.public}, "does not know re"),
        ("NN", True, {"rs": STATIC_R.public}, "does not know rs"),
        ("XXfallback", True, {"s": STATIC_I}, "needs the peer's 'e'"),
        ("XXfallback", False, {"s": STATIC_R}, "needs our 'e'"),
        (
            "XXfallback",
            False,
            {"s": STATIC_R, "e": EPHEMERAL_R, "re": STATIC_I.public},
            "does not know re",
        ),
        ("NNpsk0", True, {}, "takes 1 pre-shared keys, not 0"),
        ("NN", True, {"psks": [Secret(bytes(32))]}, "takes 0 pre-shared keys, not 1"),
        ("NNpsk0+psk2", True, {"psks": [Secret(bytes(32))]}, "takes 2 pre-shared keys, not 1"),
    ],
)
def test_keys_missing_or_out_of_place_are_refused_at_once(
    pattern: str, initiator: bool, keys: dict[str, object], complaint: str
) -> None:
    with pytest.raises(LocalProtocolError, match=complaint):
        HandshakeState(
            XX.replace("XX", pattern),
            initiator=initiator,
            rng=_never,
            **keys,  # type: ignore[arg-type]  # a table of keyword arguments
        )


@pytest.mark.parametrize("length", [0, 31, 33])
def test_keys_of_another_length_are_refused_at_once(length: int) -> None:
    wrong = bytes(length)
    with pytest.raises(InvalidKeyError, match=f"public key has 32 bytes, not {length}$"):
        HandshakeState(XX.replace("XX", "IK"), initiator=True, rng=_never, s=STATIC_I, rs=wrong)
    with pytest.raises(InvalidKeyError, match=f"public key has 32 bytes, not {length}$"):
        HandshakeState(
            XX.replace("XX", "XXfallback"), initiator=True, rng=_never, s=STATIC_I, re=wrong
        )
    with pytest.raises(InvalidKeyError, match=f"pre-shared key has 32 bytes, not {length}$"):
        HandshakeState(XX.replace("XX", "NNpsk0"), initiator=True, rng=_never, psks=[Secret(wrong)])


def test_keys_without_use_are_allowed_where_they_cannot_be_mistaken() -> None:
    """Our own static key in a pattern that does not send it."""
    pair = make_pair(XX.replace("XX", "NN"))
    pair.advance(2)
    assert pair.initiator.is_complete


# --- Zero shared secrets (R-5.1.6) ----------------------------------------------------------------

LOW_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    (2**255 - 19).to_bytes(32, "little"),
]


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_low_order_ephemeral_of_the_initiator_stops_the_responders_answer(point: bytes) -> None:
    """R-5.1.6"""
    responder = make_pair().responder
    responder.read_message(point)
    before = contents(responder)
    with pytest.raises(InvalidKeyError):
        responder.write_message()
    assert contents(responder) == before


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_low_order_ephemeral_of_the_responder_is_refused(point: bytes) -> None:
    """R-5.1.6"""
    pair = make_pair()
    pair.responder.read_message(pair.initiator.write_message())
    message = pair.responder.write_message()
    before = contents(pair.initiator)
    with pytest.raises(InvalidKeyError):
        pair.initiator.read_message(point + message[32:])
    assert contents(pair.initiator) == before
    pair.initiator.read_message(message)


@pytest.mark.parametrize("point", LOW_ORDER)
def test_a_low_order_static_key_is_refused_though_it_comes_encrypted(point: bytes) -> None:
    """R-5.1.6: an authentic message from a hostile peer, who has no private key for it anyway."""
    hostile = KeyPair(STATIC_R.private, point)
    responder = HandshakeState(XX, initiator=False, rng=seeded_rng("r"), s=hostile)
    pair = Pair(make_pair().initiator, responder)
    responder.read_message(pair.initiator.write_message())
    message = responder.write_message()
    before = contents(pair.initiator)
    with pytest.raises(InvalidKeyError):
        pair.initiator.read_message(message)
    assert contents(pair.initiator) == before
    assert pair.initiator.remote_static is None


# --- Lengths --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(3))
def test_the_longest_message_has_65535_bytes(number: int) -> None:
    """R-5.1.3, R-5.2.1"""
    pair = make_pair()
    pair.advance(number)
    writer, reader = pair.turn()
    room = 65535 - [32, 96, 64][number]
    before = contents(writer)
    with pytest.raises(LocalProtocolError, match=f"holds {room} bytes of payload, not {room + 1}"):
        writer.write_message(bytes(room + 1))
    assert contents(writer) == before
    message = writer.write_message(bytes(room))
    assert len(message) == 65535
    before = contents(reader)
    with pytest.raises(DecryptionError, match="not 65536"):
        reader.read_message(message + b"\0")
    assert contents(reader) == before
    assert reader.read_message(message) == bytes(room)


# --- What a person or a peer may learn ------------------------------------------------------------


def test_repr_shows_the_position_and_no_key() -> None:
    """R-2.1.1"""
    pair = make_pair()
    pair.advance(2)
    assert repr(pair.initiator) == f"<HandshakeState {XX} initiator 2/3>"
    assert repr(pair.responder) == f"<HandshakeState {XX} responder 2/3>"
    pair.advance(1)
    split = pair.initiator.split()
    assert split.chaining_key.reveal().hex() not in repr(split)
    assert repr(split.chaining_key.reveal())[2:-1] not in repr(split)


def test_whatever_a_peer_causes_is_a_crypto_error() -> None:
    """R-5.2.5: so the session can answer all of it with one code."""
    pair = make_pair()
    pair.responder.read_message(pair.initiator.write_message())
    message = pair.responder.write_message()
    for wrong in (b"", message[:-1], message + b"\0", bytes(608), bytes(65536), message[::-1]):
        with pytest.raises(CryptoError):
            pair.initiator.read_message(wrong)
    pair.initiator.read_message(message)


def _never(count: int) -> bytes:
    raise AssertionError(f"{count} random bytes were asked for")
