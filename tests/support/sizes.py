"""How much a long test does: what CI has time for, or all of it if one asks."""

from __future__ import annotations

import os

FULL = os.environ.get("P2PCHAT_TEST_FULL") == "1"


def sized(usual: int, full: int) -> int:
    return full if FULL else usual
