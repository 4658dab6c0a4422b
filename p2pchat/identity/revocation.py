"""Revocation of an identity by its own key (protocol.md §3.7).

Made with the identity and kept for the day on which it is needed: whoever holds it can end the
identity, and do nothing else with it. It bears no time and no reason, since it may be signed years
before it is published. Pure: who has revoked what, and what follows, is for the caller to keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2pchat.constants import KEY_LEN, SIGNATURE_LEN
from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import CryptoError, KeyStatementError
from p2pchat.identity.armour import Armour

REVOCATION_LABEL: Final = b"p2pchat/1 revocation\x00"
"""Precedes the signed bytes, so that no other signature of the identity can be taken for one."""
REVOCATION_FORMAT: Final = 1
REVOCATION_BODY_LEN: Final = 1 + KEY_LEN
REVOCATION_LEN: Final = REVOCATION_BODY_LEN + SIGNATURE_LEN
"""97 bytes."""
_ARMOUR: Final = Armour(
    scheme="p2pchat-revocation:",
    label=b"p2pchat/1 revocation text",
    noun="revocation certificate",
    max_chars=512,
    error=KeyStatementError,
)


@dataclass(frozen=True, slots=True)
class Revocation:
    """A verified or self-issued revocation.

    Attributes:
        identity: 32-byte Ed25519 key that is to be used no more.
        encoded: All 97 bytes as signed.
    """

    identity: bytes
    encoded: bytes


def revoke(seed: Secret) -> Revocation:
    """Sign the revocation of the identity of a 32-byte seed; the same bytes each time.

    Raises:
        InvalidKeyError: The seed is not 32 bytes.
    """
    identity = ed25519.public_key(seed)
    body = bytes([REVOCATION_FORMAT]) + identity
    return Revocation(identity, body + ed25519.sign(seed, REVOCATION_LABEL + body))


def revoked_identity(encoded: bytes) -> bytes:
    """Return the 32-byte identity that a revocation names; its signature is not looked at.

    Raises:
        KeyStatementError: Wrong length or format (R-3.7.1).
    """
    if len(encoded) != REVOCATION_LEN:
        raise KeyStatementError(f"a revocation has {REVOCATION_LEN} bytes, not {len(encoded)}")
    if encoded[0] != REVOCATION_FORMAT:
        raise KeyStatementError("the revocation is of a newer kind; a newer p2pchat can read it")
    return encoded[1:REVOCATION_BODY_LEN]


def parse_revocation(encoded: bytes) -> Revocation:
    """Check length, format and signature of a revocation (R-3.7.1).

    Raises:
        KeyStatementError: Any of them fails.
    """
    identity = revoked_identity(encoded)
    body, signature = encoded[:REVOCATION_BODY_LEN], encoded[REVOCATION_BODY_LEN:]
    try:
        ed25519.verify(identity, REVOCATION_LABEL + body, signature)
    except CryptoError as error:
        raise KeyStatementError("the revocation's signature does not verify") from error
    return Revocation(identity, encoded)


def encode_revocation_text(revocation: Revocation) -> str:
    """Return the one line that can be printed and kept on paper (R-3.7.2)."""
    return _ARMOUR.encode(revocation.encoded)


def parse_revocation_text(text: str) -> Revocation:
    """Read that line.

    Raises:
        KeyStatementError: Says what is wrong, for the person who typed or pasted it.
    """
    return parse_revocation(_ARMOUR.decode(text))
