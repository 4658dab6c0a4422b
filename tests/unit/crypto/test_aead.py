from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pchat.crypto import aead
from p2pchat.errors import CryptoError, DecryptionError, InvalidKeyError

KEY = bytes(range(32))
NONCE = bytes(range(12))

OPENERS: list[Callable[[bytes, bytes], bytes]] = [
    lambda sealed, ad: aead.open_(KEY, NONCE, sealed, ad),
    lambda sealed, ad: aead.Cipher(KEY).open(NONCE, sealed, ad),
]


def test_both_ways_of_sealing_agree_and_add_a_tag() -> None:
    sealed = aead.seal(KEY, NONCE, b"hello", b"ad")
    assert sealed == aead.Cipher(KEY).seal(NONCE, b"hello", b"ad")
    assert len(sealed) == 5 + 16


@pytest.mark.parametrize("opener", OPENERS)
def test_every_flipped_bit_is_refused(opener: Callable[[bytes, bytes], bytes]) -> None:
    sealed = aead.seal(KEY, NONCE, b"hello", b"ad")
    assert opener(sealed, b"ad") == b"hello"
    for bit in range(8 * len(sealed)):
        forged = bytearray(sealed)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptionError):
            opener(bytes(forged), b"ad")


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("length", [0, 1, 15, 16, 20])
def test_truncation_is_refused(opener: Callable[[bytes, bytes], bytes], length: int) -> None:
    sealed = aead.seal(KEY, NONCE, b"hello", b"")
    with pytest.raises(DecryptionError):
        opener(sealed[:length], b"")


@pytest.mark.parametrize("opener", OPENERS)
def test_other_associated_data_is_refused(opener: Callable[[bytes, bytes], bytes]) -> None:
    with pytest.raises(DecryptionError):
        opener(aead.seal(KEY, NONCE, b"hello", b"ad"), b"da")


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    key = bytes(length)
    with pytest.raises(InvalidKeyError, match=f"not {length}$"):
        aead.Cipher(key)
    with pytest.raises(InvalidKeyError, match=f"not {length}$"):
        aead.seal(key, NONCE, b"", b"")
    with pytest.raises(InvalidKeyError, match=f"not {length}$"):
        aead.open_(key, NONCE, bytes(16), b"")


@pytest.mark.parametrize("length", [0, 8, 11, 13, 24])
def test_a_nonce_of_another_length_is_refused_and_not_padded(length: int) -> None:
    nonce = bytes(length)
    cipher = aead.Cipher(KEY)
    calls: list[Callable[[], bytes]] = [
        lambda: cipher.seal(nonce, b"", b""),
        lambda: cipher.open(nonce, bytes(16), b""),
        lambda: aead.seal(KEY, nonce, b"", b""),
        lambda: aead.open_(KEY, nonce, bytes(16), b""),
    ]
    for call in calls:
        with pytest.raises(CryptoError, match=f"nonce has 12 bytes, not {length}$") as caught:
            call()
        assert not isinstance(caught.value, DecryptionError)


def test_a_cipher_does_not_show_its_key() -> None:
    """R-2.1.1"""
    assert repr(aead.Cipher(KEY)) == "<Cipher>"
