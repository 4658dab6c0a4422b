"""What waits to be sent, and what it waits for (protocol.md §7.1, §8.5).

Two queues: control frames leave at once; session frames carry the revision of the state that
they depend on and leave, in order, once the store has committed it. Frames are encrypted only
when they leave, so that the transport's nonces follow the order on the wire and a frame that
never left used none. Acknowledgements and PONGs are not queued but joined: one stands for all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from p2pchat.constants import COVER_FRAME_BYTES
from p2pchat.errors import ErrorCode
from p2pchat.noise.symmetric import CipherState
from p2pchat.session.delivery import Envelope
from p2pchat.session.frames import BODY_MAX_BYTES, COVER_BODY_MAX_BYTES, COVER_KIND, Kind
from p2pchat.session.pacing import Pacer
from p2pchat.session.records import FrameSealer

INDEX_LEN = 8


class Outgoing:
    """The sending half of a connection."""

    def __init__(self) -> None:
        self._clear: list[bytes] = []
        self._control: deque[tuple[Kind, bytes]] = deque()
        self._session: deque[tuple[int, Envelope]] = deque()
        self._cut: deque[tuple[Kind, bytes]] = deque()
        self._receipts: deque[tuple[int, int]] = deque()
        self._committed = 0
        self._pong: bytes | None = None
        self._receipt: int | None = None
        self._goodbye: ErrorCode | None = None
        self._sealer: FrameSealer | None = None
        self._pacer: Pacer | None = None

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
        self._cut.clear()
        self._receipts.clear()
        self._pong = None
        self._goodbye = code

    def discard(self) -> None:
        """Drop everything: the peer is gone or listens no more."""
        self._clear.clear()
        self._control.clear()
        self._session.clear()
        self._cut.clear()
        self._receipts.clear()
        self._pong = self._receipt = None

    def pace(self, interval_s: float, *, now: float) -> None:
        """From now on send one frame of one size at each tick, whatever there is to say (§7.7)."""
        self._pacer = Pacer(interval_s, now=now)

    @property
    def next_tick(self) -> float | None:
        """When the next paced frame is due."""
        return None if self._pacer is None else self._pacer.next_at

    def take(self, *, now: float) -> bytes:
        """Return the bytes that may leave now."""
        parts = self._clear
        self._clear = []
        if self._sealer is not None:
            if self._pacer is None or self._goodbye is not None:
                while (frame := self._next(BODY_MAX_BYTES)) is not None:
                    parts.append(self._sealer.seal(*frame, now=now))
            elif self._pacer.tick(now):
                parts.append(self._paced(self._sealer, now))
        return b"".join(parts)

    def _paced(self, sealer: FrameSealer, now: float) -> bytes:
        if sealer.is_due(now=now):
            return sealer.change_key(now=now, at_least=COVER_FRAME_BYTES)
        kind, body = self._next(COVER_BODY_MAX_BYTES) or (COVER_KIND, b"")
        return sealer.seal(kind, body, now=now, at_least=COVER_FRAME_BYTES)

    def _next(self, limit: int) -> tuple[int, bytes] | None:
        """Take the next frame that may leave: control, answers, envelopes, the goodbye."""
        if self._control:
            return self._control.popleft()
        if self._pong is not None:
            token, self._pong = self._pong, None
            return Kind.PONG, token
        if self._receipt is not None:
            index, self._receipt = self._receipt, None
            return Kind.ACK, index.to_bytes(INDEX_LEN, "big")
        if not self._cut and self._session and self._session[0][0] <= self._committed:
            self._cut.extend(_parts(self._session.popleft()[1], limit))
        if self._cut:
            return self._cut.popleft()
        if self._goodbye is not None:
            code, self._goodbye = self._goodbye, None
            return Kind.CLOSE, code.to_bytes(2, "big")
        return None


def _parts(envelope: Envelope, limit: int) -> Iterator[tuple[Kind, bytes]]:
    """Cut an envelope with its index into frames' bodies of at most ``limit`` bytes (§8.5)."""
    body = envelope.index.to_bytes(INDEX_LEN, "big") + envelope.envelope
    starts = range(0, len(body), limit)
    for start in starts:
        kind = Kind.RATCHET if start == starts[-1] else Kind.RATCHET_PART
        yield kind, body[start : start + limit]
