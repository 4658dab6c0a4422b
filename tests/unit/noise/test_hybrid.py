"""The ``hfs`` modifier with ML-KEM-768 (protocol.md §5.5; KEM-based hybrid forward secrecy)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from p2pchat.crypto import kem
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.crypto.x25519 import key_pair
from p2pchat.errors import CryptoError, DecryptionError, InvalidKeyError, LocalProtocolError
from p2pchat.noise.handshake import HandshakeState
from tests.unit.noise.pairs import (
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

VECTOR_FILE = Path(__file__).parents[2] / "vectors" / "noise_hfs" / f"{XXHFS}.json"

ALL = [
    f"Noise_{pattern}_25519+MLKEM768_ChaChaPoly_{name}"
    for pattern in ("NNhfs", "KKhfs", "XXhfs", "IKhfs", "XXhfs+psk0", "IKhfs+psk2", "XXpsk3+hfs")
    for name in ("SHA256", "SHA512", "BLAKE2s", "BLAKE2b")
]

E1 = kem.key_pair(Secret(bytes(64)))

BAD_KEY = b"\xff\xff\xff" + E1.public[3:]
"""Of the right length, with two coefficients of 4095."""


def sides(name: str, **responder: Any) -> Pair:
    """Return an XXhfs or IKhfs pair whose responder has extra keyword arguments."""
    rs = STATIC_R.public if "_IK" in name else None
    return Pair(
        HandshakeState(name, initiator=True, rng=seeded_rng("i"), s=STATIC_I, rs=rs),
        HandshakeState(name, initiator=False, rng=seeded_rng("r"), s=STATIC_R, **responder),
    )


# --- Agreement ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_both_sides_of_every_hybrid_protocol_agree(name: str) -> None:
    """R-5.5.1"""
    pair = make_pair(name, prologue=b"prologue")
    number = 0
    while not pair.initiator.is_complete:
        writer, reader = pair.turn()
        payload = b"payload %d" % number
        assert reader.read_message(writer.write_message(payload)) == payload
        assert writer.handshake_hash == reader.handshake_hash
        number += 1
    ours, theirs = pair.initiator.split(), pair.responder.split()
    assert ours.chaining_key == theirs.chaining_key
    assert theirs.receive.decrypt_with_ad(b"", ours.send.encrypt_with_ad(b"", b"a")) == b"a"
    assert ours.receive.decrypt_with_ad(b"", theirs.send.encrypt_with_ad(b"", b"b")) == b"b"


def test_the_published_handshake_is_byte_for_byte_ours() -> None:
    """§5.5, played without the checker: KEM seed given, encapsulation injected."""
    document = json.loads(VECTOR_FILE.read_text(encoding="utf-8"))
    (vector,) = document["vectors"]
    value = {
        field: bytes.fromhex(text)
        for field, text in vector.items()
        if field.startswith(("init_", "resp_", "kem_")) or field == "handshake_hash"
    }
    asked: list[bytes] = []

    def encapsulate(public: bytes) -> tuple[bytes, bytes]:
        asked.append(public)
        return value["kem_ciphertext"], value["kem_shared_secret"]

    initiator, responder = (
        HandshakeState(
            document["protocol_name"],
            initiator=side == "init",
            rng=lambda _count: pytest.fail("the vector gives every key"),
            s=key_pair(Secret(value[f"{side}_static"])),
            e=key_pair(Secret(value[f"{side}_ephemeral"])),
            **extra,
        )
        for side, extra in (
            ("init", {"e1": kem.key_pair(Secret(value["init_kem_seed"]))}),
            ("resp", {"encapsulate": encapsulate}),
        )
    )
    for number, message in enumerate(vector["messages"]):
        writer, reader = (responder, initiator) if number % 2 else (initiator, responder)
        assert message["payload"] == ""
        assert writer.write_message().hex() == message["ciphertext"]
        assert reader.read_message(bytes.fromhex(message["ciphertext"])) == b""
    assert asked == [kem.key_pair(Secret(value["init_kem_seed"])).public]
    for side in (initiator, responder):
        assert side.handshake_hash == value["handshake_hash"]
    assert initiator.split().chaining_key == responder.split().chaining_key


# --- Layout ---------------------------------------------------------------------------------------


def test_xxhfs_sends_the_kem_key_in_clear_and_the_ciphertext_sealed() -> None:
    """R-5.5.1, R-5.5.2"""
    ciphertext, shared_secret = kem.EncapsulationKey(E1.public).encapsulate()
    initiator = HandshakeState(XXHFS, initiator=True, rng=seeded_rng("i"), s=STATIC_I, e1=E1)
    responder = sides(XXHFS, encapsulate=lambda _public: (ciphertext, shared_secret)).responder
    message_1 = initiator.write_message(b"clear")
    assert message_1[32:] == E1.public + b"clear"
    assert responder.read_message(message_1) == b"clear"
    message_2 = responder.write_message(b"sealed")
    assert len(message_2) == 32 + 1104 + 48 + 6 + 16
    assert ciphertext[:16] not in message_2
    assert initiator.read_message(message_2) == b"sealed"


def test_ikhfs_seals_the_kem_key_too() -> None:
    """R-5.5.1, R-5.5.2: it follows ``es``."""
    pair = sides(IKHFS)
    initiator = HandshakeState(
        IKHFS, initiator=True, rng=seeded_rng("i"), s=STATIC_I, rs=STATIC_R.public, e1=E1
    )
    message_1 = initiator.write_message()
    assert len(message_1) == 32 + 1200 + 48 + 16
    assert E1.public[:16] not in message_1
    pair.responder.read_message(message_1)
    message_2 = pair.responder.write_message()
    assert len(message_2) == 32 + 1104 + 16
    initiator.read_message(message_2)
    assert initiator.split().chaining_key == pair.responder.split().chaining_key


@pytest.mark.parametrize(("number", "overhead"), [(0, 1216), (1, 1200), (2, 64)])
def test_the_longest_hybrid_message_has_65535_bytes(number: int, overhead: int) -> None:
    """R-5.1.3"""
    pair = make_pair(XXHFS)
    pair.advance(number)
    writer, reader = pair.turn()
    room = 65535 - overhead
    with pytest.raises(LocalProtocolError, match=f"holds {room} bytes of payload, not {room + 1}"):
        writer.write_message(bytes(room + 1))
    message = writer.write_message(bytes(room))
    assert len(message) == 65535
    assert reader.read_message(message) == bytes(room)


# --- Keys -----------------------------------------------------------------------------------------


def test_kem_keys_and_secrets_are_fresh_in_each_handshake() -> None:
    """R-5.5.3, R-5.1.7: 32 and 64 bytes of the rng when message 1 is written, 32 for message 2."""
    asked: list[int] = []

    def rng(count: int) -> bytes:
        asked.append(count)
        return system_rng(count)

    messages = []
    for _ in range(2):
        initiator = HandshakeState(XXHFS, initiator=True, rng=rng, s=STATIC_I)
        responder = HandshakeState(XXHFS, initiator=False, rng=rng, s=STATIC_R)
        assert asked == []
        messages.append(initiator.write_message())
        assert asked == [32, 64]
        responder.read_message(messages[-1])
        responder.write_message()
        assert asked == [32, 64, 32]
        asked.clear()
    assert messages[0][32:] != messages[1][32:]


def test_the_kem_secret_is_part_of_every_later_key() -> None:
    """§5.5: everything else equal, only the encapsulated secret differs."""
    outcomes = []
    for secret in (b"\x01" * 32, b"\x02" * 32):
        responder = sides(XXHFS, encapsulate=lambda _public, s=secret: (bytes(1088), s)).responder
        responder.read_message(sides(XXHFS).initiator.write_message())
        outcomes.append(responder.write_message(b"payload"))
    first, second = outcomes
    assert first[: 32 + 1104] == second[: 32 + 1104]
    assert first[32 + 1104 : 32 + 1152] != second[32 + 1104 : 32 + 1152]  # s
    assert first[-23:] != second[-23:]  # the payload


@pytest.mark.parametrize(
    ("name", "initiator", "keys", "complaint"),
    [
        (XX, True, {"e1": E1}, "no e1"),
        (XXHFS, False, {"e1": E1}, "no e1"),
        (XX, False, {"encapsulate": lambda _public: (b"", b"")}, "does not encapsulate"),
        (XXHFS, True, {"encapsulate": lambda _public: (b"", b"")}, "does not encapsulate"),
    ],
)
def test_kem_keys_out_of_place_are_refused_at_once(
    name: str, initiator: bool, keys: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(LocalProtocolError, match=complaint):
        HandshakeState(name, initiator=initiator, rng=system_rng, s=STATIC_I, **keys)


def test_splitting_forgets_the_kem_key() -> None:
    """R-5.5.6, R-5.1.8"""
    pair = make_pair(XXHFS)
    pair.advance(1)
    assert contents(pair.initiator)["_party"]["_e1"] is not None
    pair.advance(2)
    for side in (pair.initiator, pair.responder):
        side.split()
        left = contents(side)["_party"]
        assert left["_e1"] is left["_encapsulate"] is left["_e"] is left["_s"] is None
        with pytest.raises(LocalProtocolError, match="once"):
            side.split()


def test_a_library_without_ml_kem_is_said_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise CryptoError("no ML-KEM-768")

    monkeypatch.setattr(kem, "require_available", refuse)
    with pytest.raises(CryptoError, match="no ML-KEM-768"):
        make_pair(XXHFS)
    make_pair(XX)


# --- Forgeries ------------------------------------------------------------------------------------


def flipped(message: bytes, position: int) -> bytes:
    return message[:position] + bytes([message[position] ^ 1]) + message[position + 1 :]


def assert_refused_without_trace(
    reader: HandshakeState, forged: bytes, error: type[CryptoError] = CryptoError
) -> None:
    before = contents(reader)
    with pytest.raises(error):
        reader.read_message(forged)
    assert contents(reader) == before


@pytest.mark.parametrize("name", [XXHFS, IKHFS])
def test_flipped_bytes_are_refused_without_trace(name: str) -> None:
    """R-5.2.1: key, ciphertext, tags and all else; then the genuine message is read."""
    pair = make_pair(name)
    while not pair.initiator.is_complete:
        writer, reader = pair.turn()
        message = writer.write_message(b"payload")
        if not (name == XXHFS and writer is pair.initiator and len(message) > 1000):  # clear
            for position in [*range(32), *range(32, len(message), 37), len(message) - 1]:
                assert_refused_without_trace(reader, flipped(message, position))
            for length in (0, 31, 32, len(message) // 2, len(message) - 8):
                assert_refused_without_trace(reader, message[:length])
        assert reader.read_message(message) == b"payload"
    assert pair.initiator.split().chaining_key == pair.responder.split().chaining_key


def test_a_changed_kem_key_in_clear_shows_in_the_answer() -> None:
    """§5.5: XXhfs message 1 is hashed, so the responder answers under another ``h``."""
    initiator = make_pair(XXHFS).initiator
    message = initiator.write_message()
    for position in (33, 700, 1183, 1184, 1215):
        responder = make_pair(XXHFS).responder
        try:
            responder.read_message(flipped(message, position))
        except InvalidKeyError:  # the flip made a coefficient too large: seen at once
            continue
        assert_refused_without_trace(initiator, responder.write_message(), DecryptionError)
    other = message[:32] + E1.public
    responder = make_pair(XXHFS).responder
    responder.read_message(other)
    assert_refused_without_trace(initiator, responder.write_message(), DecryptionError)


def test_a_kem_key_out_of_range_is_refused_without_trace() -> None:
    """R-5.5.4, FIPS 203 §7.2: before the responder answers, and the genuine key still comes."""
    pair = make_pair(XXHFS)
    message = pair.initiator.write_message()
    assert_refused_without_trace(pair.responder, message[:32] + BAD_KEY, InvalidKeyError)
    pair.responder.read_message(message)
    pair.advance(2)
    assert pair.initiator.split().chaining_key == pair.responder.split().chaining_key


def test_a_kem_key_out_of_range_is_refused_though_it_comes_encrypted() -> None:
    """R-5.5.4: an authentic IKhfs message from a hostile peer."""
    hostile = kem.KemKeyPair(E1.private, BAD_KEY, E1._expanded)
    initiator = HandshakeState(
        IKHFS, initiator=True, rng=seeded_rng("i"), s=STATIC_I, rs=STATIC_R.public, e1=hostile
    )
    responder = make_pair(IKHFS).responder
    assert_refused_without_trace(responder, initiator.write_message(), InvalidKeyError)
    assert responder.remote_static is None


@pytest.mark.parametrize("name", [XXHFS, IKHFS])
def test_a_ciphertext_for_another_key_shows_only_as_a_failed_tag(name: str) -> None:
    """R-5.5.5: implicit rejection; the same error and words as for any forgery."""
    pair = sides(name, encapsulate=lambda _public: (bytes(1088), bytes(32)))
    pair.advance(1)
    message = pair.responder.write_message()
    before = contents(pair.initiator)
    complaints = []
    for forged in (message, flipped(message, 32), flipped(message, len(message) - 1)):
        with pytest.raises(DecryptionError) as caught:
            pair.initiator.read_message(forged)
        complaints.append(str(caught.value))
        assert contents(pair.initiator) == before
    assert len(set(complaints)) == 1


def test_a_genuine_ciphertext_with_the_wrong_secret_is_refused() -> None:
    """R-5.5.5."""
    ciphertext, _ = kem.EncapsulationKey(E1.public).encapsulate()
    initiator = HandshakeState(XXHFS, initiator=True, rng=seeded_rng("i"), s=STATIC_I, e1=E1)
    responder = sides(XXHFS, encapsulate=lambda _public: (ciphertext, bytes(32))).responder
    responder.read_message(initiator.write_message())
    assert_refused_without_trace(initiator, responder.write_message(), DecryptionError)


def test_a_hybrid_and_a_classical_side_do_not_agree() -> None:
    """R-5.5.1: the name is hashed, so a stripped ``hfs`` cannot complete."""
    hybrid, classical = make_pair(XXHFS), make_pair(XX)
    classical.responder.read_message(hybrid.initiator.write_message())  # e1 looks like a payload
    with pytest.raises(DecryptionError):
        hybrid.initiator.read_message(classical.responder.write_message(bytes(1104)))


def test_an_interrupted_write_makes_another_kem_key() -> None:
    """R-5.5.3, R-5.2.1, R-5.1.7: the random source fails between ``e`` and ``e1``."""
    source = seeded_rng("working")
    fail = True

    def rng(count: int) -> bytes:
        if fail and count == 64:
            raise KeyboardInterrupt
        return source(count)

    initiator = HandshakeState(XXHFS, initiator=True, rng=rng, s=STATIC_I)
    before = contents(initiator)
    with pytest.raises(KeyboardInterrupt):
        initiator.write_message()
    assert contents(initiator) == before
    fail = False
    pair = Pair(initiator, make_pair(XXHFS).responder)
    pair.advance(3)
    assert pair.initiator.split().chaining_key == pair.responder.split().chaining_key


@pytest.mark.parametrize("name", [XXHFS, IKHFS])
def test_each_attempt_to_write_makes_another_kem_key(name: str) -> None:
    """R-5.5.3, R-5.1.7, R-5.2.1: the write fails at its end, since the payload is no bytes."""
    asked: list[int] = []
    source = seeded_rng("initiator")

    def rng(count: int) -> bytes:
        asked.append(count)
        return source(count)

    rs = STATIC_R.public if name == IKHFS else None
    initiator = HandshakeState(name, initiator=True, rng=rng, s=STATIC_I, rs=rs)
    before = contents(initiator)
    with pytest.raises(TypeError):
        initiator.write_message("text")  # type: ignore[arg-type]  # on purpose
    assert contents(initiator) == before
    initiator.write_message()
    assert asked == [32, 64, 32, 64]
