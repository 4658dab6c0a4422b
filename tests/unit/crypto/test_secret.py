from __future__ import annotations

import copy
import pickle

import pytest

from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.crypto.x25519 import KeyPair

VALUE = b"canary-in-the-coal-mine-32-bytes"


def test_neither_repr_nor_str_nor_format_shows_the_value() -> None:
    """R-2.1.1"""
    secret = Secret(VALUE)
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", f"{[secret]}"):
        assert shown.strip("[]") == "<Secret of 32 bytes>"


def test_what_holds_a_secret_does_not_show_it_either() -> None:
    """R-2.1.1"""
    assert "canary" not in repr(KeyPair(Secret(VALUE), bytes(32)))


def test_bytes_are_given_only_by_reveal() -> None:
    secret = Secret(VALUE)
    assert secret.reveal() == VALUE
    with pytest.raises(TypeError):
        bytes(secret)  # type: ignore[call-overload]  # that it does not type-check is the point
    with pytest.raises(TypeError):
        b"" + secret  # type: ignore[operator]  # likewise


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(Secret(VALUE), protocol)


def test_copies_are_the_same_object_so_that_wiping_reaches_them() -> None:
    secret = Secret(VALUE)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


def test_comparison_is_by_value_and_only_with_secrets() -> None:
    assert Secret(VALUE) == Secret(bytes(VALUE))
    assert Secret(VALUE) != Secret(VALUE[:-1] + b"S")
    assert Secret(VALUE) != Secret(VALUE[:-1])
    assert Secret(VALUE) != VALUE


def test_it_is_no_dictionary_key() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret(VALUE))


def test_wiping_drops_the_value() -> None:
    secret = Secret(VALUE)
    assert len(secret) == 32
    secret.wipe()
    assert secret.reveal() == b""
    assert len(secret) == 0


def test_system_rng_gives_as_many_bytes_as_asked_and_not_twice_the_same() -> None:
    assert len(system_rng(7)) == 7
    assert system_rng(32) != system_rng(32)
