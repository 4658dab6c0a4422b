"""The ratchet's bytes on the wire: header and envelope (protocol.md §6.3).

An envelope is ``version ‖ nonce ‖ sealed header ‖ sealed body``; its first 1254 bytes are the
*prefix*, which the body's tag covers. All lengths but the body's are fixed, so an observer
of the envelope learns neither the ratchet key nor the counters, parsing cannot be confused, and
a header that carries a KEM key looks like one that carries a ciphertext or nothing.
This module knows layouts, not which key belongs where: that is ``double_ratchet``.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from p2pchat.constants import ENVELOPE_MAX_BYTES, KEY_LEN, TAG_LEN
from p2pchat.crypto.aead import NONCE_LEN
from p2pchat.crypto.kem import CIPHERTEXT_LEN, ENCAPSULATION_KEY_LEN
from p2pchat.errors import DecryptionError
from p2pchat.ratchet.schedule import HeaderKey

ENVELOPE_VERSION: Final = 1
"""First byte of an envelope; another value is another layout (§13)."""
KEM_NONE: Final = 0
"""Flags of a header whose KEM field is all zero."""
KEM_OFFER: Final = 1
"""Flags of a header whose KEM field is the sender's encapsulation key."""
KEM_ANSWER: Final = 2
"""Flags of a header whose KEM field is a ciphertext for the peer's key, and zeros."""
KEM_FIELD_LEN: Final = ENCAPSULATION_KEY_LEN
"""As long as the longer of the two, whatever stands in it."""
NO_KEM: Final = bytes(KEM_FIELD_LEN)
"""The KEM field of ``KEM_NONE``."""
CHAIN_MAX_MESSAGES: Final = 2**32 - 1
"""Messages in one chain: the count itself must fit the header's u32. So many random
96-bit nonces under one header key repeat with a probability below 2^-33."""

_HEADER: Final = struct.Struct(f">B{KEY_LEN}sII{KEM_FIELD_LEN}s")
_PADDING: Final = bytes(KEM_FIELD_LEN - CIPHERTEXT_LEN)
_VERSION_BYTE: Final = bytes([ENVELOPE_VERSION])
_NONCE_END: Final = 1 + NONCE_LEN

HEADER_LEN: Final = _HEADER.size
"""1225 bytes: flags, ratchet public key, length of the previous chain, message number, KEM."""
PREFIX_LEN: Final = _NONCE_END + HEADER_LEN + TAG_LEN
"""1254 bytes: version, nonce, sealed header."""
ENVELOPE_MIN_BYTES: Final = PREFIX_LEN + TAG_LEN
"""1270 bytes: an empty message; also what an envelope adds to its plaintext."""


class Header(NamedTuple):
    """What the receiver needs to find a message's key.

    A named tuple, since one is made for each message and a frozen dataclass takes twice as long.

    Attributes:
        flags: ``KEM_NONE``, ``KEM_OFFER`` or ``KEM_ANSWER``.
        ratchet_key: The sender's X25519 public key of this chain; 32 bytes.
        previous_length: Messages that the sender's previous chain has in all.
        number: This message's number in its chain, from 0.
        kem_field: What ``flags`` says; 1184 bytes.
    """

    flags: int
    ratchet_key: bytes
    previous_length: int
    number: int
    kem_field: bytes = NO_KEM


def answer_field(ciphertext: bytes) -> bytes:
    """Return the KEM field that carries a 1088-byte ciphertext."""
    return ciphertext + _PADDING


def ciphertext_of(kem_field: bytes) -> bytes:
    """Return the 1088-byte ciphertext in a KEM field."""
    return kem_field[:CIPHERTEXT_LEN]


def seal_prefix(header: Header, key: HeaderKey, nonce: bytes, associated_data: bytes) -> bytes:
    """Return the 1254-byte prefix of an envelope (R-6.3.1, R-6.3.2).

    The caller vouches for the nonce: 12 bytes, never before used with ``key``.
    """
    return _VERSION_BYTE + nonce + key.cipher.seal(nonce, _HEADER.pack(*header), associated_data)


def split_envelope(envelope: bytes) -> tuple[bytes, bytes]:
    """Return an envelope's 1254-byte prefix and its sealed body of at least 16 bytes.

    Raises:
        DecryptionError: Too short, too long, or of another version (R-6.3.4).
    """
    if not ENVELOPE_MIN_BYTES <= len(envelope) <= ENVELOPE_MAX_BYTES:
        raise DecryptionError(f"an envelope of {len(envelope)} bytes is not possible")
    if envelope[0] != ENVELOPE_VERSION:
        raise DecryptionError(f"envelope version {envelope[0]} is not known here")
    return envelope[:PREFIX_LEN], envelope[PREFIX_LEN:]


def nonce_of(prefix: bytes) -> bytes:
    """Return the 12-byte nonce of an envelope."""
    return prefix[1:_NONCE_END]


def open_header(prefix: bytes, key: HeaderKey, associated_data: bytes) -> Header | None:
    """Return the header if ``key`` opens it, ``None`` if it belongs to another key.

    ``None`` rather than an exception: finding the key by trial is the ordinary course (§6.4).

    Raises:
        DecryptionError: The key is right, but the header is of a kind not known here (R-6.3.5).
    """
    try:
        packed = key.cipher.open(prefix[1:_NONCE_END], prefix[_NONCE_END:], associated_data)
    except DecryptionError:
        return None
    header = Header._make(_HEADER.unpack(packed))
    if header.number >= CHAIN_MAX_MESSAGES or not _is_well_formed(header):
        raise DecryptionError("an authentic header is of a kind not known here")
    return header


def _is_well_formed(header: Header) -> bool:
    """Tell whether the KEM field is what the flags say, so that each header has one encoding."""
    if header.flags == KEM_NONE:
        return header.kem_field == NO_KEM
    if header.flags == KEM_ANSWER:
        return header.kem_field[CIPHERTEXT_LEN:] == _PADDING
    return header.flags == KEM_OFFER  # the key itself is examined when it is to be remembered
