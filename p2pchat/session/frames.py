"""Framing: lengths on the wire, kinds of frames, padding (protocol.md §4.1, §4.4, §7).

Every length is checked against its limit before anything is kept. Transport frames carry a kind
and a body in a plaintext that is padded to a bucket, so that their length tells little.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

from p2pchat.constants import (
    COVER_FRAME_BYTES,
    FRAME_PREFIX_LEN,
    HANDSHAKE_PADDING_BYTES,
    NOISE_MESSAGE_MAX_BYTES,
    PADDING_BUCKETS,
    TRANSPORT_PLAINTEXT_MAX_BYTES,
)
from p2pchat.errors import ErrorCode, LocalProtocolError, ProtocolError
from p2pchat.session.negotiation import PREAMBLE_HEAD_LEN, check_magic, preamble_length

_INNER_HEAD: Final = struct.Struct(">BH")
BODY_MAX_BYTES: Final = TRANSPORT_PLAINTEXT_MAX_BYTES - _INNER_HEAD.size
"""65516 B: the longest body of one transport frame."""
_PAYLOAD_HEAD_LEN: Final = 2
OPTIONAL_KINDS_FROM: Final = 0x80
"""Unknown kinds from here on are ignored, below it they are a violation (R-7.3.2)."""


COVER_KIND: Final = 0x80
"""A frame that says nothing (§7.7); whoever does not know the kind ignores it all the same."""
COVER_BODY_MAX_BYTES: Final = COVER_FRAME_BYTES - _INNER_HEAD.size
"""2045 B: the longest body of a frame of a connection with cover traffic."""


class ClearKind(IntEnum):
    """First byte of a frame before the transport phase (§4.4)."""

    NOISE = 0x01
    RETRY = 0x02
    REFUSE = 0x03


class Kind(IntEnum):
    """First byte of a transport frame's plaintext (§7.3)."""

    PING = 0x01
    PONG = 0x02
    CLOSE = 0x03
    REKEY = 0x04
    HELLO = 0x10
    RESUME = 0x11
    RESET = 0x12
    RATCHET_PART = 0x20
    RATCHET = 0x21
    ACK = 0x22
    CERTIFICATE = 0x81
    REVOKED = 0x82
    COMPARE = 0x83
    LEDGER = 0x84
    TYPING = 0x85


class FrameBuffer:
    """Collects received bytes and gives out whole preambles and frames."""

    __slots__ = ("_data", "_position")

    def __init__(self) -> None:
        self._data = bytearray()
        self._position = 0

    def append(self, data: bytes) -> None:
        """Add received bytes."""
        if self._position:
            del self._data[: self._position]
            self._position = 0
        self._data += data

    def __len__(self) -> int:
        return len(self._data) - self._position

    def clear(self) -> None:
        """Forget everything; used when the connection is over."""
        self._data.clear()
        self._position = 0

    def take_preamble(self) -> bytes | None:
        """Return the preamble once it is whole.

        Raises:
            ProtocolError: As soon as the bytes there cannot become one.
        """
        head = bytes(self._data[:PREAMBLE_HEAD_LEN])
        check_magic(head)
        if len(head) < PREAMBLE_HEAD_LEN:
            return None
        length = preamble_length(head)
        if len(self) < length:
            return None
        return self._take(length)

    def take_frame(self) -> bytes | None:
        """Return the next frame's body, 1..65535 bytes, once it is whole.

        Raises:
            ProtocolError: The length is zero.
        """
        available = len(self._data) - self._position
        if available < FRAME_PREFIX_LEN:
            return None
        length = int.from_bytes(self._data[self._position : self._position + 2], "big")
        if length == 0:
            raise ProtocolError("a frame is empty")
        if available < FRAME_PREFIX_LEN + length:
            return None
        self._position += FRAME_PREFIX_LEN
        return self._take(length)

    def _take(self, length: int) -> bytes:
        taken = bytes(self._data[self._position : self._position + length])
        self._position += length
        return taken


def encode_frame(body: bytes) -> bytes:
    """Put the two-byte length before a body of 1..65535 bytes.

    Raises:
        LocalProtocolError: The body is empty or too long.
    """
    if not 1 <= len(body) <= NOISE_MESSAGE_MAX_BYTES:
        raise LocalProtocolError("a frame's body has 1 to 65535 bytes")
    return len(body).to_bytes(FRAME_PREFIX_LEN, "big") + body


def encode_clear(kind: ClearKind, body: bytes) -> bytes:
    """Return a whole frame of the handshake phase."""
    return encode_frame(bytes([kind]) + body)


def encode_refusal(code: ErrorCode) -> bytes:
    """Return a whole REFUSE frame; it says a code and nothing else."""
    return encode_clear(ClearKind.REFUSE, code.to_bytes(2, "big"))


def known_code(body: bytes) -> ErrorCode:
    """Return the peer's error code; one that we do not know counts as a plain violation (§12)."""
    number = int.from_bytes(body, "big")
    return ErrorCode(number) if number in _CODES else ErrorCode.PROTOCOL_VIOLATION


_CODES: Final = frozenset(ErrorCode)


def encode_inner(kind: int, body: bytes, *, at_least: int = 0) -> bytes:
    """Return the padded plaintext of a transport frame (R-7.2.1).

    Args:
        kind: A ``Kind``, or ``COVER_KIND``.
        body: What the frame carries.
        at_least: No bucket smaller than this many bytes is taken.

    Raises:
        LocalProtocolError: The body is longer than ``BODY_MAX_BYTES``.
    """
    needed = _INNER_HEAD.size + len(body)
    for bucket in PADDING_BUCKETS:
        if max(needed, at_least) <= bucket:
            return _INNER_HEAD.pack(kind, len(body)) + body + bytes(bucket - needed)
    raise LocalProtocolError("a transport frame's body is too long")


def decode_inner(plaintext: bytes) -> tuple[int, bytes]:
    """Split a transport frame's plaintext into kind and body (R-7.2.2).

    Raises:
        ProtocolError: Not a bucket's size, a length beyond it, or padding that is not zero.
    """
    if len(plaintext) not in PADDING_BUCKETS:
        raise ProtocolError("a transport frame is not padded to a bucket")
    kind, length = _INNER_HEAD.unpack_from(plaintext)
    end = _INNER_HEAD.size + length
    if end > len(plaintext):
        raise ProtocolError("a transport frame's length is wrong")
    if plaintext.count(0, end) != len(plaintext) - end:
        raise ProtocolError("a transport frame's padding is not zero")
    return kind, plaintext[_INNER_HEAD.size : end]


def pad_payload(content: bytes) -> bytes:
    """Return a handshake payload: length, content, zeros to a multiple of 512 (R-5.3.1)."""
    padded = _PAYLOAD_HEAD_LEN + len(content)
    return (
        len(content).to_bytes(_PAYLOAD_HEAD_LEN, "big")
        + content
        + bytes(-padded % HANDSHAKE_PADDING_BYTES)
    )


def unpad_payload(payload: bytes) -> bytes:
    """Return the content of a handshake payload (R-5.3.1).

    Raises:
        ProtocolError: Not a multiple of 512, a length beyond it, or padding that is not zero.
    """
    if not payload or len(payload) % HANDSHAKE_PADDING_BYTES:
        raise ProtocolError("a handshake payload is not padded")
    end = _PAYLOAD_HEAD_LEN + int.from_bytes(payload[:_PAYLOAD_HEAD_LEN], "big")
    if end > len(payload) or payload.count(0, end) != len(payload) - end:
        raise ProtocolError("a handshake payload's padding is wrong")
    return payload[_PAYLOAD_HEAD_LEN:end]
