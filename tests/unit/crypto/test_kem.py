"""ML-KEM-768 (protocol.md §5.5); Wycheproof's tests are run by ``test_wycheproof``."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from types import SimpleNamespace
from typing import NoReturn

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from p2pchat.crypto import kem
from p2pchat.crypto.kem import EncapsulationKey
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.errors import CryptoError, DecryptionError, InvalidKeyError

PAIR = kem.key_pair(Secret(bytes(range(64))))
OTHER = kem.key_pair(Secret(bytes(range(64, 128))))

Q = 3329
"""FIPS 203 §2.4: the modulus."""


def with_coefficient(encoded: bytes, number: int, value: int) -> bytes:
    """Replace one of the 768 coefficients: two of 12 bits in each three bytes (FIPS 203 §4.2.1)."""
    start = number // 2 * 3
    block = int.from_bytes(encoded[start : start + 3], "little")
    shift = number % 2 * 12
    block = block & ~(0xFFF << shift) | value << shift
    return encoded[:start] + block.to_bytes(3, "little") + encoded[start + 3 :]


def test_both_sides_get_the_same_secret_and_each_time_another() -> None:
    key = EncapsulationKey(PAIR.public)
    results = [key.encapsulate() for _ in range(3)]
    for ciphertext, shared_secret in results:
        assert (len(ciphertext), len(shared_secret)) == (1088, 32)
        assert PAIR.decapsulate(ciphertext) == shared_secret
    assert len({secret for _, secret in results}) == len({text for text, _ in results}) == 3


def test_a_generated_key_is_64_bytes_of_the_rng_asked_for_once() -> None:
    asked: list[int] = []

    def rng(count: int) -> bytes:
        asked.append(count)
        return bytes(range(64))

    pair = kem.generate(rng=rng)
    assert asked == [64]
    assert pair == PAIR
    assert pair != OTHER
    assert pair.private.reveal() == bytes(range(64))
    assert len(pair.public) == 1184
    assert kem.generate(rng=system_rng).public != kem.generate(rng=system_rng).public


def test_another_ciphertext_of_the_right_length_gives_another_secret() -> None:
    """§5.5: implicit rejection, always the same one for a key and a ciphertext."""
    ciphertext, shared_secret = EncapsulationKey(PAIR.public).encapsulate()
    seen = {shared_secret}
    for position in (0, 543, 959, 960, 1087):
        wrong = bytearray(ciphertext)
        wrong[position] ^= 0x10
        secret = PAIR.decapsulate(bytes(wrong))
        assert len(secret) == 32
        assert secret == PAIR.decapsulate(bytes(wrong))
        seen.add(secret)
    seen.add(PAIR.decapsulate(bytes(1088)))
    seen.add(OTHER.decapsulate(ciphertext))
    assert len(seen) == 8


@pytest.mark.parametrize("length", [0, 32, 1087, 1089, 1184, 65535])
def test_a_ciphertext_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(DecryptionError, match=f"ciphertext has 1088 bytes, not {length}$"):
        PAIR.decapsulate(bytes(length))


@pytest.mark.parametrize("length", [0, 32, 63, 65, 2400])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidKeyError, match=f"seed has 64 bytes, not {length}$"):
        kem.key_pair(Secret(bytes(length)))
    with pytest.raises(InvalidKeyError, match=f"seed has 64 bytes, not {length}$"):
        kem.generate(rng=lambda _count: bytes(length))


@pytest.mark.parametrize("length", [0, 32, 1183, 1185, 1568])
def test_an_encapsulation_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidKeyError, match=f"encapsulation key has 1184 bytes, not {length}$"):
        EncapsulationKey(bytes(length))


def test_every_coefficient_must_be_below_the_modulus() -> None:
    """§5.5, FIPS 203 §7.2: 3328 is the last good value, at each of the 768 places."""
    for number in range(768):
        EncapsulationKey(with_coefficient(PAIR.public, number, Q - 1))
        with pytest.raises(InvalidKeyError, match="out of range"):
            EncapsulationKey(with_coefficient(PAIR.public, number, Q))
    for value in (Q + 1, 0xFFF):
        with pytest.raises(InvalidKeyError, match="out of range"):
            EncapsulationKey(with_coefficient(PAIR.public, 0, value))


def test_the_modulus_is_no_matter_for_the_last_32_bytes() -> None:
    """They are a seed (rho), and may be anything."""
    EncapsulationKey(PAIR.public[:1152] + b"\xff" * 32)


def test_nothing_secret_is_shown_pickled_or_mixed_up() -> None:
    """R-2.1.1"""
    assert repr(PAIR.private.reveal())[2:-1] not in repr(PAIR)
    assert "MLKEM768PrivateKey" not in repr(PAIR)
    assert repr(EncapsulationKey(PAIR.public)) == "<EncapsulationKey>"
    with pytest.raises(TypeError):
        pickle.dumps(PAIR)
    assert copy.copy(PAIR) == PAIR


@pytest.fixture
def library_without_ml_kem(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What version 47's wheel is like: the module is there, and every use is refused."""

    def refuse(_data: bytes) -> NoReturn:
        raise UnsupportedAlgorithm("not by this OpenSSL")

    monkeypatch.setattr(
        kem,
        "mlkem",
        SimpleNamespace(
            MLKEM768PrivateKey=SimpleNamespace(from_seed_bytes=refuse),
            MLKEM768PublicKey=SimpleNamespace(from_public_bytes=refuse),
        ),
    )
    kem.require_available.cache_clear()
    yield
    kem.require_available.cache_clear()


def test_a_library_with_ml_kem_is_found() -> None:
    kem.require_available()


@pytest.mark.usefixtures("library_without_ml_kem")
def test_a_library_without_ml_kem_is_named_in_the_error() -> None:
    complaint = "`cryptography` has no ML-KEM-768; version 48"
    for _ in range(2):  # the refusal is not remembered as a success
        with pytest.raises(CryptoError, match=complaint):
            kem.require_available()
    with pytest.raises(CryptoError, match=complaint):
        kem.generate(rng=system_rng)
    with pytest.raises(CryptoError, match=complaint):
        EncapsulationKey(PAIR.public)
