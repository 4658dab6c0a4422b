"""HMAC and HKDF (RFC 2104, RFC 5869; protocol.md §2.5).

Three functions for SHA-256, and ``HashFunction`` for Noise, which asks for other hashes too. HKDF
is ``cryptography``'s. Where one key makes two HMACs that are no HKDF, as in the ratchet's chains,
HMAC is written out, in integers, so that its padded key is made once. Integers, since a
translation table would be read at places that depend on the key. Tests hold all of it equal to
the standard library's ``hmac``.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from p2pchat.constants import HASH_LEN

HKDF_MAX_BYTES: Final = 255 * HASH_LEN
"""RFC 5869 §2.3."""

_SHA256: Final = hashes.SHA256()
_BLOCK_LEN: Final = 64
_INNER_PAD: Final = int.from_bytes(b"\x36" * _BLOCK_LEN, "little")
_OUTER_PAD: Final = int.from_bytes(b"\x5c" * _BLOCK_LEN, "little")
"""RFC 2104's ``ipad`` and ``opad`` for SHA-256."""


@dataclass(frozen=True, slots=True)
class HashFunction:
    """A hash with the HKDF over it that Noise needs.

    Attributes:
        new: hashlib's constructor, faster than ``cryptography``'s for short data.
        algorithm: The same hash for ``cryptography``.
        length: Bytes of a digest.
    """

    new: Callable[[bytes], Any]
    algorithm: hashes.HashAlgorithm
    length: int

    def digest(self, data: bytes) -> bytes:
        """Return the hash of ``data``."""
        digest: bytes = self.new(data).digest()
        return digest

    def hkdf(self, salt: bytes, input_key: bytes, outputs: int) -> bytes:
        """Return HKDF's first ``outputs`` blocks of ``length`` bytes, with empty info.

        Args:
            salt: A chaining key.
            input_key: Any length.
            outputs: 2 or 3 in Noise.
        """
        return HKDF(self.algorithm, outputs * self.length, salt, b"").derive(input_key)


SHA256: Final = HashFunction(hashlib.sha256, hashes.SHA256(), 32)
SHA512: Final = HashFunction(hashlib.sha512, hashes.SHA512(), 64)
BLAKE2S: Final = HashFunction(hashlib.blake2s, hashes.BLAKE2s(32), 32)
BLAKE2B: Final = HashFunction(hashlib.blake2b, hashes.BLAKE2b(64), 64)
"""The four hashes of Noise §12."""


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return the 32-byte HMAC-SHA256 of ``message``."""
    return hmac.digest(key, message, "sha256")


def hmac_sha256_pair(key: bytes, first: bytes, second: bytes) -> tuple[bytes, bytes]:
    """Return the HMAC-SHA256 of two messages under one key of at most 64 bytes.

    1.7 us for 32-byte keys and short messages, and 2.6 us as two calls; the ratchet does this
    twice for each message.

    Raises:
        OverflowError: The key is longer than a block; a fault of the caller.
    """
    number = int.from_bytes(key, "little")
    inner = (number ^ _INNER_PAD).to_bytes(_BLOCK_LEN, "little")
    outer = (number ^ _OUTER_PAD).to_bytes(_BLOCK_LEN, "little")
    return (
        sha256(outer + sha256(inner + first).digest()).digest(),
        sha256(outer + sha256(inner + second).digest()).digest(),
    )


def hkdf_sha256(*, salt: bytes, input_key: bytes, info: bytes, length: int) -> bytes:
    """Extract and expand ``length`` bytes, 1..8160.

    Raises:
        ValueError: ``length`` is out of range; a fault of the caller, not of a peer.
    """
    if not 0 < length <= HKDF_MAX_BYTES:
        raise ValueError(f"HKDF-SHA256 gives 1..{HKDF_MAX_BYTES} bytes, not {length}")
    return HKDF(_SHA256, length, salt, info).derive(input_key)
