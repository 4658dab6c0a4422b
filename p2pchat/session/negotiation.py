"""Versions, suites and features: what each side offers and what both choose (protocol.md §4.2).

The initiator's offer stands in the clear preamble, which is the Noise prologue byte for byte;
the responder's comes back inside its encrypted payload. Both sides compute ``choose`` of both
offers and abort unless it is what is in use, so that nobody on the path can lower it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from p2pchat.constants import MAGIC, OFFER_MAX_BYTES, PROTOCOL_MAJOR, PROTOCOL_MINOR
from p2pchat.errors import ErrorCode, ProtocolError


@dataclass(frozen=True, slots=True)
class Suite:
    """One way to shake hands: its number, Noise name, and what the name means.

    Attributes:
        number: ``u16`` in offers; the greater its high byte, the stronger its class.
        noise_name: As Noise hashes it.
        knows_responder: IK: the initiator has the responder's static key beforehand.
        post_quantum: hfs: an ML-KEM-768 secret goes into the keys.
    """

    number: int
    noise_name: str
    knows_responder: bool
    post_quantum: bool

    @property
    def strength(self) -> int:
        """The class: 0 classical, 1 hybrid."""
        return self.number >> 8


XX: Final = Suite(0x0001, "Noise_XX_25519_ChaChaPoly_SHA256", False, False)
IK: Final = Suite(0x0002, "Noise_IK_25519_ChaChaPoly_SHA256", True, False)
XX_HFS: Final = Suite(0x0101, "Noise_XXhfs_25519+MLKEM768_ChaChaPoly_SHA256", False, True)
IK_HFS: Final = Suite(0x0102, "Noise_IKhfs_25519+MLKEM768_ChaChaPoly_SHA256", True, True)
SUITES: Final = {suite.number: suite for suite in (XX, IK, XX_HFS, IK_HFS)}

_HEAD: Final = struct.Struct(">HH")
PREAMBLE_HEAD_LEN: Final = len(MAGIC) + _HEAD.size


@dataclass(frozen=True, slots=True)
class Offer:
    """What one side can do; every list strictly ascending, versions as (major, minor)."""

    versions: tuple[tuple[int, int], ...]
    suites: tuple[int, ...]
    features: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """What two offers have in common at best.

    Attributes:
        version: Major and minor.
        suites: The common suites of the strongest common class; any of them may be in use.
        features: The common ones.
    """

    version: tuple[int, int]
    suites: tuple[Suite, ...]
    features: tuple[int, ...]

    @property
    def first_contact(self) -> Suite:
        """The suite of the class that needs no knowledge of the responder.

        Raises:
            ProtocolError: HANDSHAKE_FAILED: it is not among the common ones (R-5.6.2).
        """
        for suite in self.suites:
            if not suite.knows_responder:
                return suite
        raise ProtocolError("no suite for a first contact is common", ErrorCode.HANDSHAKE_FAILED)


@dataclass(frozen=True, slots=True)
class Preamble:
    """The first bytes of a connection: suite of message 1, the initiator's offer, raw bytes."""

    suite: int
    offer: Offer
    encoded: bytes


OUR_OFFER: Final = Offer(((PROTOCOL_MAJOR, PROTOCOL_MINOR),), tuple(sorted(SUITES)))
"""Everything: an older peer is served, visibly classical."""
HYBRID_OFFER: Final = Offer(
    OUR_OFFER.versions, tuple(number for number in OUR_OFFER.suites if SUITES[number].post_quantum)
)
"""For a contact that has spoken hybrid: less is refused (R-4.3.6)."""


def known_peers_only(offer: Offer) -> Offer:
    """Return an offer for stealth: without the suites of a first contact (R-5.7.1)."""
    suites = tuple(number for number in offer.suites if SUITES[number].knows_responder)
    return Offer(offer.versions, suites, offer.features)


def known_suites(offer: Offer) -> tuple[Suite, ...]:
    """Return those of the offer's suites that are known here."""
    return tuple(SUITES[number] for number in offer.suites if number in SUITES)


def encode_offer(offer: Offer) -> bytes:
    """Return the offer's bytes."""
    parts = [bytes([len(offer.versions)])]
    parts += [bytes(version) for version in offer.versions]
    for numbers in (offer.suites, offer.features):
        parts.append(bytes([len(numbers)]))
        parts += [number.to_bytes(2, "big") for number in numbers]
    return b"".join(parts)


def decode_offer(data: bytes) -> Offer:
    """Read an offer; bytes after the three lists are ignored, for later versions (R-4.2.4).

    Raises:
        ProtocolError: Too long, cut short, a list not strictly ascending, or an empty one of
            versions or suites.
    """
    if len(data) > OFFER_MAX_BYTES:
        raise ProtocolError("the offer is too long", ErrorCode.LIMIT_EXCEEDED)
    lists: list[list[int]] = []
    position = 0
    for _ in range(3):
        if position >= len(data):
            raise ProtocolError("the offer is cut short")
        end = position + 1 + 2 * data[position]
        if end > len(data):
            raise ProtocolError("the offer is cut short")
        numbers = [
            int.from_bytes(data[start : start + 2], "big") for start in range(position + 1, end, 2)
        ]
        if any(left >= right for left, right in pairwise(numbers)):
            raise ProtocolError("the offer's lists are not strictly ascending")
        lists.append(numbers)
        position = end
    versions, suites, features = lists
    if not versions or not suites:
        raise ProtocolError("the offer names no version or no suite")
    return Offer(tuple(divmod(number, 256) for number in versions), tuple(suites), tuple(features))


def encode_preamble(suite: int, offer: Offer) -> bytes:
    """Return the initiator's clear preamble."""
    encoded = encode_offer(offer)
    return MAGIC + _HEAD.pack(suite, len(encoded)) + encoded


def check_magic(start: bytes) -> None:
    """Return only if a connection may begin with ``start``, however short it is (R-4.2.1).

    Raises:
        ProtocolError: It cannot become a preamble any more.
    """
    if start[: len(MAGIC)] != MAGIC[: len(start)]:
        raise ProtocolError("the peer does not speak this protocol")


def preamble_length(head: bytes) -> int:
    """Return how long the preamble is that begins with these 12 bytes (R-4.2.1, R-4.2.2).

    Raises:
        ProtocolError: Another magic, or an offer over its limit.
    """
    check_magic(head)
    _, offer_length = _HEAD.unpack(head[len(MAGIC) : PREAMBLE_HEAD_LEN])
    if offer_length > OFFER_MAX_BYTES:
        raise ProtocolError("the offer is too long", ErrorCode.LIMIT_EXCEEDED)
    return PREAMBLE_HEAD_LEN + int(offer_length)


def decode_preamble(encoded: bytes) -> Preamble:
    """Read a whole preamble.

    Raises:
        ProtocolError: As ``preamble_length`` and ``decode_offer``.
    """
    if len(encoded) < PREAMBLE_HEAD_LEN or len(encoded) != preamble_length(encoded):
        raise ProtocolError("the preamble has the wrong length")
    suite, _ = _HEAD.unpack(encoded[len(MAGIC) : PREAMBLE_HEAD_LEN])
    return Preamble(int(suite), decode_offer(encoded[PREAMBLE_HEAD_LEN:]), encoded)


def choose(ours: Offer, theirs: Offer) -> Choice:
    """Return the best common choice; the same whichever side computes it (R-4.3.1, R-4.3.2).

    Raises:
        ProtocolError: UNSUPPORTED_VERSION: no common major version or no common suite.
    """
    our_minor, their_minor = _best_minor(ours.versions), _best_minor(theirs.versions)
    majors = our_minor.keys() & their_minor.keys()
    suites = [suite for suite in known_suites(ours) if suite.number in theirs.suites]
    if not majors:
        raise ProtocolError(
            "the peer speaks no version of the protocol that is known here",
            ErrorCode.UNSUPPORTED_VERSION,
        )
    if not suites:
        raise ProtocolError(
            "the peer and we have no cipher suite in common", ErrorCode.UNSUPPORTED_VERSION
        )
    major = max(majors)
    features = tuple(sorted(set(ours.features) & set(theirs.features)))
    strongest = max(suite.strength for suite in suites)
    return Choice(
        (major, min(our_minor[major], their_minor[major])),
        tuple(suite for suite in suites if suite.strength == strongest),
        features,
    )


def _best_minor(versions: Sequence[tuple[int, int]]) -> dict[int, int]:
    return dict(sorted(versions))
