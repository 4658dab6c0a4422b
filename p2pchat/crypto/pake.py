"""CPace, a balanced PAKE: suite CPACE-X25519-SHA512 (draft-irtf-cfrg-cpace; protocol.md §3.8).

Two sides who know the same phrase come to the same key; whoever does not know it can test one
guess a run, and nothing that passed on the wire lets him test another. The suite's group is
X25519's, through libsodium; what is added to it here is the draft's map from the phrase to a
generator. That map is free of branches, but Python's whole numbers do not promise constant time:
its input is hashed with the run's identifiers, so that what one run's timing might tell says
nothing about the next.

Deliberately absent: normalising phrases, counting tries, messages.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from p2pchat.constants import KEY_LEN
from p2pchat.crypto import x25519
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import DecryptionError, InvalidKeyError

TAG_LEN: Final = 64
"""HMAC-SHA-512."""
ASKER_DATA: Final = b"asker"
ANSWERER_DATA: Final = b"answerer"
"""The draft's ADa and ADb: they keep one side's confirmation from being the other's."""

_DSI: Final = b"CPace255"
_HASH_BLOCK_LEN: Final = 128
_PRIME: Final = 2**255 - 19
_A: Final = 486662
_NON_SQUARE: Final = 2
_HALF_A: Final = _A * pow(2, -1, _PRIME) % _PRIME


@dataclass(frozen=True, slots=True)
class Run:
    """What both sides of a run have to agree on besides the phrase.

    Attributes:
        channel: The draft's CI: who talks to whom, the asker first.
        session: The draft's sid: never the same for two runs.
    """

    channel: bytes
    session: bytes


@dataclass(frozen=True, slots=True)
class Confirmations:
    """What each side says to show that it came to the same key; 64 bytes each."""

    asker: bytes
    answerer: bytes


def begin(phrase: Secret, run: Run, *, rng: Rng) -> KeyPair:
    """Draw one side's scalar and compute its share, the 32 bytes that the other side gets.

    Args:
        phrase: Any bytes, already in the form that both sides agree on.
        run: Of this run; a pair must never serve another.
        rng: Called once, for 32 bytes.

    Raises:
        InvalidKeyError: The generator has a low order; of a hash that does not happen.
    """
    private = Secret(rng(KEY_LEN))
    return KeyPair(private, x25519.dh(private, generator(phrase, run)))


def finish(own: KeyPair, *, asker_share: bytes, answerer_share: bytes, run: Run) -> Confirmations:
    """Compute both confirmations from our pair and the other side's share.

    Args:
        own: What ``begin`` gave; its share is one of the two.
        asker_share: 32 bytes.
        answerer_share: 32 bytes.
        run: As for ``begin``.

    Raises:
        InvalidKeyError: The other's share is not 32 bytes, of a low order, or our own.
    """
    if hmac.compare_digest(asker_share, answerer_share):
        raise InvalidKeyError("the other side's share is our own")
    theirs = answerer_share if hmac.compare_digest(own.public, asker_share) else asker_share
    key = x25519.dh(own.private, theirs)
    asked = with_lengths(asker_share, ASKER_DATA)
    answered = with_lengths(answerer_share, ANSWERER_DATA)
    isk = intermediate_key(run.session, key, asked + answered)
    mac_key = hashlib.sha512(b"CPaceMac" + run.session + isk).digest()
    return Confirmations(
        asker=hmac.digest(mac_key, asked, "sha512"),
        answerer=hmac.digest(mac_key, answered, "sha512"),
    )


def check(expected: bytes, confirmation: bytes) -> None:
    """Return only if the other side's confirmation is the one that the same phrase gives.

    Raises:
        DecryptionError: It is not.
    """
    if not hmac.compare_digest(expected, confirmation):
        raise DecryptionError("the phrases differ")


def intermediate_key(session: bytes, key: bytes, transcript: bytes) -> bytes:
    """Return the draft's ISK, 64 bytes."""
    return hashlib.sha512(with_lengths(_DSI + b"_ISK", session, key) + transcript).digest()


def generator(phrase: Secret, run: Run) -> bytes:
    """Return the draft's calculate_generator: a u-coordinate, 32 bytes."""
    secret = phrase.reveal()
    # So long that the first block of the hash holds the phrase and nothing of this run.
    padding = max(0, _HASH_BLOCK_LEN - 1 - len(with_lengths(secret)) - len(with_lengths(_DSI)))
    text = with_lengths(_DSI, secret, bytes(padding), run.channel, run.session)
    digest = hashlib.sha512(text).digest()[:KEY_LEN]
    element = int.from_bytes(digest, "little") & (2**255 - 1)
    return _elligator2(element).to_bytes(KEY_LEN, "little")


def _elligator2(element: int) -> int:
    """Return map_to_curve_elligator2 of RFC 9380 for the curve of X25519: its u-coordinate."""
    v = -_A * pow(1 + _NON_SQUARE * element * element, _PRIME - 2, _PRIME) % _PRIME
    square = pow(v * v * v + _A * v * v + v, (_PRIME - 1) // 2, _PRIME)  # 1, or -1
    return (square * v - (1 - square) * _HALF_A) % _PRIME


def with_lengths(*parts: bytes) -> bytes:
    """Return the draft's lv_cat: each part after its length in LEB128."""
    return b"".join(_leb128(len(part)) + part for part in parts)


def _leb128(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
