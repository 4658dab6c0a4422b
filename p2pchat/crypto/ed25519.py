"""Ed25519 signatures (RFC 8032; protocol.md §2.3) through libsodium.

Verification is strict: libsodium refuses non-canonical scalars and points and low-order keys.
"""

from __future__ import annotations

import nacl.bindings
import nacl.exceptions

from p2pchat.constants import KEY_LEN, SIGNATURE_LEN
from p2pchat.crypto.secret import Secret
from p2pchat.errors import InvalidKeyError, SignatureError


def public_key(seed: Secret) -> bytes:
    """Return the 32-byte public key of a 32-byte seed.

    Raises:
        InvalidKeyError: The seed is not 32 bytes.
    """
    return _expand(seed)[KEY_LEN:]


def sign(seed: Secret, message: bytes) -> bytes:
    """Return the 64-byte deterministic signature of ``message``.

    Raises:
        InvalidKeyError: The seed is not 32 bytes.
    """
    return nacl.bindings.crypto_sign(message, _expand(seed))[:SIGNATURE_LEN]


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Return only if ``signature`` is valid for ``message`` under the 32-byte ``public`` key.

    Raises:
        InvalidKeyError: The public key is not 32 bytes.
        SignatureError: The signature is not 64 bytes or does not verify.
    """
    if len(public) != KEY_LEN:
        raise InvalidKeyError(f"an Ed25519 public key has {KEY_LEN} bytes, not {len(public)}")
    if len(signature) != SIGNATURE_LEN:
        raise SignatureError(f"an Ed25519 signature has {SIGNATURE_LEN} bytes")
    try:
        nacl.bindings.crypto_sign_open(signature + message, public)
    except nacl.exceptions.CryptoError as error:
        raise SignatureError("the Ed25519 signature does not verify") from error


def _expand(seed: Secret) -> bytes:
    if len(seed) != KEY_LEN:
        raise InvalidKeyError(f"an Ed25519 seed has {KEY_LEN} bytes, not {len(seed)}")
    _, secret_key = nacl.bindings.crypto_sign_seed_keypair(seed.reveal())
    return secret_key
