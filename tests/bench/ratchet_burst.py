"""A thousand messages of 100 bytes one way, all encrypted and then all decrypted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.bench.ratchet_pairs import DoubleRatchetPair, OurPair, VodozemacPair

NAME: Final = "ratchet-burst"
UNIT: Final = "us/message"
OPERATIONS: Final = 1000


def ours() -> Callable[[], None]:
    """Prepare our two parties."""
    pair = OurPair()
    return lambda: pair.burst(OPERATIONS)


def _vodozemac() -> Callable[[], None]:
    pair = VodozemacPair()
    return lambda: pair.burst(OPERATIONS)


def _double_ratchet() -> Callable[[], None]:
    pair = DoubleRatchetPair()
    return lambda: pair.burst(OPERATIONS)


PEERS: Final = {"DoubleRatchet": _double_ratchet, "vodozemac": _vodozemac}
