"""X25519 key agreement (RFC 7748; protocol.md §2.2) through libsodium.

Every Diffie-Hellman result is checked: libsodium refuses the all-zero one, which low-order
public keys produce, and the refusal leaves here as ``InvalidKeyError``.
"""

from __future__ import annotations

from dataclasses import dataclass

import nacl.bindings
import nacl.exceptions

from p2pchat.constants import KEY_LEN
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import InvalidKeyError


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An X25519 key pair: 32-byte private scalar and 32-byte public u-coordinate."""

    private: Secret
    public: bytes


def key_pair(private: Secret) -> KeyPair:
    """Complete a 32-byte private key with its public key.

    Raises:
        InvalidKeyError: The private key is not 32 bytes.
    """
    if len(private) != KEY_LEN:
        raise InvalidKeyError(f"an X25519 private key has {KEY_LEN} bytes, not {len(private)}")
    return KeyPair(private, nacl.bindings.crypto_scalarmult_base(private.reveal()))


def generate(*, rng: Rng) -> KeyPair:
    """Make a new key pair; calls ``rng`` once, for 32 bytes."""
    return key_pair(Secret(rng(KEY_LEN)))


def dh(private: Secret, public: bytes) -> bytes:
    """Return the 32-byte shared secret of our private and their public key.

    Raises:
        InvalidKeyError: Wrong length, or the result is all zero (low-order point).
    """
    scalar = private.reveal()
    # PyNaCl hands both pointers to C unchecked: a shorter one (a wiped secret) would be overread.
    if len(scalar) != KEY_LEN:
        raise InvalidKeyError(f"an X25519 private key has {KEY_LEN} bytes, not {len(scalar)}")
    if len(public) != KEY_LEN:
        raise InvalidKeyError(f"an X25519 public key has {KEY_LEN} bytes, not {len(public)}")
    try:
        return nacl.bindings.crypto_scalarmult(scalar, public)
    except nacl.exceptions.CryptoError as error:
        raise InvalidKeyError("the X25519 result is all zero") from error
