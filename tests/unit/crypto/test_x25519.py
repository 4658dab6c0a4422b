from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pchat.crypto import x25519
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import InvalidKeyError

# RFC 7748 §6.1
ALICE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
ALICE_PUBLIC = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
BOB_PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")


def test_the_published_exchange() -> None:
    alice, bob = x25519.key_pair(Secret(ALICE)), x25519.key_pair(Secret(BOB))
    assert (alice.public, bob.public) == (ALICE_PUBLIC, BOB_PUBLIC)
    assert x25519.dh(alice.private, bob.public) == SHARED
    assert bob.dh(alice.public) == SHARED


def test_a_long_term_pair_is_the_same_pair_with_the_same_results() -> None:
    pair = x25519.long_term_key_pair(Secret(BOB))
    assert pair == x25519.key_pair(Secret(BOB))
    assert repr(pair) == repr(x25519.key_pair(Secret(BOB)))
    assert pair.dh(ALICE_PUBLIC) == SHARED
    other = x25519.generate(rng=system_rng)
    assert pair.dh(other.public) == other.dh(pair.public)


def test_a_generated_key_is_32_bytes_of_the_rng_asked_for_once() -> None:
    asked: list[int] = []

    def rng(count: int) -> bytes:
        asked.append(count)
        return ALICE

    assert x25519.generate(rng=rng) == x25519.key_pair(Secret(ALICE))
    assert asked == [32]


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_an_rng_or_key_of_another_length_is_refused(length: int) -> None:
    """Above all the short ones: PyNaCl would read past their end."""
    with pytest.raises(InvalidKeyError, match=f"private key has 32 bytes, not {length}$"):
        x25519.generate(rng=lambda _count: bytes(length))
    with pytest.raises(InvalidKeyError, match=f"private key has 32 bytes, not {length}$"):
        x25519.long_term_key_pair(Secret(bytes(length)))
    with pytest.raises(InvalidKeyError, match=f"private key has 32 bytes, not {length}$"):
        x25519.dh(Secret(bytes(length)), BOB_PUBLIC)
    with pytest.raises(InvalidKeyError, match=f"public key has 32 bytes, not {length}$"):
        x25519.dh(Secret(ALICE), bytes(length))
    with pytest.raises(InvalidKeyError, match=f"public key has 32 bytes, not {length}$"):
        x25519.long_term_key_pair(Secret(ALICE)).dh(bytes(length))


@pytest.mark.parametrize("make", [x25519.key_pair, x25519.long_term_key_pair])
def test_a_wiped_key_is_refused(make: Callable[[Secret], KeyPair]) -> None:
    pair = make(Secret(ALICE))
    pair.private.wipe()
    with pytest.raises(InvalidKeyError, match=r"not 0$"):
        pair.dh(BOB_PUBLIC)


@pytest.mark.parametrize(
    "public",
    [
        bytes(32),
        b"\x01" + bytes(31),
        bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        (2**255 - 20).to_bytes(32, "little"),  # p - 1
        (2**255 - 19).to_bytes(32, "little"),  # p, another way to write 0
        (2**255 - 18).to_bytes(32, "little"),  # p + 1, another way to write 1
    ],
)
def test_low_order_points_are_refused_with_and_without_the_ignored_bit(public: bytes) -> None:
    """R-2.2.1"""
    for point in (public, public[:31] + bytes([public[31] | 0x80])):
        with pytest.raises(InvalidKeyError, match="all zero"):
            x25519.dh(Secret(ALICE), point)
        with pytest.raises(InvalidKeyError, match="all zero"):
            x25519.long_term_key_pair(Secret(ALICE)).dh(point)
