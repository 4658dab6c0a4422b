"""The announcement that one identity takes the place of another (protocol.md §3.7).

Signed by both keys: by the old one, that it hands over; by the new one, that it takes over, so
that nobody can name somebody else's key as his successor. It is a reason to ask the person, never
to decide for him: whoever stole the old key can sign as well.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from p2pchat.constants import SIGNATURE_LEN
from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import CryptoError, KeyStatementError

OLD_LABEL: Final = b"p2pchat/1 succession, by the old key\x00"
NEW_LABEL: Final = b"p2pchat/1 succession, by the new key\x00"
"""Precede the signed bytes, so that no other signature of an identity can be taken for these."""
SUCCESSION_FORMAT: Final = 1
_BODY: Final = struct.Struct(">B32s32sQ")
SUCCESSION_BODY_LEN: Final = _BODY.size
SUCCESSION_LEN: Final = _BODY.size + 2 * SIGNATURE_LEN
"""201 bytes."""


@dataclass(frozen=True, slots=True)
class Succession:
    """A verified or self-issued succession.

    Attributes:
        old: 32-byte Ed25519 key that hands over.
        new: 32-byte Ed25519 key that takes over.
        at_ms: When, by the signer's clock.
        encoded: All 201 bytes as signed.
    """

    old: bytes
    new: bytes
    at_ms: int
    encoded: bytes


def succeed(old_seed: Secret, new_seed: Secret, *, now_ms: int) -> Succession:
    """Sign with both 32-byte seeds that the second key takes the place of the first.

    Raises:
        InvalidKeyError: A seed is not 32 bytes.
    """
    old, new = ed25519.public_key(old_seed), ed25519.public_key(new_seed)
    body = _BODY.pack(SUCCESSION_FORMAT, old, new, now_ms)
    by_old = ed25519.sign(old_seed, OLD_LABEL + body)
    by_new = ed25519.sign(new_seed, NEW_LABEL + body)
    return Succession(old, new, now_ms, body + by_old + by_new)


def parse_succession(encoded: bytes) -> Succession:
    """Check length, format, keys and both signatures (R-3.7.8).

    Raises:
        KeyStatementError: Any of them fails.
    """
    if len(encoded) != SUCCESSION_LEN:
        raise KeyStatementError(f"a succession has {SUCCESSION_LEN} bytes, not {len(encoded)}")
    body, signatures = encoded[:SUCCESSION_BODY_LEN], encoded[SUCCESSION_BODY_LEN:]
    succession_format, old, new, at_ms = _BODY.unpack(body)
    if succession_format != SUCCESSION_FORMAT:
        raise KeyStatementError("the succession is of a newer kind; a newer p2pchat can read it")
    if old == new:
        raise KeyStatementError("a key cannot take its own place")
    try:
        ed25519.verify(old, OLD_LABEL + body, signatures[:SIGNATURE_LEN])
        ed25519.verify(new, NEW_LABEL + body, signatures[SIGNATURE_LEN:])
    except CryptoError as error:
        raise KeyStatementError("a signature of the succession does not verify") from error
    return Succession(old, new, at_ms, encoded)
