from __future__ import annotations

import pytest

from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import InvalidKeyError, SignatureError

# RFC 8032 §7.1, test 3
SEED = Secret(bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"))
PUBLIC = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
MESSAGE = bytes.fromhex("af82")
SIGNATURE = bytes.fromhex(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)


def test_the_published_signature() -> None:
    assert ed25519.public_key(SEED) == PUBLIC
    assert ed25519.sign(SEED, MESSAGE) == SIGNATURE
    ed25519.verify(PUBLIC, MESSAGE, SIGNATURE)


def test_every_flipped_bit_of_the_signature_is_refused() -> None:
    for bit in range(8 * len(SIGNATURE)):
        forged = bytearray(SIGNATURE)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignatureError):
            ed25519.verify(PUBLIC, MESSAGE, bytes(forged))


def test_another_message_or_key_is_refused() -> None:
    with pytest.raises(SignatureError):
        ed25519.verify(PUBLIC, MESSAGE + b"\0", SIGNATURE)
    other = ed25519.public_key(Secret(bytes(32)))
    with pytest.raises(SignatureError):
        ed25519.verify(other, MESSAGE, SIGNATURE)


@pytest.mark.parametrize(
    "public",
    [
        b"\x01" + bytes(31),  # the neutral element
        bytes(32),  # order 4
        bytes.fromhex(
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
        ),  # order 2
        b"\xff" * 32,  # y is not reduced
    ],
)
def test_keys_of_small_order_and_unreduced_ones_are_refused(public: bytes) -> None:
    """R-2.3.1: with such a key, R = key and S = 0 would pass a careless check."""
    for point in (public, b"\x01" + bytes(31)):
        with pytest.raises(SignatureError):
            ed25519.verify(public, b"anything", point + bytes(32))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_keys_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(InvalidKeyError, match=f"not {length}$"):
        ed25519.verify(bytes(length), MESSAGE, SIGNATURE)
    with pytest.raises(InvalidKeyError, match=f"not {length}$"):
        ed25519.public_key(Secret(bytes(length)))
    with pytest.raises(InvalidKeyError, match=f"not {length}$"):
        ed25519.sign(Secret(bytes(length)), MESSAGE)


@pytest.mark.parametrize("length", [0, 63, 65, 128])
def test_signatures_of_another_length_are_refused(length: int) -> None:
    """A longer one would otherwise be read as a signature and the start of a message."""
    signature = (SIGNATURE + MESSAGE + bytes(64))[:length]
    with pytest.raises(SignatureError, match="64 bytes"):
        ed25519.verify(PUBLIC, MESSAGE, signature)
    with pytest.raises(SignatureError, match="64 bytes"):
        ed25519.verify(PUBLIC, b"", SIGNATURE + MESSAGE)
