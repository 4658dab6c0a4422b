"""The ledger: what was said in each direction, counted and chained (protocol.md §8.6).

Each direction of a conversation counts its delivered messages from 1, over all sessions, and
chains a digest over their ids. Two sides that have lost nothing hold the same chain, but for
messages whose acknowledgement is still on its way. Pure functions: who stores the chain and tells
the person is elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LEDGER_LABEL: Final = b"p2pchat/1 ledger"


@dataclass(frozen=True, slots=True)
class Head:
    """One direction's chain: how many messages, and the 32-byte digest over them (R-8.6.1)."""

    count: int
    digest: bytes


EMPTY: Final = Head(0, hashlib.sha256(LEDGER_LABEL).digest())
"""The chain before the first message."""


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """Both directions as one side sees them: what it had delivered, what it has received."""

    sent: Head
    received: Head


def extend(head: Head, message_ids: Iterable[bytes]) -> Head:
    """Return the chain with 16-byte message ids added, in order (R-8.6.1)."""
    count, digest = head.count, head.digest
    for message_id in message_ids:
        digest = hashlib.sha256(LEDGER_LABEL + digest + message_id).digest()
        count += 1
    return Head(count, digest)
