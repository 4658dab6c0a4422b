"""Lengths, kinds and padding on the wire (protocol.md §4.1, §4.4, §5.3, §7.2)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.constants import (
    HANDSHAKE_PADDING_BYTES,
    NOISE_MESSAGE_MAX_BYTES,
    OFFER_MAX_BYTES,
    PADDING_BUCKETS,
    TRANSPORT_PLAINTEXT_MAX_BYTES,
)
from p2pchat.errors import ErrorCode, LocalProtocolError, ProtocolError
from p2pchat.session.frames import (
    BODY_MAX_BYTES,
    ClearKind,
    FrameBuffer,
    Kind,
    decode_inner,
    encode_clear,
    encode_frame,
    encode_inner,
    encode_refusal,
    pad_payload,
    unpad_payload,
)
from p2pchat.session.negotiation import OUR_OFFER, XX, encode_preamble

PREAMBLE = encode_preamble(XX.number, OUR_OFFER)


def buffer_of(data: bytes) -> FrameBuffer:
    buffer = FrameBuffer()
    buffer.append(data)
    return buffer


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=6), st.data())
def test_frames_come_out_whole_however_they_arrive(
    bodies: list[bytes], data: st.DataObject
) -> None:
    """R-4.1.1, however they arrive."""
    stream = b"".join(map(encode_frame, bodies))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    buffer, taken = FrameBuffer(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        buffer.append(stream[start:end])
        while (frame := buffer.take_frame()) is not None:
            taken.append(frame)
    assert taken == bodies
    assert len(buffer) == 0


def test_byte_by_byte() -> None:
    buffer = FrameBuffer()
    stream = PREAMBLE + encode_frame(b"one") + encode_frame(b"two")
    taken = []
    for number, byte in enumerate(stream):
        buffer.append(bytes([byte]))
        if number < len(PREAMBLE) - 1:
            assert buffer.take_preamble() is None
        elif number == len(PREAMBLE) - 1:
            assert buffer.take_preamble() == PREAMBLE
        elif (frame := buffer.take_frame()) is not None:
            taken.append((number - len(PREAMBLE), frame))
    assert taken == [(4, b"one"), (9, b"two")]


def test_the_largest_frame() -> None:
    """R-4.1.1: 65535 bytes, and the length needs no more than its two bytes."""
    body = b"x" * NOISE_MESSAGE_MAX_BYTES
    buffer = buffer_of(encode_frame(body)[:-1])
    assert buffer.take_frame() is None
    buffer.append(b"x")
    assert buffer.take_frame() == body
    for bad in (b"", body + b"x"):
        with pytest.raises(LocalProtocolError):
            encode_frame(bad)


def test_an_empty_frame_is_refused() -> None:
    """R-4.1.1."""
    buffer = buffer_of(b"\x00")
    assert buffer.take_frame() is None
    buffer.append(b"\x00")
    with pytest.raises(ProtocolError, match="empty"):
        buffer.take_frame()


def test_cleared_means_empty() -> None:
    buffer = buffer_of(encode_frame(b"one") + b"\x00")
    buffer.take_frame()
    buffer.clear()
    assert len(buffer) == 0
    buffer.append(encode_frame(b"two"))
    assert buffer.take_frame() == b"two"


@pytest.mark.parametrize("length", range(1, 9))
def test_another_magic_is_refused_at_its_first_wrong_byte(length: int) -> None:
    """R-4.2.1: who says GET is not kept waiting for eleven bytes more."""
    wrong = PREAMBLE[: length - 1] + b"\x00"
    with pytest.raises(ProtocolError, match="does not speak"):
        buffer_of(wrong).take_preamble()
    assert buffer_of(PREAMBLE[:length]).take_preamble() is None


def test_an_offer_that_is_too_long_is_refused_before_it_comes() -> None:
    """R-4.2.2."""
    head = PREAMBLE[:10] + (OFFER_MAX_BYTES + 1).to_bytes(2, "big")
    assert buffer_of(head[:-1]).take_preamble() is None
    with pytest.raises(ProtocolError) as caught:
        buffer_of(head).take_preamble()
    assert caught.value.code is ErrorCode.LIMIT_EXCEEDED


def test_clear_frames() -> None:
    """R-4.4.1: kind and content."""
    assert encode_clear(ClearKind.NOISE, b"abc") == b"\x00\x04\x01abc"
    assert encode_refusal(ErrorCode.SESSION_BROKEN) == b"\x00\x03\x03\x00\x0a"


@pytest.mark.parametrize("bucket", PADDING_BUCKETS)
def test_each_bucket_is_filled_before_the_next_is_taken(bucket: int) -> None:
    """R-7.2.1, R-7.2.2."""
    fits = b"\xff" * (bucket - 3)
    plaintext = encode_inner(Kind.RATCHET, fits)
    assert len(plaintext) == bucket
    assert decode_inner(plaintext) == (Kind.RATCHET, fits)
    if bucket == PADDING_BUCKETS[-1]:
        assert len(fits) == BODY_MAX_BYTES == 65516
        with pytest.raises(LocalProtocolError, match="too long"):
            encode_inner(Kind.RATCHET, fits + b"x")
    else:
        following = PADDING_BUCKETS[PADDING_BUCKETS.index(bucket) + 1]
        assert len(encode_inner(Kind.RATCHET, fits + b"x")) == following


def test_the_plaintexts_layout() -> None:
    """R-7.2.1."""
    assert encode_inner(Kind.PING, b"12345678") == b"\x01\x00\x0812345678" + bytes(245)
    assert encode_inner(Kind.RESET, b"") == b"\x12" + bytes(255)


@given(st.binary(max_size=1500))
def test_a_body_survives_padding_whatever_it_ends_with(body: bytes) -> None:
    for padded in (body, body + b"\x00\x00"):
        assert decode_inner(encode_inner(Kind.HELLO, padded)) == (Kind.HELLO, padded)
        assert unpad_payload(pad_payload(padded)) == padded


@pytest.mark.parametrize("length", [0, 1, 2, 255, 257, 511, 65518, 65520])
def test_a_plaintext_of_no_buckets_size_is_refused(length: int) -> None:
    """R-7.2.2."""
    with pytest.raises(ProtocolError, match="bucket"):
        decode_inner(b"\x01" + bytes(length - 1) if length else b"")


def test_padding_that_is_not_zero_is_refused() -> None:
    """R-7.2.2: each byte of it."""
    plaintext = encode_inner(Kind.PING, b"12345678")
    for place in range(11, 256):
        spoilt = bytearray(plaintext)
        spoilt[place] = 1
        with pytest.raises(ProtocolError, match="not zero"):
            decode_inner(bytes(spoilt))


def test_a_length_beyond_the_plaintext_is_refused() -> None:
    """R-7.2.2."""
    assert decode_inner(b"\x01" + (253).to_bytes(2, "big") + bytes(253)) == (1, bytes(253))
    for length in (254, 65535):
        with pytest.raises(ProtocolError, match="length"):
            decode_inner(b"\x01" + length.to_bytes(2, "big") + bytes(253))


@pytest.mark.parametrize("size", [0, 1, 509, 510, 511, 1022, 1023])
def test_handshake_payloads_fill_multiples_of_512(size: int) -> None:
    """R-5.3.1."""
    payload = pad_payload(b"\xff" * size)
    assert len(payload) == -(-(size + 2) // 512) * 512
    assert HANDSHAKE_PADDING_BYTES == 512
    assert payload[:2] == size.to_bytes(2, "big")
    assert unpad_payload(payload) == b"\xff" * size


@pytest.mark.parametrize("length", [0, 1, 2, 511, 513])
def test_a_payload_of_another_total_is_refused(length: int) -> None:
    """R-5.3.1."""
    with pytest.raises(ProtocolError):
        unpad_payload(bytes(length))


def test_a_payload_with_a_wrong_length_or_padding_is_refused() -> None:
    """R-5.3.1."""
    with pytest.raises(ProtocolError):
        unpad_payload((511).to_bytes(2, "big") + bytes(510))
    assert unpad_payload((510).to_bytes(2, "big") + bytes(510)) == bytes(510)
    for place in (12, 300, 511):
        spoilt = bytearray(pad_payload(b"0123456789"))
        spoilt[place] = 1
        with pytest.raises(ProtocolError):
            unpad_payload(bytes(spoilt))


@given(st.sampled_from([*PADDING_BUCKETS[:3], 511, 513]), st.binary(min_size=3, max_size=12))
@settings(max_examples=60)
def test_what_decodes_is_what_would_be_encoded_up_to_the_bucket(size: int, head: bytes) -> None:
    """R-7.2.2."""
    plaintext = head + bytes(size - len(head))
    try:
        kind, body = decode_inner(plaintext)
    except ProtocolError:
        return
    assert plaintext.startswith(bytes([kind]) + len(body).to_bytes(2, "big") + body)
    assert len(plaintext) <= TRANSPORT_PLAINTEXT_MAX_BYTES
