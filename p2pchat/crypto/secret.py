"""Secrets as a type, and the system's random source (protocol.md §2.1).

A ``Secret`` redacts its ``repr``, compares in constant time, cannot be pickled or turned into
``bytes`` by accident; ``reveal`` is the one way out, and easy to search for. What it does not
do: Python cannot promise to wipe memory, so ``wipe`` only drops our reference.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from typing import Final, NoReturn

Rng = Callable[[int], bytes]
"""A source of uniformly random bytes: takes a count, returns that many."""

_WIPED: Final = b""


class Secret:
    """Key material that does not print, pickle or compare in variable time."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the raw bytes; the caller must not log, store unencrypted or send them."""
        return self._value

    def wipe(self) -> None:
        """Drop our reference to the bytes (best effort: copies may live on in memory)."""
        self._value = _WIPED

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __repr__(self) -> str:
        return f"<Secret of {len(self._value)} bytes>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self


def system_rng(count: int) -> bytes:
    """Return ``count`` bytes of the operating system's randomness; for the shell to inject."""
    return os.urandom(count)
