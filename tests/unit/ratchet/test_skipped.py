"""The store of skipped keys by itself (protocol.md §6.5)."""

from __future__ import annotations

import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.errors import DecryptionError
from p2pchat.ratchet import skipped as skipped_keys
from p2pchat.ratchet.schedule import HeaderKey
from p2pchat.ratchet.skipped import SkippedKeys

HEADER_KEY = HeaderKey(Secret(bytes(32)))


def key_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


def add(
    skipped: SkippedKeys, first: int, count: int, *, ordinal: int = 1, received: int = 1
) -> SkippedKeys:
    return skipped_keys.add(
        skipped,
        [key_of(number) for number in range(first, first + count)],
        ordinal=ordinal,
        header_key=HEADER_KEY,
        first_number=first,
        received=received,
    )


def numbers(skipped: SkippedKeys) -> list[tuple[int, int]]:
    """Return (chain, message number) of all keys, in the order of storage."""
    return [
        (chain.ordinal, number)
        for chain in skipped
        for number, _, _ in skipped_keys.RECORD.iter_unpack(chain.records.reveal())
    ]


def test_nothing_to_add_changes_nothing() -> None:
    store = add((), 3, 2)
    assert add(store, 9, 0) is store


def test_keys_of_one_chain_share_an_entry() -> None:
    store = add(add((), 0, 2), 5, 1)
    assert len(store) == 1
    assert numbers(store) == [(1, 0), (1, 1), (1, 5)]
    assert skipped_keys.count(store) == len(store[0]) == 3


def test_keys_of_two_chains_do_not() -> None:
    store = add(add((), 0, 1), 0, 1, ordinal=2)
    assert numbers(store) == [(1, 0), (2, 0)]


@pytest.mark.parametrize("number", range(8))
def test_take_finds_each_key_and_leaves_the_others(number: int) -> None:
    store = add((), 0, 8)
    key, rest = skipped_keys.take(store, ordinal=1, number=number)
    assert key == key_of(number)
    assert numbers(rest) == [(1, other) for other in range(8) if other != number]
    assert skipped_keys.count(store) == 8


def test_take_respects_the_chain() -> None:
    store = add(add(add((), 0, 1), 7, 1, ordinal=2), 7, 2, ordinal=4)
    key, rest = skipped_keys.take(store, ordinal=2, number=7)
    assert key == key_of(7)
    assert numbers(rest) == [(1, 0), (4, 7), (4, 8)]


@pytest.mark.parametrize(("ordinal", "number"), [(1, 2), (1, 4), (1, 0), (1, 9), (2, 3), (0, 3)])
def test_take_refuses_what_is_not_there(ordinal: int, number: int) -> None:
    """R-6.4.6."""
    store = add(add((), 1, 1), 3, 1)
    with pytest.raises(DecryptionError):
        skipped_keys.take(store, ordinal=ordinal, number=number)


def test_taking_the_last_key_drops_the_chain() -> None:
    _, rest = skipped_keys.take(add(add((), 0, 1), 0, 1, ordinal=2), ordinal=1, number=0)
    assert [chain.ordinal for chain in rest] == [2]


def test_cap_counts_all_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-6.5.2, R-6.5.3."""
    monkeypatch.setattr(skipped_keys, "MAX_STORED_SKIPPED_KEYS", 5)
    store = add(add((), 0, 2), 0, 2, ordinal=2)
    assert numbers(add(store, 2, 1, ordinal=2)) == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    assert numbers(add(store, 2, 2, ordinal=2)) == [(1, 1), (2, 0), (2, 1), (2, 2), (2, 3)]
    assert numbers(add(store, 2, 3, ordinal=2)) == [(2, 0), (2, 1), (2, 2), (2, 3), (2, 4)]
    assert numbers(add(store, 0, 4, ordinal=3)) == [(2, 1), (3, 0), (3, 1), (3, 2), (3, 3)]


def test_expire_leaves_what_is_young() -> None:
    store = add((), 0, 3, ordinal=2, received=10)
    assert skipped_keys.expire(store, chains=6, received=1009) is store
    assert skipped_keys.expire((), chains=9, received=9000) == ()


def test_expire_by_chains() -> None:
    """R-6.5.4: C - c of 5 or more."""
    store = add(add((), 0, 1, ordinal=2), 0, 1, ordinal=3)
    assert numbers(skipped_keys.expire(store, chains=7, received=1)) == [(3, 0)]
    assert skipped_keys.expire(store, chains=8, received=1) == ()


def test_expire_by_messages() -> None:
    """R-6.5.4: R - r of 1000 or more, in part of a chain and across chains."""
    store = add((), 0, 2, received=10)
    store = add(store, 2, 2, received=11)
    store = add(store, 0, 1, ordinal=2, received=11)
    store = add(store, 1, 1, ordinal=2, received=12)
    assert numbers(skipped_keys.expire(store, chains=2, received=1010)) == [
        (1, 2),
        (1, 3),
        (2, 0),
        (2, 1),
    ]
    assert numbers(skipped_keys.expire(store, chains=2, received=1011)) == [(2, 1)]
    assert skipped_keys.expire(store, chains=2, received=1012) == ()


def test_repr_shows_no_key() -> None:
    store = add((), 7, 1)
    assert key_of(7).hex() not in repr(store)
    assert "\\x07" not in repr(store)
