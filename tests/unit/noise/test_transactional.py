"""A refused handshake message changes nothing, and the genuine one still works (R-5.2.1)."""

from __future__ import annotations

import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.errors import CryptoError, DecryptionError, InvalidKeyError
from p2pchat.noise.handshake import HandshakeState
from tests.unit.noise.pairs import STATIC_I, STATIC_R, XX, Pair, contents, make_pair, seeded_rng

OTHERS = [
    f"Noise_{pattern}_25519_ChaChaPoly_SHA256"
    for pattern in ("NN", "KK", "IK", "XXfallback", "NNpsk0", "XXpsk3", "IKpsk1+psk2")
]


def flips(message: bytes) -> list[bytes]:
    """Return the message once for each byte, with one bit of that byte flipped."""
    flipped = []
    for position in range(len(message)):
        copy = bytearray(message)
        copy[position] ^= 1 << position % 8
        flipped.append(bytes(copy))
    return flipped


def assert_refused_without_trace(reader: HandshakeState, forged: bytes) -> None:
    before = contents(reader)
    with pytest.raises(CryptoError):
        reader.read_message(forged)
    assert contents(reader) == before


@pytest.mark.parametrize("number", [1, 2])
def test_every_flipped_byte_of_xx_messages_2_and_3_is_refused_without_trace(number: int) -> None:
    """R-5.2.1, R-5.2.2"""
    pair = make_pair()
    pair.advance(number)
    writer, reader = pair.turn()
    message = writer.write_message(b"payload")
    for forged in flips(message):
        assert_refused_without_trace(reader, forged)
    assert reader.read_message(message) == b"payload"
    while not pair.initiator.is_complete:
        pair.advance(1)
    assert pair.initiator.split().chaining_key == pair.responder.split().chaining_key


def test_every_flipped_byte_of_xx_message_1_shows_in_the_answer() -> None:
    """R-5.2.1: message 1 is clear, so it is the initiator who notices, and loses nothing."""
    initiator = make_pair().initiator
    message = initiator.write_message(b"payload")
    for forged in flips(message):
        responder = make_pair().responder
        responder.read_message(forged)
        assert_refused_without_trace(initiator, responder.write_message())
    pair = Pair(initiator, make_pair().responder)
    pair.responder.read_message(message)
    pair.advance(2)
    assert initiator.split().chaining_key == pair.responder.split().chaining_key


@pytest.mark.parametrize("number", range(3))
def test_every_truncation_of_every_xx_message_is_refused_without_trace(number: int) -> None:
    """R-5.2.3: also where the cut leaves whole fields; message 1 may lose payload, not its key."""
    pair = make_pair()
    pair.advance(number)
    writer, reader = pair.turn()
    message = writer.write_message(b"" if number == 0 else b"payload")
    for length in range(len(message)):
        assert_refused_without_trace(reader, message[:length])
    if number:
        assert_refused_without_trace(reader, message + b"\0")
    reader.read_message(message)
    while not pair.initiator.is_complete:
        pair.advance(1)


def test_a_message_too_short_is_refused_before_any_key_is_computed() -> None:
    """R-5.2.3: with a static key that cannot be used, a computation would say so."""
    pair = make_pair()
    pair.advance(1)
    message = pair.responder.write_message()
    before = contents(pair.initiator)
    with pytest.raises(DecryptionError, match=r"96\.\.65535 bytes, not 95"):
        pair.initiator.read_message(bytes(32) + message[32:-1])
    assert contents(pair.initiator) == before


@pytest.mark.parametrize("name", OTHERS)
def test_forgeries_leave_no_trace_in_other_patterns(name: str) -> None:
    """R-5.2.1, pre-shared keys included: a used psk comes back too."""
    pair = make_pair(name)
    while not pair.initiator.is_complete:
        writer, reader = pair.turn()
        message = writer.write_message(b"payload")
        if len(message) > 32 + len(b"payload"):  # not quite all in clear
            for forged in flips(message)[::5]:
                assert_refused_without_trace(reader, forged)
        assert reader.read_message(message) == b"payload"
    assert pair.initiator.split().chaining_key == pair.responder.split().chaining_key


def test_messages_of_another_handshake_leave_no_trace() -> None:
    """R-5.2.1: genuine messages, replayed into the wrong place."""
    other = make_pair(seed="other")
    replayed = [other.initiator.write_message()]
    other.responder.read_message(replayed[0])
    replayed.append(other.responder.write_message())
    other.initiator.read_message(replayed[1])
    replayed.append(other.initiator.write_message())

    pair = make_pair()
    pair.advance(1)
    message = pair.responder.write_message()
    for wrong in replayed:
        assert_refused_without_trace(pair.initiator, wrong)
    pair.initiator.read_message(message)
    for wrong in [*replayed, message]:
        assert_refused_without_trace(pair.responder, wrong)
    pair.advance(1)
    assert pair.responder.is_complete


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("psks", [[], [Secret(bytes(32))]])
def test_a_write_that_is_interrupted_leaves_no_trace(
    interruption: type[BaseException], psks: list[Secret]
) -> None:
    """R-5.2.1: the random source fails, under ``psk0`` in mid-message, then it works."""
    name = XX.replace("XX", "XXpsk0") if psks else XX
    working = seeded_rng("working")
    failing = True

    def rng(count: int) -> bytes:
        if failing:
            raise interruption
        return working(count)

    initiator = HandshakeState(name, initiator=True, rng=rng, s=STATIC_I, psks=psks)
    before = contents(initiator)
    with pytest.raises(interruption):
        initiator.write_message()
    assert contents(initiator) == before
    failing = False
    pair = Pair(initiator, make_pair(name).responder)
    pair.advance(3)
    assert pair.initiator.split().chaining_key == pair.responder.split().chaining_key


def test_each_attempt_to_write_makes_another_ephemeral() -> None:
    """R-5.1.7, R-5.2.1: the write fails after ``e``, at ``ee``, since the peer's key is bad."""
    made: list[bytes] = []
    source = seeded_rng("responder")

    def rng(count: int) -> bytes:
        made.append(source(count))
        return made[-1]

    responder = HandshakeState(XX, initiator=False, rng=rng, s=STATIC_R)
    responder.read_message(bytes(32))
    before = contents(responder)
    for _ in range(2):
        with pytest.raises(InvalidKeyError):
            responder.write_message()
        assert contents(responder) == before
    assert len(set(made)) == 2
