"""What waits to be sent, and what it waits for (protocol.md §7.1, §8.5).

Two queues: control frames leave at once; session frames carry the revision of the state that
they depend on and leave, in order, once the store has committed it. Frames are encrypted only
when they leave, so that the transport's nonces follow the order on the wire and a frame that
never left used none. Acknowledgements and PONGs are not queued but joined: one stands for all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from p2pchat.errors import ErrorCode
from p2pchat.noise.symmetric import CipherState
from p2pchat.session.delivery import Envelope
from p2pchat.session.frames import BODY_MAX_BYTES, Kind
from p2pchat.session.records import FrameSealer

INDEX_LEN = 8


class Outgoing:
    """The sending half of a connection."""

    def __init__(self) -> None:
        self._clear: list[bytes] = []
        self._control: deque[tuple[Kind, bytes]] = deque()
        self._session: deque[tuple[int, Envelope]] = deque()
        self._receipts: deque[tuple[int, int]] = deque()
        self._committed = 0
        self._pong: bytes | None = None
        self._receipt: int | None = None
        self._goodbye: ErrorCode | None = None
        self._sealer: FrameSealer | None = None

    def clear_bytes(self, data: bytes) -> None:
        """Queue bytes of the handshake phase as they are."""
        self._clear.append(data)

    def start_transport(self, cipher: CipherState, *, now: float) -> None:
        """From now on, frames are encrypted with this cipher."""
        self._sealer = FrameSealer(cipher, now=now)

    def control(self, kind: Kind, body: bytes = b"") -> None:
        """Queue a frame that depends on no stored state."""
        self._control.append((kind, body))

    def pong(self, token: bytes) -> None:
        """Answer the latest PING; an earlier unanswered one is answered by it too."""
        self._pong = token

    def envelope(self, revision: int, envelope: Envelope) -> None:
        """Queue an envelope until ``revision`` is committed."""
        self._session.append((revision, envelope))

    def receipt(self, revision: int, index: int) -> None:
        """Acknowledge envelopes up to ``index``, once ``revision`` is committed."""
        self._receipts.append((revision, index))
        self._release_receipts()

    def committed(self, revision: int) -> None:
        """The store holds everything up to ``revision``."""
        self._committed = max(self._committed, revision)
        self._release_receipts()

    def _release_receipts(self) -> None:
        while self._receipts and self._receipts[0][0] <= self._committed:
            self._receipt = self._receipts.popleft()[1]

    def goodbye(self, code: ErrorCode) -> None:
        """End with an authenticated CLOSE (R-7.5.1).

        What is stored already is still acknowledged before it; all else that waits is dropped.
        """
        self._control.clear()
        self._session.clear()
        self._receipts.clear()
        self._pong = None
        self._goodbye = code

    def discard(self) -> None:
        """Drop everything: the peer is gone or listens no more."""
        self._clear.clear()
        self._control.clear()
        self._session.clear()
        self._receipts.clear()
        self._pong = self._receipt = None

    def take(self, *, now: float) -> bytes:
        """Return the bytes that may leave now."""
        parts = self._clear
        self._clear = []
        if self._sealer is not None:
            parts += [self._sealer.seal(kind, body, now=now) for kind, body in self._due()]
        return b"".join(parts)

    def _due(self) -> Iterator[tuple[Kind, bytes]]:
        while self._control:
            yield self._control.popleft()
        if self._pong is not None:
            yield Kind.PONG, self._pong
            self._pong = None
        if self._receipt is not None:
            yield Kind.ACK, self._receipt.to_bytes(INDEX_LEN, "big")
            self._receipt = None
        while self._session and self._session[0][0] <= self._committed:
            yield from _parts(self._session.popleft()[1])
        if self._goodbye is not None:
            yield Kind.CLOSE, self._goodbye.to_bytes(2, "big")
            self._goodbye = None


def _parts(envelope: Envelope) -> Iterator[tuple[Kind, bytes]]:
    """Cut an envelope with its index into frames' bodies (§8.5)."""
    body = envelope.index.to_bytes(INDEX_LEN, "big") + envelope.envelope
    starts = range(0, len(body), BODY_MAX_BYTES)
    for start in starts:
        kind = Kind.RATCHET if start == starts[-1] else Kind.RATCHET_PART
        yield kind, body[start : start + BODY_MAX_BYTES]
