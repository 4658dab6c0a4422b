"""Counting what strangers may ask of us (protocol.md §11)."""

from __future__ import annotations

import pytest

from p2pchat.constants import (
    HALF_OPEN_MAX,
    HALF_OPEN_MAX_PER_ADDRESS,
    HANDSHAKE_BURST,
    HANDSHAKES_PER_SECOND,
    SESSION_RESETS_PER_HOUR,
)
from p2pchat.node.limits import (
    BUCKETS_MAX,
    AcceptGate,
    HourlyBudget,
    TokenBucket,
    is_loopback,
    source_of,
)


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=10, burst=3, now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(0.05)
    assert bucket.take(0.11)
    assert not bucket.take(0.12)


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    bucket = TokenBucket(rate=10, burst=3, now=0.0)
    assert [bucket.take(1e6) for _ in range(4)] == [True, True, True, False]


def test_one_address_is_limited_in_rate_and_others_are_not() -> None:
    gate = AcceptGate()
    tickets = [gate.enter("192.0.2.1:1000", 0.0) for _ in range(HANDSHAKE_BURST + 1)]
    assert tickets[-1] is None
    assert None not in tickets[:-1]
    assert gate.enter("192.0.2.2:1000", 0.0) is not None
    assert gate.enter("192.0.2.1:2000", 1 / HANDSHAKES_PER_SECOND + 1e-6) is not None


def test_one_address_is_limited_in_half_open_connections() -> None:
    gate = AcceptGate()
    tickets = [gate.enter("192.0.2.1:1", float(second)) for second in range(100)]
    admitted = [ticket for ticket in tickets if ticket is not None]
    assert len(admitted) == HALF_OPEN_MAX_PER_ADDRESS == gate.half_open
    gate.leave(admitted[0])
    assert gate.enter("192.0.2.1:1", 200.0) is not None


def test_all_addresses_together_are_limited() -> None:
    gate = AcceptGate()
    tickets = [gate.enter(f"192.0.2.{number % 250}:1", float(number)) for number in range(300)]
    assert sum(ticket is not None for ticket in tickets) == HALF_OPEN_MAX
    first = tickets[0]
    assert first is not None
    assert gate.enter("198.51.100.1:1", 0.0) is None
    gate.leave(first)
    assert gate.enter("198.51.100.1:1", 0.0) is not None


def test_a_turned_away_connection_leaves_nothing_behind() -> None:
    gate = AcceptGate()
    for _ in range(HANDSHAKE_BURST):
        ticket = gate.enter("192.0.2.1:1", 0.0)
        assert ticket is not None
        gate.leave(ticket)
    assert gate.enter("192.0.2.1:1", 0.0) is None
    assert gate.half_open == 0
    assert not gate._half_open


def test_the_memory_for_addresses_is_bounded_and_forgets_the_longest_unused() -> None:
    gate = AcceptGate()
    for _ in range(HANDSHAKE_BURST):
        assert gate.enter("old:1", 0.0) is not None
        assert gate.enter("busy:1", 0.0) is not None
    for number in range(BUCKETS_MAX + 100):
        ticket = gate.enter(f"host{number}:1", 0.0)
        if ticket is not None:
            gate.leave(ticket)
        if number % 1000 == 0:
            assert gate.enter("busy:1", 0.0) is None
    assert len(gate._buckets) == BUCKETS_MAX
    assert gate.enter("old:1", 0.0) is not None, "forgotten, so it begins anew"
    assert gate.enter("busy:1", 0.0) is None, "in use, so it is remembered"


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1:4000", "192.0.2.1"),
        ("alice:4000", "alice"),
        ("[2001:db8:1:2:3::4]:80", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:9::9]:81", "2001:db8:1:2::/64"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
    ],
)
def test_what_counts_as_one_address(address: str, source: str) -> None:
    assert source_of(address) == source


def test_sessions_made_anew_are_counted_within_the_last_hour() -> None:
    """R-8.4.5."""
    budget = HourlyBudget(SESSION_RESETS_PER_HOUR)
    assert all(budget.take(float(number)) for number in range(SESSION_RESETS_PER_HOUR))
    assert not budget.take(3599.0)
    assert budget.take(3600.5)
    assert not budget.take(3600.9)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:5", "127.8.0.1:5", "[::1]:5", "[::ffff:127.0.0.1]:5"]
)
def test_this_computer_itself(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["192.0.2.1:5", "[2001:db8::1]:5", "alice:1", "128.0.0.1:5"])
def test_other_computers(address: str) -> None:
    assert not is_loopback(address)
