"""The safety number that two people compare (protocol.md §3.5).

The algorithm is libsignal's numeric fingerprint: iterated SHA-512 of each side's stable
identifier and key, thirty digits each, in string order. Ours takes the identity key as both.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from p2pchat.constants import SAFETY_NUMBER_DIGITS, SAFETY_NUMBER_ITERATIONS
from p2pchat.errors import TrustError, UsageError

_VERSION: Final = b"\x00\x00"
_CHUNK_LEN: Final = 5
_GROUP_DIGITS: Final = 5
_GROUPS_PER_SIDE: Final = 6


def fingerprint(stable_id: bytes, key: bytes, *, iterations: int = SAFETY_NUMBER_ITERATIONS) -> str:
    """Return one side's 30 digits (R-3.5.1)."""
    digest = _VERSION + key + stable_id
    for _ in range(iterations):
        digest = hashlib.sha512(digest + key).digest()
    chunks = (
        digest[start : start + _CHUNK_LEN]
        for start in range(0, _GROUPS_PER_SIDE * _CHUNK_LEN, _CHUNK_LEN)
    )
    return "".join(
        f"{int.from_bytes(chunk, 'big') % 10**_GROUP_DIGITS:0{_GROUP_DIGITS}d}" for chunk in chunks
    )


def safety_number(mine: bytes, theirs: bytes) -> str:
    """Return the 60 digits of two 32-byte identities in groups of five; the same on both sides."""
    digits = "".join(sorted((fingerprint(mine, mine), fingerprint(theirs, theirs))))
    return " ".join(
        digits[start : start + _GROUP_DIGITS] for start in range(0, len(digits), _GROUP_DIGITS)
    )


def compare(number: str, pasted: str) -> None:
    """Return only if the pasted number agrees; white space is ignored (R-3.5.2).

    Raises:
        UsageError: The pasted text is not 60 digits.
        TrustError: The digits differ: someone may be in between.
    """
    digits = "".join(pasted.split())
    if len(digits) != SAFETY_NUMBER_DIGITS or not (digits.isascii() and digits.isdigit()):
        raise UsageError(f"a safety number has {SAFETY_NUMBER_DIGITS} digits; paste all of them")
    if not hmac.compare_digest(digits, "".join(number.split())):
        raise TrustError("the safety numbers differ: someone may be reading along; do not go on")
