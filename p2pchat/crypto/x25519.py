"""X25519 key agreement (RFC 7748; protocol.md §2.2) through libsodium and OpenSSL.

OpenSSL's exchange is the faster one, 28 us to libsodium's 34, but setting up its private key takes
26 us. So a key that serves many exchanges is set up once (``long_term_key_pair``), and for one that
lives for a handshake or a chain libsodium does both parts.

Every Diffie-Hellman result is checked: both libraries refuse the all-zero one, which low-order
public keys produce, and the refusal leaves here as ``InvalidKeyError``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import nacl.bindings
import nacl.exceptions
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from p2pchat.constants import KEY_LEN
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import InvalidKeyError


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An X25519 key pair: 32-byte private scalar and 32-byte public u-coordinate."""

    private: Secret
    public: bytes
    _set_up: X25519PrivateKey | None = field(default=None, repr=False, compare=False)

    def dh(self, public: bytes) -> bytes:
        """Return the 32-byte shared secret with a peer's public key.

        Raises:
            InvalidKeyError: Wrong length, or the result is all zero (low-order point).
        """
        key = self._set_up
        if key is None or len(self.private) != KEY_LEN or len(public) != KEY_LEN:
            return dh(self.private, public)  # which refuses wrong lengths, so a wiped key too
        try:
            return key.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError as error:
            raise _zero_result() from error


def key_pair(private: Secret) -> KeyPair:
    """Complete a 32-byte private key with its public key.

    Raises:
        InvalidKeyError: The private key is not 32 bytes.
    """
    if len(private) != KEY_LEN:
        raise InvalidKeyError(f"an X25519 private key has {KEY_LEN} bytes, not {len(private)}")
    return KeyPair(private, nacl.bindings.crypto_scalarmult_base(private.reveal()))


def long_term_key_pair(private: Secret) -> KeyPair:
    """Do the same for a key that serves many exchanges: sets it up once for all of them.

    Raises:
        InvalidKeyError: The private key is not 32 bytes.
    """
    public = key_pair(private).public
    return KeyPair(private, public, X25519PrivateKey.from_private_bytes(private.reveal()))


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
        raise _zero_result() from error


def _zero_result() -> InvalidKeyError:
    return InvalidKeyError("the X25519 result is all zero")
