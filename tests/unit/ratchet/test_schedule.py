"""The key schedule against the standard library's HMAC and a hand-written HKDF (§6.2)."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from p2pchat.crypto import aead
from p2pchat.crypto.secret import Secret
from p2pchat.errors import DecryptionError
from p2pchat.ratchet.schedule import HeaderKey, KemExchange, chain_step, root_step


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
    next_root, chain_key, header_key = root_step(Secret(root_key), dh_output, None)
    assert next_root.reveal() == first
    assert chain_key.reveal() == second
    assert header_key.secret.reveal() == third


def test_hybrid_root_step_is_hkdf() -> None:
    """R-6.2.6: both secrets, bound to the key and the ciphertext."""
    key, ciphertext = b"e" * 1184, b"c" * 1088
    info = b"p2pchat/1 ratchet root hybrid" + hashlib.sha256(key + ciphertext).digest()
    prk = mac(b"r" * 32, b"d" * 32 + b"s" * 32)
    first = mac(prk, info + b"\x01")
    second = mac(prk, first + info + b"\x02")
    third = mac(prk, second + info + b"\x03")
    exchange = KemExchange(b"s" * 32, key, ciphertext)
    next_root, chain_key, header_key = root_step(Secret(b"r" * 32), b"d" * 32, exchange)
    assert (next_root.reveal(), chain_key.reveal()) == (first, second)
    assert header_key.secret.reveal() == third


def test_every_input_of_a_hybrid_root_step_matters() -> None:
    """R-6.2.6: whoever lacks one of the two secrets has nothing."""
    root, dh, exchange = b"r" * 32, b"d" * 32, KemExchange(b"s" * 32, b"e" * 1184, b"c" * 1088)
    results = {
        root_step(Secret(salt), dh_output, mixed)[0].reveal()
        for salt, dh_output, mixed in (
            (root, dh, exchange),
            (b"x" * 32, dh, exchange),
            (root, b"x" * 32, exchange),
            (root, dh, exchange._replace(shared_secret=b"x" * 32)),
            (root, dh, exchange._replace(encapsulation_key=b"x" * 1184)),
            (root, dh, exchange._replace(ciphertext=b"x" * 1088)),
            (root, dh, None),
        )
    }
    assert len(results) == 7


def test_an_exchange_does_not_print_its_secret() -> None:
    """R-2.1.1."""
    assert repr(KemExchange(b"s" * 32, b"e" * 1184, b"c" * 1088)) == "<KemExchange>"


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
