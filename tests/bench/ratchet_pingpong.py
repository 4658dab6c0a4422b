"""Messages of 100 bytes by turns, so that each is the first of a new chain (a DH step)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.bench.ratchet_pairs import DoubleRatchetPair, OurPair, VodozemacPair

NAME: Final = "ratchet-pingpong"
UNIT: Final = "us/message"
OPERATIONS: Final = 200


def ours() -> Callable[[], None]:
    """Prepare our two parties."""
    pair = OurPair()
    return lambda: pair.pingpong(OPERATIONS // 2)


def _vodozemac() -> Callable[[], None]:
    pair = VodozemacPair()
    return lambda: pair.pingpong(OPERATIONS // 2)


def _double_ratchet() -> Callable[[], None]:
    pair = DoubleRatchetPair()
    return lambda: pair.pingpong(OPERATIONS // 2)


PEERS: Final = {"DoubleRatchet": _double_ratchet, "vodozemac": _vodozemac}
