"""transport.json: clear frames, padding, frames under changing keys (protocol.md §4.4, §7)."""

from __future__ import annotations

from typing import Any, Final

from p2pchat.crypto.secret import Secret
from p2pchat.errors import ErrorCode
from p2pchat.interop.forging import plaintext
from p2pchat.interop.personas import seeded_rng
from p2pchat.interop.vectors.form import VectorFile, flipped, from_hex, refused
from p2pchat.noise.symmetric import CipherState
from p2pchat.session.frames import (
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
from p2pchat.session.records import FrameOpener

KEY: Final = seeded_rng("vectors/transport")(32)
VIOLATION: Final = ErrorCode.PROTOCOL_VIOLATION.name


def files() -> list[VectorFile]:
    """Return the file."""
    return [
        VectorFile(
            "transport.json",
            "protocol.md sections 4.1, 4.4, 5.3 and 7: frames, padding, keys",
            [*_clear(), *_payloads(), *_padding(), _stream()],
            [*_bad_plaintexts(), *_bad_payloads(), *_bad_frames()],
            {
                "plaintext": from_hex(decode_inner),
                "handshake payload": from_hex(unpad_payload),
                "first frame": from_hex(_first_frame),
            },
        )
    ]


def _clear() -> list[dict[str, Any]]:
    frames = {
        "RETRY for XXhfs": encode_clear(ClearKind.RETRY, b"\x01\x01"),
        "REFUSE with HANDSHAKE_FAILED": encode_refusal(ErrorCode.HANDSHAKE_FAILED),
        "REFUSE with UNSUPPORTED_VERSION": encode_refusal(ErrorCode.UNSUPPORTED_VERSION),
    }
    return [
        {"name": f"clear frame: {name}", "frame": frame.hex()} for name, frame in frames.items()
    ]


def _payloads() -> list[dict[str, Any]]:
    return [
        {
            "name": f"handshake payload of {length} bytes of content",
            "content": bytes(range(256)).hex()[: 2 * length].ljust(2 * length, "7"),
            "padded": pad_payload(
                bytes.fromhex(bytes(range(256)).hex()[: 2 * length].ljust(2 * length, "7"))
            ).hex(),
        }
        for length in (0, 1, 510, 511)
    ]


def _padding() -> list[dict[str, Any]]:
    cases = []
    for kind, length in (
        (Kind.RESUME, 0),
        (Kind.PING, 8),
        (Kind.HELLO, 253),
        (Kind.HELLO, 254),
        (Kind.RATCHET, 509),
        (Kind.RATCHET, 510),
        (Kind.RATCHET, 1021),
        (Kind.RATCHET, 1022),
    ):
        body = bytes(number % 251 for number in range(length))
        cases.append(
            {
                "name": f"padding: {kind.name} of {length} bytes",
                "kind": int(kind),
                "body": body.hex(),
                "plaintext": encode_inner(kind, body).hex(),
            }
        )
    return cases


def _stream() -> dict[str, Any]:
    """Seven frames of one direction with two changes of key; nonces go on over them."""
    cipher = CipherState(Secret(KEY))
    frames = []
    sent: list[tuple[Kind, bytes]] = [
        (Kind.PING, bytes(range(8))),
        (Kind.PONG, bytes(range(8, 16))),
        (Kind.REKEY, b""),
        (Kind.ACK, (7).to_bytes(8, "big")),
        (Kind.REKEY, b""),
        (Kind.RATCHET, b"\x00" * 7 + b"\x01" + b"not a real envelope"),
        (Kind.CLOSE, b"\x00\x00"),
    ]
    for nonce, (kind, body) in enumerate(sent):
        frame = encode_frame(cipher.encrypt_with_ad(b"", encode_inner(kind, body)))
        frames.append({"nonce": nonce, "kind": int(kind), "body": body.hex(), "frame": frame.hex()})
        if kind is Kind.REKEY:
            cipher.rekey()
    return {"name": "frames of one direction, with two REKEYs", "key": KEY.hex(), "frames": frames}


def _bad_plaintexts() -> list[dict[str, str]]:
    good = plaintext(Kind.PONG, bytes(8))
    return refused(
        "plaintext",
        VIOLATION,
        plaintext_empty=b"",
        plaintext_of_255_bytes=good[:-1],
        plaintext_of_300_bytes=plaintext(Kind.PONG, bytes(8), size=300),
        plaintext_with_padding_of_ones=plaintext(Kind.PONG, bytes(8), padding=1),
        plaintext_with_a_last_byte_of_one=good[:-1] + b"\x01",
        plaintext_with_a_length_beyond_its_end=b"\x02\x00\xfe" + bytes(253),
    )


def _bad_payloads() -> list[dict[str, str]]:
    good = pad_payload(b"content")
    return refused(
        "handshake payload",
        VIOLATION,
        payload_empty=b"",
        payload_of_511_bytes=good[:-1],
        payload_of_513_bytes=good + b"\x00",
        payload_with_a_length_beyond_its_end=b"\x01\xff" + good[2:],
        payload_with_padding_that_is_not_zero=good[:-1] + b"\x01",
    )


def _bad_frames() -> list[dict[str, str]]:
    def sealed(packed: bytes, *, nonce: int = 0) -> bytes:
        return encode_frame(CipherState(Secret(KEY), nonce=nonce).encrypt_with_ad(b"", packed))

    good = sealed(encode_inner(Kind.PING, bytes(8)))
    return refused(
        "first frame",
        VIOLATION,
        frame_of_length_0=b"\x00\x00",
        frame_shorter_than_a_tag=b"\x00\x0f" + bytes(15),
        frame_with_a_changed_byte=flipped(good, 40),
        frame_with_a_changed_tag=flipped(good, -1),
        frame_of_another_place=sealed(encode_inner(Kind.PING, bytes(8)), nonce=1),
        frame_with_padding_of_ones=sealed(plaintext(Kind.PING, bytes(8), padding=1)),
        frame_with_a_rekey_that_has_a_body=sealed(plaintext(Kind.REKEY, b"\x00")),
    )


def _first_frame(data: bytes) -> None:
    """Read a frame as the first one under ``KEY``."""
    buffer = FrameBuffer()
    buffer.append(data)
    frame = buffer.take_frame()
    if frame is not None:
        FrameOpener(CipherState(Secret(KEY))).open(frame)
