"""What the node needs of a transport, as protocols (protocol.md §4).

A ``Stream`` is made for one owner that must never be stuck: every call that the owner's loop
makes returns at once, and one callback tells it that there is something to do. ``read`` and
``drain`` are the waiting forms of the same, for callers that have nothing else to wait for.

What holds of every implementation, and is tested in one suite for all:

* bytes arrive in order, once, or the stream ends; where they are cut into pieces means nothing;
* what is received and not yet taken is bounded: the sender is slowed down instead;
* ``close`` and ``abort`` may be called at any time, any number of times;
* a broken connection reads as the end of the stream. That is no loss of information: only an
  authenticated CLOSE inside the stream is a proper end, and ``session`` looks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

SEND_BUFFER_BYTES: Final = 1 << 18
"""``writable`` turns false above this: enough to fill a fast network's pipe for one wake-up."""


class Stream(Protocol):
    """One connection: bytes in order, both ways."""

    @property
    def peer_address(self) -> str:
        """``host:port`` of the other side, for people and for rate limits."""

    @property
    def writable(self) -> bool:
        """Whether the send buffer is below its mark; writing is possible all the same."""

    @property
    def pending_bytes(self) -> int:
        """How much is written and has not left this process."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing can be written any more: closed here, or broken."""

    def on_activity(self, wake: Callable[[], None] | None) -> None:
        """Call ``wake`` whenever bytes, the end, or room to write appear; it must not block."""

    def take(self) -> bytes | None:
        """Return all bytes received so far, ``b""`` at the end, None if there are none now."""

    def write(self, data: bytes) -> None:
        """Send ``data`` after everything written before; after ``close`` it is dropped."""

    def write_eof(self) -> None:
        """End our direction; the peer reads ``b""`` after what was written. Reading goes on."""

    def close(self) -> None:
        """Send what was written, then end both directions."""

    def abort(self) -> None:
        """End both directions now; what was not sent is lost."""

    async def read(self) -> bytes:
        """Wait for bytes and return them; ``b""`` is the end."""

    async def drain(self) -> None:
        """Wait until ``writable``, or until the stream is over."""

    async def wait_closed(self) -> None:
        """Wait until the connection is gone. Hangs as long as a closed peer does not read."""


class Listener(Protocol):
    """A place where connections arrive."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The bound ``host:port``; a port 0 asked for is replaced by the real one."""

    async def aclose(self) -> None:
        """Stop listening; streams already accepted live on."""


class Transport(Protocol):
    """A way to make streams."""

    async def listen(self, address: str, accept: Callable[[Stream], None]) -> Listener:
        """Bind ``host:port`` (port 0: any free one) and hand each new stream to ``accept``.

        Raises:
            TransportError: The address is malformed or cannot be bound; says which and why.
        """

    async def dial(self, address: str) -> Stream:
        """Connect to ``host:port``; the caller limits the time by cancelling.

        Raises:
            UnreachableError: Nobody answers there; says why in plain words.
        """
