"""What a peer has not taken yet: bounded while the link lives, given a moment when it ends.

A peer that sends without reading must neither fill our memory nor hold messages up for ever; one
that is only slow must not lose the goodbye.
"""

from __future__ import annotations

from typing import Final

from p2pchat.constants import KEEPALIVE_TIMEOUT_S
from p2pchat.node.clock import Clock, deadline
from p2pchat.transport.base import Stream

LINGER_S: Final = 2.0
"""After our goodbye we wait this long for the peer's, so that ours is not lost to a reset."""
UNSENT_MAX_BYTES: Final = 32 << 20
"""Above this nothing more is read: a peer that sends without reading must not fill our memory.
More than a whole window of the largest messages, so that two honest peers never block each other.
"""


class Backlog:
    """The bytes written to one stream that have not left it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._stalled_since: float | None = None

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be read that would be answered."""
        return self._stream.pending_bytes > UNSENT_MAX_BYTES

    @property
    def due(self) -> float | None:
        """When the peer's time to read something will be over, in monotonic seconds."""
        return None if self._stalled_since is None else self._stalled_since + KEEPALIVE_TIMEOUT_S

    def is_given_up(self, now: float) -> bool:
        """Tell whether the peer has read too little for too long; to be asked in each round."""
        if self._stream.writable:
            self._stalled_since = None
        elif self._stalled_since is None:
            self._stalled_since = now
        return self.due is not None and now >= self.due


async def hang_up(stream: Stream, clock: Clock, *, politely: bool) -> None:
    """Close a stream after the last bytes were written to it.

    Closing a socket with unread bytes makes the kernel send a reset, which may overtake and
    destroy the goodbye. So what still comes is read and dropped, for ``LINGER_S`` at most.

    Args:
        stream: Closed when this returns.
        clock: Limits the wait.
        politely: Wait a moment for the peer's end of the stream, too.
    """
    try:
        if politely and not stream.is_closed:
            stream.write_eof()
            async with deadline(clock, clock.monotonic() + LINGER_S):
                while await stream.read():
                    pass
        stream.close()
        async with deadline(clock, clock.monotonic() + LINGER_S):
            await stream.wait_closed()
    except TimeoutError:
        pass
    finally:
        stream.abort()
