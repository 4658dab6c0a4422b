"""Keys of messages that were sent but have not come yet (protocol.md §6.5).

The store is an immutable tuple of chains, oldest first; in a chain, records stand in ascending
order of message number. Keys are only ever added to the newest chain or to the one that a DH
step has just closed, so this order is also the order of age, across chains too: eviction and
expiry take from the front. Records are packed into one ``bytes``, so that an untouched store is
shared between states without a copy, a changed one is a few memory copies, and a snapshot takes
the bytes as they are.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from p2pchat.constants import (
    KEY_LEN,
    MAX_STORED_SKIPPED_KEYS,
    SKIPPED_KEY_MAX_CHAINS,
    SKIPPED_KEY_MAX_MESSAGES,
)
from p2pchat.crypto.secret import Secret
from p2pchat.errors import DecryptionError
from p2pchat.ratchet.schedule import HeaderKey

RECORD: Final = struct.Struct(f">IQ{KEY_LEN}s")
"""Message number, count of messages received when it was stored, message key."""
_NUMBER: Final = struct.Struct(">I")
_STORED_AT: Final = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class SkippedChain:
    """The skipped keys of one receiving chain; never empty.

    Attributes:
        ordinal: Which receiving chain of the session, from 1.
        header_key: Opens the chain's headers.
        records: One or more packed ``RECORD``.
    """

    ordinal: int
    header_key: HeaderKey
    records: Secret

    def __len__(self) -> int:
        return len(self.records) // RECORD.size


SkippedKeys = tuple[SkippedChain, ...]


def count(skipped: SkippedKeys) -> int:
    """Return how many keys are stored."""
    return sum(map(len, skipped))


def add(
    skipped: SkippedKeys,
    message_keys: Sequence[bytes],
    *,
    ordinal: int,
    header_key: HeaderKey,
    first_number: int,
    received: int,
) -> SkippedKeys:
    """Store the keys of consecutive messages; evict the oldest above the cap (R-6.5.2, R-6.5.3).

    Args:
        skipped: The store before; its last chain has an ordinal of at most ``ordinal``.
        message_keys: 32 bytes each; may be empty.
        ordinal: The receiving chain that they belong to.
        header_key: That chain's header key.
        first_number: Number of the first message; above all that the chain has stored.
        received: Messages received in the session, the one now in hand included.
    """
    if not message_keys:
        return skipped
    records = b"".join(
        RECORD.pack(number, received, key) for number, key in enumerate(message_keys, first_number)
    )
    if skipped and skipped[-1].ordinal == ordinal:
        records = skipped[-1].records.reveal() + records
        skipped = skipped[:-1]
    skipped = (*skipped, SkippedChain(ordinal, header_key, Secret(records)))
    return _without_oldest(skipped, count(skipped) - MAX_STORED_SKIPPED_KEYS)


def take(skipped: SkippedKeys, *, ordinal: int, number: int) -> tuple[bytes, SkippedKeys]:
    """Return one message's key, and the store without it.

    Raises:
        DecryptionError: Not stored: used already, evicted, expired, or never skipped (R-6.4.6).
    """
    position = next((i for i, chain in enumerate(skipped) if chain.ordinal == ordinal), None)
    if position is None:
        raise DecryptionError("the message's key is not stored")
    chain = skipped[position]
    records = chain.records.reveal()
    index = bisect_left(
        range(len(chain)), number, key=lambda i: _NUMBER.unpack_from(records, i * RECORD.size)[0]
    )
    start, end = index * RECORD.size, (index + 1) * RECORD.size
    if index == len(chain) or _NUMBER.unpack_from(records, start)[0] != number:
        raise DecryptionError("the message's key is not stored")
    message_key = records[end - KEY_LEN : end]
    rest = records[:start] + records[end:]
    kept = (SkippedChain(chain.ordinal, chain.header_key, Secret(rest)),) if rest else ()
    return message_key, skipped[:position] + kept + skipped[position + 1 :]


def expire(skipped: SkippedKeys, *, chains: int, received: int) -> SkippedKeys:
    """Drop keys whose time has passed (R-6.5.4); the same object when there is none.

    Args:
        skipped: The store before.
        chains: Receiving chains begun in the session so far.
        received: Messages received in the session so far.
    """
    while skipped and chains - skipped[0].ordinal >= SKIPPED_KEY_MAX_CHAINS:
        skipped = skipped[1:]
    oldest_kept = received - SKIPPED_KEY_MAX_MESSAGES + 1
    while skipped:
        chain = skipped[0]
        records = chain.records.reveal()
        if _stored_at(records, 0) >= oldest_kept:
            break
        expired = bisect_left(range(len(chain)), oldest_kept, key=lambda i: _stored_at(records, i))
        skipped = _without_oldest(skipped, expired)
    return skipped


def _stored_at(records: bytes, index: int) -> int:
    stored_at: int = _STORED_AT.unpack_from(records, index * RECORD.size + _NUMBER.size)[0]
    return stored_at


def _without_oldest(skipped: SkippedKeys, surplus: int) -> SkippedKeys:
    while surplus > 0:
        oldest = skipped[0]
        if len(oldest) > surplus:
            rest = Secret(oldest.records.reveal()[surplus * RECORD.size :])
            return (SkippedChain(oldest.ordinal, oldest.header_key, rest), *skipped[1:])
        surplus -= len(oldest)
        skipped = skipped[1:]
    return skipped
