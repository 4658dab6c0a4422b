"""What the hybrid part costs: a burst with a hybrid step in it, against the ratchet without any.

One operation is a thousand messages of 100 bytes one way, an answer, and a word back, so that the
next burst goes the other way; ours offers a KEM key in the burst's chain and mixes the secret in
with the answer. The other side is the same code with the header as it would be without a KEM
field, 41 bytes instead of 1225, and no step: its header is written out here, and stands in for
ours while it is timed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final
from unittest import mock

from p2pchat.errors import DecryptionError
from p2pchat.ratchet import double_ratchet, hybrid
from p2pchat.ratchet.header import ENVELOPE_VERSION, Header
from p2pchat.ratchet.schedule import HeaderKey
from tests.bench.ratchet_pairs import OurPair

NAME: Final = "ratchet-burst-hybrid"
UNIT: Final = "us/message"
OPERATIONS: Final = 1000
PEER_NAME: Final = "ours without KEM"

_HEADER: Final = struct.Struct(">B32sII0s")
"""Takes a ``Header`` as it is, and leaves nothing of its KEM field."""
_VERSION_BYTE: Final = bytes([ENVELOPE_VERSION])
_NONCE_END: Final = 13
_PREFIX_LEN: Final = 70
_MIN_LEN: Final = 86
_MAX_LEN: Final = 73728


def ours() -> Callable[[], None]:
    """Prepare two parties that make a hybrid step in each burst."""
    pair = OurPair()

    def work() -> None:
        steps = pair.kem_steps
        pair.burst_and_answer(OPERATIONS, kem_due=True)
        assert pair.kem_steps == steps + 1

    return work


def peer() -> Callable[[], None]:
    """Prepare two parties with small headers, that make none."""
    small = mock.patch.multiple(
        double_ratchet, seal_prefix=_seal_prefix, split_envelope=_split, open_header=_open_header
    )
    # The schedule would count towards a step of its own.
    never = mock.patch.object(hybrid, "KEM_INTERVAL_MESSAGES", 2**64)
    with small, never:
        pair = OurPair()

    def work() -> None:
        with small, never:
            pair.burst_and_answer(OPERATIONS, kem_due=False)
        assert pair.kem_steps == 0

    return work


def _seal_prefix(header: Header, key: HeaderKey, nonce: bytes, associated_data: bytes) -> bytes:
    packed = _HEADER.pack(*header)
    return _VERSION_BYTE + nonce + key.cipher.seal(nonce, packed, associated_data)


def _split(envelope: bytes) -> tuple[bytes, bytes]:
    if not _MIN_LEN <= len(envelope) <= _MAX_LEN or envelope[0] != ENVELOPE_VERSION:
        raise DecryptionError("not an envelope")
    return envelope[:_PREFIX_LEN], envelope[_PREFIX_LEN:]


def _open_header(prefix: bytes, key: HeaderKey, associated_data: bytes) -> Header | None:
    try:
        packed = key.cipher.open(prefix[1:_NONCE_END], prefix[_NONCE_END:], associated_data)
    except DecryptionError:
        return None
    header = Header._make(_HEADER.unpack(packed))
    if header.flags != 0 or header.number >= 2**32 - 1:
        raise DecryptionError("not a header")
    return header
