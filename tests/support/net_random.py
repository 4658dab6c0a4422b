"""A seeded source of bytes, the same on every machine."""

from __future__ import annotations

import hashlib

from p2pchat.crypto.secret import Rng


def seeded_rng(seed: int) -> Rng:
    """Return an Rng whose bytes follow from ``seed``; for tests only."""
    counter = 0

    def rng(count: int) -> bytes:
        nonlocal counter
        counter += 1
        return hashlib.shake_128(f"{seed}/{counter}".encode()).digest(count)

    return rng
