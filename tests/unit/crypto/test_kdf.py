from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pchat.crypto.kdf import (
    BLAKE2B,
    BLAKE2S,
    HKDF_MAX_BYTES,
    SHA256,
    SHA512,
    HashFunction,
    hkdf_sha256,
    hmac_sha256,
    hmac_sha256_pair,
)

HASHES = [SHA256, SHA512, BLAKE2S, BLAKE2B]


def test_hmac_sha256_gives_the_value_of_rfc_4231_case_2() -> None:
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == expected


def test_hkdf_gives_the_value_of_rfc_5869_case_1() -> None:
    okm = hkdf_sha256(
        salt=bytes(range(13)), input_key=b"\x0b" * 22, info=bytes(range(0xF0, 0xFA)), length=42
    )
    assert okm.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


@pytest.mark.parametrize("length", [1, 31, 32, 33, 96, HKDF_MAX_BYTES])
def test_hkdf_gives_as_many_bytes_as_asked(length: int) -> None:
    longest = hkdf_sha256(salt=b"", input_key=b"k", info=b"", length=HKDF_MAX_BYTES)
    okm = hkdf_sha256(salt=b"", input_key=b"k", info=b"", length=length)
    assert okm == longest[:length]


@pytest.mark.parametrize("length", [-1, 0, HKDF_MAX_BYTES + 1])
def test_hkdf_refuses_lengths_out_of_range(length: int) -> None:
    with pytest.raises(ValueError, match=r"1\.\.8160"):
        hkdf_sha256(salt=b"", input_key=b"k", info=b"", length=length)


@given(key=st.binary(max_size=64), first=st.binary(max_size=200), second=st.binary(max_size=200))
def test_a_pair_is_two_hmacs(key: bytes, first: bytes, second: bytes) -> None:
    expected = (hmac.digest(key, first, "sha256"), hmac.digest(key, second, "sha256"))
    assert hmac_sha256_pair(key, first, second) == expected


def test_a_pair_refuses_a_key_longer_than_a_block() -> None:
    with pytest.raises(OverflowError):
        hmac_sha256_pair(b"\x01" * 65, b"", b"")


@given(
    salt=st.binary(max_size=100),
    ikm=st.binary(max_size=100),
    info=st.binary(max_size=100),
    length=st.integers(1, 200),
)
def test_hkdf_is_rfc_5869_spelt_out(salt: bytes, ikm: bytes, info: bytes, length: int) -> None:
    """Salts longer than a block too, as RFC 2104 has them hashed first."""
    temporary = hmac.digest(salt, ikm, "sha256")
    okm = block = b""
    for counter in range(1, 8):
        block = hmac.digest(temporary, block + info + bytes([counter]), "sha256")
        okm += block
    assert hkdf_sha256(salt=salt, input_key=ikm, info=info, length=length) == okm[:length]


@given(function=st.sampled_from(HASHES), salt=st.binary(max_size=200), ikm=st.binary(max_size=200))
def test_noises_hkdf_is_hmac_spelt_out(function: HashFunction, salt: bytes, ikm: bytes) -> None:
    """Noise §4.3 with the standard library's ``hmac``, for each hash of Noise §12."""
    name = function.new(b"").name
    temporary = hmac.digest(salt, ikm, name)
    first = hmac.digest(temporary, b"\x01", name)
    second = hmac.digest(temporary, first + b"\x02", name)
    third = hmac.digest(temporary, second + b"\x03", name)
    assert function.hkdf(salt, ikm, 3) == first + second + third
    assert function.hkdf(salt, ikm, 2) == first + second


@given(salt=st.binary(max_size=64), ikm=st.binary(max_size=100))
def test_noises_hkdf_is_hkdf_with_empty_info(salt: bytes, ikm: bytes) -> None:
    blocks = SHA256.hkdf(salt, ikm, 3)
    assert blocks == hkdf_sha256(salt=salt, input_key=ikm, info=b"", length=96)


def test_lengths_are_those_of_noise_section_12() -> None:
    assert [function.length for function in HASHES] == [32, 64, 32, 64]
    assert [function.algorithm.digest_size for function in HASHES] == [32, 64, 32, 64]
    assert SHA256.digest(b"abc") == hashlib.sha256(b"abc").digest()
