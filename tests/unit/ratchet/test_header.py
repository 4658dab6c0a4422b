"""The bytes of headers and envelopes (protocol.md §6.3)."""

from __future__ import annotations

import pytest

from p2pchat.constants import ENVELOPE_MAX_BYTES
from p2pchat.crypto import aead
from p2pchat.crypto.secret import Secret
from p2pchat.errors import DecryptionError
from p2pchat.ratchet.header import (
    CHAIN_MAX_MESSAGES,
    ENVELOPE_MIN_BYTES,
    HEADER_LEN,
    PREFIX_LEN,
    Header,
    answer_field,
    ciphertext_of,
    nonce_of,
    open_header,
    seal_prefix,
    split_envelope,
)
from p2pchat.ratchet.schedule import HeaderKey

KEY = HeaderKey(Secret(b"k" * 32))
NONCE = bytes(range(12))
AD = b"a" * 96
HEADER = Header(0, b"r" * 32, 0x01020304, 0x05060708)
OFFER = HEADER._replace(flags=1, kem_field=b"e" * 1184)
ANSWER = HEADER._replace(flags=2, kem_field=answer_field(b"c" * 1088))


def test_lengths() -> None:
    """R-6.3.1, R-6.3.2."""
    assert (HEADER_LEN, PREFIX_LEN, ENVELOPE_MIN_BYTES) == (1225, 1254, 1270)


def test_layout() -> None:
    """R-6.3.1, R-6.3.2: built by hand from the text."""
    plain = b"\x00" + b"r" * 32 + bytes([1, 2, 3, 4]) + bytes([5, 6, 7, 8]) + bytes(1184)
    expected = b"\x01" + NONCE + aead.seal(b"k" * 32, NONCE, plain, AD)
    assert seal_prefix(HEADER, KEY, NONCE, AD) == expected
    assert nonce_of(expected) == NONCE


def test_layout_with_a_kem_part() -> None:
    """R-6.3.1: a key fills the field, a ciphertext is followed by 96 zeros."""
    start = b"r" * 32 + bytes([1, 2, 3, 4]) + bytes([5, 6, 7, 8])
    for header, plain in (
        (OFFER, b"\x01" + start + b"e" * 1184),
        (ANSWER, b"\x02" + start + b"c" * 1088 + bytes(96)),
    ):
        expected = b"\x01" + NONCE + aead.seal(b"k" * 32, NONCE, plain, AD)
        assert seal_prefix(header, KEY, NONCE, AD) == expected
        assert len(expected) == PREFIX_LEN


@pytest.mark.parametrize("header", [HEADER, OFFER, ANSWER])
def test_round_trip(header: Header) -> None:
    assert open_header(seal_prefix(header, KEY, NONCE, AD), KEY, AD) == header


def test_ciphertext_in_its_field() -> None:
    assert ciphertext_of(answer_field(b"c" * 1088)) == b"c" * 1088
    assert len(answer_field(b"c" * 1088)) == 1184


def test_other_key_or_associated_data() -> None:
    prefix = seal_prefix(HEADER, KEY, NONCE, AD)
    assert open_header(prefix, HeaderKey(Secret(b"x" * 32)), AD) is None
    assert open_header(prefix, KEY, b"b" * 96) is None


@pytest.mark.parametrize("position", [1, 12, 13, 45, 54, 1237, 1238, 1253])
def test_damaged(position: int) -> None:
    prefix = bytearray(seal_prefix(HEADER, KEY, NONCE, AD))
    prefix[position] ^= 0x80
    assert open_header(bytes(prefix), KEY, AD) is None


@pytest.mark.parametrize(
    "header",
    [
        HEADER._replace(flags=3),
        HEADER._replace(flags=0x80),
        OFFER._replace(flags=4),
        ANSWER._replace(flags=6),
        HEADER._replace(kem_field=b"\x01" + bytes(1183)),
        HEADER._replace(kem_field=bytes(1183) + b"\x01"),
        OFFER._replace(flags=0),
        ANSWER._replace(kem_field=b"c" * 1089 + bytes(95)),
        ANSWER._replace(kem_field=b"c" * 1088 + bytes(95) + b"\x01"),
        OFFER._replace(number=CHAIN_MAX_MESSAGES),
        HEADER._replace(number=CHAIN_MAX_MESSAGES),
    ],
)
def test_authentic_but_unknown(header: Header) -> None:
    """R-6.3.5."""
    with pytest.raises(DecryptionError, match="not known"):
        open_header(seal_prefix(header, KEY, NONCE, AD), KEY, AD)


def test_highest_figures() -> None:
    header = Header(0, b"r" * 32, CHAIN_MAX_MESSAGES, CHAIN_MAX_MESSAGES - 1)
    assert open_header(seal_prefix(header, KEY, NONCE, AD), KEY, AD) == header


def test_split() -> None:
    envelope = b"\x01" + b"p" * 1253 + b"b" * 16
    assert split_envelope(envelope) == (envelope[:1254], b"b" * 16)


@pytest.mark.parametrize("length", [0, 86, 1269, ENVELOPE_MAX_BYTES + 1])
def test_split_refuses_lengths(length: int) -> None:
    """R-6.3.4."""
    with pytest.raises(DecryptionError, match="not possible"):
        split_envelope(b"\x01" * length)


@pytest.mark.parametrize("length", [1270, ENVELOPE_MAX_BYTES])
def test_split_takes_lengths(length: int) -> None:
    assert sum(map(len, split_envelope(b"\x01" * length))) == length


@pytest.mark.parametrize("version", [0, 2, 255])
def test_split_refuses_versions(version: int) -> None:
    """R-6.3.4."""
    with pytest.raises(DecryptionError, match=f"version {version} "):
        split_envelope(bytes([version]) + bytes(1300))
