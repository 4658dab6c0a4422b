"""What leaves when, and in which order (protocol.md §7.5, §8.2, §8.5)."""

from __future__ import annotations

import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.errors import ErrorCode, LocalProtocolError
from p2pchat.noise.symmetric import CipherState
from p2pchat.session.delivery import Envelope
from p2pchat.session.frames import BODY_MAX_BYTES, COVER_KIND, FrameBuffer, Kind, decode_inner
from p2pchat.session.outgoing import Outgoing

KEY = Secret(b"k" * 32)


class Receiver:
    """Opens what an ``Outgoing`` gave, in the order in which it came."""

    def __init__(self) -> None:
        self._cipher = CipherState(KEY)
        self._buffer = FrameBuffer()

    def frames(self, data: bytes) -> list[tuple[int, bytes]]:
        self._buffer.append(data)
        found = []
        while (frame := self._buffer.take_frame()) is not None:
            found.append(decode_inner(self._cipher.decrypt_with_ad(b"", frame)))
        return found


def ready() -> tuple[Outgoing, Receiver]:
    outgoing = Outgoing()
    outgoing.start_transport(CipherState(KEY), now=0.0)
    return outgoing, Receiver()


def envelope(index: int, data: bytes = b"sealed") -> Envelope:
    return Envelope(index, data, bytes(32), None)


def sent(index: int, data: bytes = b"sealed") -> tuple[int, bytes]:
    return Kind.RATCHET, index.to_bytes(8, "big") + data


def ack(index: int) -> tuple[int, bytes]:
    return Kind.ACK, index.to_bytes(8, "big")


def close(code: ErrorCode) -> tuple[int, bytes]:
    return Kind.CLOSE, code.to_bytes(2, "big")


def test_cover_says_nothing() -> None:
    """R-7.7.1: a frame of cover has its kind and no body."""
    outgoing, receiver = ready()
    outgoing.pace(0.5, now=0.0)
    assert receiver.frames(outgoing.take(now=0.5)) == [(COVER_KIND, b"")]


def test_an_envelope_waits_for_its_commit() -> None:
    """R-8.2.1."""
    outgoing, receiver = ready()
    outgoing.envelope(1, envelope(1))
    outgoing.envelope(2, envelope(2))
    assert outgoing.take(now=0.0) == b""
    outgoing.committed(1)
    assert receiver.frames(outgoing.take(now=0.0)) == [sent(1)]
    assert outgoing.take(now=0.0) == b""
    outgoing.committed(2)
    assert receiver.frames(outgoing.take(now=0.0)) == [sent(2)]


def test_what_was_committed_before_the_connection_leaves_at_once() -> None:
    """R-8.4.3."""
    outgoing, receiver = ready()
    outgoing.envelope(0, envelope(7))
    assert receiver.frames(outgoing.take(now=0.0)) == [sent(7)]


def test_a_receipt_waits_for_its_commit() -> None:
    """R-8.2.2."""
    outgoing, receiver = ready()
    outgoing.receipt(3, 10)
    assert outgoing.take(now=0.0) == b""
    outgoing.committed(2)
    assert outgoing.take(now=0.0) == b""
    outgoing.committed(3)
    assert receiver.frames(outgoing.take(now=0.0)) == [ack(10)]
    assert outgoing.take(now=0.0) == b""


def test_a_receipt_for_what_is_committed_already_leaves_at_once() -> None:
    """R-8.5.2."""
    outgoing, receiver = ready()
    outgoing.committed(3)
    outgoing.receipt(3, 10)
    assert receiver.frames(outgoing.take(now=0.0)) == [ack(10)]


def test_one_acknowledgement_stands_for_all_that_are_due() -> None:
    """R-8.5.5, R-8.2.2: and for none that is not."""
    outgoing, receiver = ready()
    for revision in range(1, 6):
        outgoing.receipt(revision, revision + 100)
    outgoing.committed(4)
    assert receiver.frames(outgoing.take(now=0.0)) == [ack(104)]
    outgoing.committed(5)
    assert receiver.frames(outgoing.take(now=0.0)) == [ack(105)]


def test_a_commit_is_never_taken_back() -> None:
    outgoing, receiver = ready()
    outgoing.committed(5)
    outgoing.committed(1)
    outgoing.envelope(5, envelope(1))
    assert receiver.frames(outgoing.take(now=0.0)) == [sent(1)]


def test_control_frames_wait_for_nothing_and_go_first() -> None:
    """R-7.4.1, R-7.4.2: a keepalive must not wait for a disk."""
    outgoing, receiver = ready()
    outgoing.envelope(9, envelope(1))
    outgoing.receipt(9, 1)
    outgoing.pong(b"12345678")
    outgoing.control(Kind.PING, b"abcdefgh")
    outgoing.control(Kind.HELLO, b"hello")
    assert receiver.frames(outgoing.take(now=0.0)) == [
        (Kind.PING, b"abcdefgh"),
        (Kind.HELLO, b"hello"),
        (Kind.PONG, b"12345678"),
    ]
    outgoing.committed(9)
    assert receiver.frames(outgoing.take(now=0.0)) == [ack(1), sent(1)]


def test_only_the_latest_ping_is_answered() -> None:
    """R-7.4.2: or a flood of PINGs would be a flood of PONGs."""
    outgoing, receiver = ready()
    for number in range(100):
        outgoing.pong(number.to_bytes(8, "big"))
    assert receiver.frames(outgoing.take(now=0.0)) == [(Kind.PONG, (99).to_bytes(8, "big"))]
    assert outgoing.take(now=0.0) == b""


def test_nothing_is_encrypted_before_the_transport_begins() -> None:
    outgoing, receiver = Outgoing(), Receiver()
    outgoing.clear_bytes(b"clear ")
    outgoing.control(Kind.PING, b"abcdefgh")
    outgoing.pong(b"12345678")
    outgoing.envelope(0, envelope(1))
    outgoing.clear_bytes(b"bytes")
    assert outgoing.take(now=0.0) == b"clear bytes"
    assert outgoing.take(now=0.0) == b""
    outgoing.start_transport(CipherState(KEY), now=0.0)
    kinds = [kind for kind, _ in receiver.frames(outgoing.take(now=0.0))]
    assert kinds == [Kind.PING, Kind.PONG, Kind.RATCHET]


def test_clear_bytes_go_before_the_first_encrypted_frame() -> None:
    outgoing, receiver = ready()
    outgoing.control(Kind.PING, b"abcdefgh")
    outgoing.clear_bytes(b"message 3")
    data = outgoing.take(now=0.0)
    assert data.startswith(b"message 3")
    assert receiver.frames(data[9:]) == [(Kind.PING, b"abcdefgh")]


@pytest.mark.parametrize(
    ("length", "parts"),
    [(0, 1), (BODY_MAX_BYTES - 8, 1), (BODY_MAX_BYTES - 7, 2), (2 * BODY_MAX_BYTES - 8, 2)],
)
def test_a_long_envelope_travels_in_parts(length: int, parts: int) -> None:
    """R-8.5.7's neighbour: index and envelope are cut at 65516 bytes, no part is empty."""
    outgoing, receiver = ready()
    data = bytes(number % 251 for number in range(length))
    outgoing.envelope(0, envelope(5, data))
    frames = receiver.frames(outgoing.take(now=0.0))
    assert [kind for kind, _ in frames] == [Kind.RATCHET_PART] * (parts - 1) + [Kind.RATCHET]
    assert b"".join(body for _, body in frames) == (5).to_bytes(8, "big") + data
    assert all(1 <= len(body) <= BODY_MAX_BYTES for _, body in frames)


def test_a_goodbye_is_the_last_frame() -> None:
    """R-7.5.1: what was stored is still acknowledged before it, the rest is dropped."""
    outgoing, receiver = ready()
    outgoing.committed(1)
    outgoing.receipt(1, 10)
    outgoing.receipt(2, 11)
    outgoing.envelope(2, envelope(1))
    outgoing.envelope(0, envelope(2))
    outgoing.control(Kind.PING, b"abcdefgh")
    outgoing.pong(b"12345678")
    outgoing.goodbye(ErrorCode.GOING_AWAY)
    assert receiver.frames(outgoing.take(now=0.0)) == [ack(10), close(ErrorCode.GOING_AWAY)]
    outgoing.committed(2)
    assert outgoing.take(now=0.0) == b""


def test_after_the_peers_goodbye_nothing_leaves() -> None:
    outgoing, _ = ready()
    outgoing.clear_bytes(b"clear")
    outgoing.control(Kind.PING, b"abcdefgh")
    outgoing.pong(b"12345678")
    outgoing.committed(1)
    outgoing.receipt(1, 10)
    outgoing.receipt(2, 11)
    outgoing.envelope(0, envelope(1))
    outgoing.discard()
    outgoing.committed(2)
    assert outgoing.take(now=0.0) == b""


def test_a_body_that_is_too_long_is_refused_locally() -> None:
    outgoing, _ = ready()
    outgoing.control(Kind.HELLO, bytes(BODY_MAX_BYTES + 1))
    with pytest.raises(LocalProtocolError):
        outgoing.take(now=0.0)
