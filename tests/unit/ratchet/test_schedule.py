"""The key schedule against the standard library's HMAC and a hand-written HKDF (§6.2)."""

from __future__ import annotations

import hmac

import pytest

from p2pchat.crypto import aead
from p2pchat.crypto.secret import Secret
from p2pchat.errors import DecryptionError
from p2pchat.ratchet.schedule import HeaderKey, chain_step, root_step


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


@pytest.mark.parametrize("key", [bytes(32), b"\xff" * 32, bytes(range(32)), bytes(31) + b"\x01"])
def test_chain_step_is_two_hmacs(key: bytes) -> None:
    """R-6.2.5; leading zero bytes of the key included."""
    assert chain_step(key) == (mac(key, b"\x01"), mac(key, b"\x02"))


def test_root_step_is_hkdf() -> None:
    """R-6.2.4: RFC 5869 written out."""
    root_key, dh_output = b"r" * 32, b"d" * 32
    info = b"p2pchat/1 ratchet root"
    prk = mac(root_key, dh_output)
    first = mac(prk, info + b"\x01")
    second = mac(prk, first + info + b"\x02")
    third = mac(prk, second + info + b"\x03")
    next_root, chain_key, header_key = root_step(Secret(root_key), dh_output)
    assert next_root.reveal() == first
    assert chain_key.reveal() == second
    assert header_key.secret.reveal() == third


def test_header_key_opens_what_its_secret_sealed() -> None:
    key = HeaderKey(Secret(b"h" * 32))
    sealed = aead.seal(b"h" * 32, bytes(12), b"text", b"")
    assert key.cipher.open(bytes(12), sealed, b"") == b"text"
    with pytest.raises(DecryptionError):
        HeaderKey(Secret(b"i" * 32)).cipher.open(bytes(12), sealed, b"")


def test_header_keys_compare_by_secret_and_hide_it() -> None:
    assert HeaderKey(Secret(b"h" * 32)) == HeaderKey(Secret(b"h" * 32))
    assert HeaderKey(Secret(b"h" * 32)) != HeaderKey(Secret(b"i" * 32))
    assert "hhh" not in repr(HeaderKey(Secret(b"h" * 32)))
