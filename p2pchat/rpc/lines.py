"""Cut a byte stream into lines of bounded length (interface.md, "JSON-RPC 2.0").

A line that grows past the bound is dropped up to its newline and reported once, so that one
mistaken request costs neither the memory nor the connection. This module reads nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LineTooLong:
    """Stands where a line was longer than the bound; its bytes are gone."""


class LineSplitter:
    """Collects bytes and yields whole lines, without their newline or carriage return.

    Args:
        max_bytes: Longest line, without its newline.
    """

    __slots__ = ("_discarding", "_max_bytes", "_parts", "_size")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._discarding = False

    def feed(self, data: bytes) -> Iterator[bytes | LineTooLong]:
        """Take bytes as they came and yield each line that they complete; blank ones are left out.

        Yields:
            A line, or ``LineTooLong`` as soon as one is known to be.
        """
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            if overlong := self._append(data[start:end]):
                yield overlong
            start = end + 1
            line = b"".join(self._parts).strip()
            discarding = self._discarding
            self._reset()
            if line and not discarding:
                yield line
        if overlong := self._append(data[start:]):
            yield overlong

    def finish(self) -> bytes | None:
        """Return what stands after the last newline at the end of the stream, if anything."""
        line = b"".join(self._parts).strip()
        self._reset()
        return line or None

    def _append(self, part: bytes) -> LineTooLong | None:
        if self._discarding:
            return None
        self._size += len(part)
        if self._size > self._max_bytes:
            self._parts.clear()
            self._discarding = True
            return LineTooLong()
        self._parts.append(part)
        return None

    def _reset(self) -> None:
        self._parts.clear()
        self._size = 0
        self._discarding = False
