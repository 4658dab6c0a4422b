from __future__ import annotations

from typing import NoReturn

import nacl.exceptions
import nacl.pwhash.argon2id
import pytest

from p2pchat.crypto import pwhash
from p2pchat.crypto.pwhash import Parameters, derive_key, new_parameters
from p2pchat.crypto.secret import Secret
from p2pchat.errors import CryptoError

SALT = bytes(range(16))
CHEAP = Parameters(SALT, time_cost=1, memory_kib=8)


def test_defaults_are_three_passes_over_256_mib_with_a_fresh_salt() -> None:
    asked: list[int] = []

    def rng(count: int) -> bytes:
        asked.append(count)
        return SALT

    assert new_parameters(rng=rng) == Parameters(SALT, time_cost=3, memory_kib=256 * 1024)
    assert asked == [16]


def test_the_key_depends_on_all_parameters() -> None:
    keys = {
        derive_key(Secret(passphrase), parameters).reveal()
        for passphrase, parameters in (
            (b"correct horse", CHEAP),
            (b"correct horsf", CHEAP),
            (b"", CHEAP),
            (b"correct horse", Parameters(SALT[::-1], time_cost=1, memory_kib=8)),
            (b"correct horse", Parameters(SALT, time_cost=2, memory_kib=8)),
            (b"correct horse", Parameters(SALT, time_cost=1, memory_kib=9)),
        )
    }
    assert len(keys) == 6
    assert {len(key) for key in keys} == {32}
    assert derive_key(Secret(b"correct horse"), CHEAP).reveal() in keys


def test_the_key_is_argon2ids() -> None:
    """Against libsodium's own encoded form, which names the variant and version."""
    encoded = (
        nacl.pwhash.argon2id.str(b"passphrase", opslimit=1, memlimit=8192).decode().rstrip("\0")
    )
    _, variant, version, costs, salt, key = encoded.split("$")
    assert (variant, version, costs) == ("argon2id", "v=19", "m=8,t=1,p=1")
    parameters = Parameters(_unbase64(salt), time_cost=1, memory_kib=8)
    assert derive_key(Secret(b"passphrase"), parameters).reveal() == _unbase64(key)


@pytest.mark.parametrize("length", [0, 8, 15, 17, 32])
def test_a_salt_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(CryptoError, match="16 bytes"):
        Parameters(bytes(length))


@pytest.mark.parametrize("time_cost", [-1, 0, 17, 2**32])
def test_a_time_cost_out_of_range_is_refused(time_cost: int) -> None:
    with pytest.raises(CryptoError, match="time cost"):
        Parameters(SALT, time_cost=time_cost)


@pytest.mark.parametrize("memory_kib", [-1, 0, 7, 2 * 1024 * 1024 + 1, 2**64])
def test_a_memory_cost_out_of_range_is_refused_before_anything_is_allocated(
    memory_kib: int,
) -> None:
    with pytest.raises(CryptoError, match="memory"):
        Parameters(SALT, memory_kib=memory_kib)


def test_the_bounds_themselves_are_allowed() -> None:
    Parameters(SALT, time_cost=1, memory_kib=8)
    Parameters(SALT, time_cost=16, memory_kib=2 * 1024 * 1024)


@pytest.mark.parametrize("failure", [MemoryError(), nacl.exceptions.RuntimeError("no memory")])
def test_failure_to_allocate_is_our_error(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    """libsodium's failure is brought about, since a test cannot fill the machine's memory."""

    def fail(*_arguments: object, **_options: object) -> NoReturn:
        raise failure

    monkeypatch.setattr(nacl.pwhash.argon2id, "kdf", fail)
    with pytest.raises(CryptoError, match="not enough memory"):
        pwhash.derive_key(Secret(b"p"), CHEAP)


def _unbase64(text: str) -> bytes:
    import base64

    return base64.b64decode(text + "=" * (-len(text) % 4))
