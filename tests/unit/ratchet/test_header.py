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


def test_lengths() -> None:
    """R-6.3.1, R-6.3.2."""
    assert (HEADER_LEN, PREFIX_LEN, ENVELOPE_MIN_BYTES) == (41, 70, 86)


def test_layout() -> None:
    """R-6.3.1, R-6.3.2: built by hand from the text."""
    plain = b"\x00" + b"r" * 32 + bytes([1, 2, 3, 4]) + bytes([5, 6, 7, 8])
    expected = b"\x01" + NONCE + aead.seal(b"k" * 32, NONCE, plain, AD)
    assert seal_prefix(HEADER, KEY, NONCE, AD) == expected
    assert nonce_of(expected) == NONCE


def test_round_trip() -> None:
    assert open_header(seal_prefix(HEADER, KEY, NONCE, AD), KEY, AD) == HEADER


def test_other_key_or_associated_data() -> None:
    prefix = seal_prefix(HEADER, KEY, NONCE, AD)
    assert open_header(prefix, HeaderKey(Secret(b"x" * 32)), AD) is None
    assert open_header(prefix, KEY, b"b" * 96) is None


@pytest.mark.parametrize("position", [1, 12, 13, 45, 69])
def test_damaged(position: int) -> None:
    prefix = bytearray(seal_prefix(HEADER, KEY, NONCE, AD))
    prefix[position] ^= 0x80
    assert open_header(bytes(prefix), KEY, AD) is None


@pytest.mark.parametrize(
    "header",
    [
        HEADER._replace(flags=1),
        HEADER._replace(flags=0x80),
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
    envelope = b"\x01" + b"p" * 69 + b"b" * 16
    assert split_envelope(envelope) == (envelope[:70], b"b" * 16)


@pytest.mark.parametrize("length", [0, 85, ENVELOPE_MAX_BYTES + 1])
def test_split_refuses_lengths(length: int) -> None:
    """R-6.3.4."""
    with pytest.raises(DecryptionError, match="not possible"):
        split_envelope(b"\x01" * length)


@pytest.mark.parametrize("length", [86, ENVELOPE_MAX_BYTES])
def test_split_takes_lengths(length: int) -> None:
    assert sum(map(len, split_envelope(b"\x01" * length))) == length


@pytest.mark.parametrize("version", [0, 2, 255])
def test_split_refuses_versions(version: int) -> None:
    """R-6.3.4."""
    with pytest.raises(DecryptionError, match=f"version {version} "):
        split_envelope(bytes([version]) + bytes(100))
