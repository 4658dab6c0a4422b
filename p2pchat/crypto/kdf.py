"""HMAC-SHA256 and HKDF-SHA256 (RFC 2104, RFC 5869; protocol.md §2.5), standard library only."""

from __future__ import annotations

import hmac
from typing import Final

from p2pchat.constants import HASH_LEN

HKDF_MAX_BYTES: Final = 255 * HASH_LEN
"""RFC 5869 §2.3."""


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return the 32-byte HMAC-SHA256 of ``message``."""
    return hmac.digest(key, message, "sha256")


def hkdf_sha256(*, salt: bytes, input_key: bytes, info: bytes, length: int) -> bytes:
    """Extract and expand ``length`` bytes, 1..8160.

    Raises:
        ValueError: ``length`` is out of range; a fault of the caller, not of a peer.
    """
    if not 0 < length <= HKDF_MAX_BYTES:
        raise ValueError(f"HKDF-SHA256 gives 1..{HKDF_MAX_BYTES} bytes, not {length}")
    pseudorandom_key = hmac.digest(salt, input_key, "sha256")
    block = b""
    blocks = []
    for counter in range(1, -(-length // HASH_LEN) + 1):
        block = hmac.digest(pseudorandom_key, block + info + bytes([counter]), "sha256")
        blocks.append(block)
    return b"".join(blocks)[:length]
