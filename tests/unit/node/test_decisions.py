"""The node's pure decisions: back-off, simultaneous open, words for absence (§10.1, §10.2)."""

from __future__ import annotations

import itertools

import pytest

from p2pchat.constants import CONNECTION_LIFETIME_S, SIMULTANEOUS_OPEN_WINDOW_S
from p2pchat.identity.trust import Trust
from p2pchat.node.backoff import (
    RECENT_PATIENCE_S,
    RECENT_PAUSE_MAX_S,
    RECENT_S,
    STABLE_AFTER_S,
    Backoff,
)
from p2pchat.node.opening import Opening, newcomer_stays
from p2pchat.node.presence import NOT_TRIED, Absence, Reason, explain
from tests.support.net_random import seeded_rng

NOW = 1000.0
LOW, HIGH = bytes(32), b"\xff" * 32


def most(count: int) -> bytes:
    return b"\xff" * count


# --- back-off -------------------------------------------------------------------------------------


def test_delays_double_up_to_the_longest() -> None:
    backoff = Backoff(most, first_s=1.0, longest_s=30.0)
    delays = []
    for _ in range(40):
        delays.append(backoff.delay(NOW))
        backoff.failed()
    assert delays[0] == 0.0
    assert [round(delay) for delay in delays[1:8]] == [1, 2, 4, 8, 16, 30, 30]
    assert max(delays) <= 30.0


def test_half_of_a_delay_is_chance() -> None:
    backoff = Backoff(seeded_rng(1), first_s=1.0, longest_s=30.0)
    for _ in range(9):
        backoff.failed()
    delays = {backoff.delay(NOW) for _ in range(50)}
    assert len(delays) > 40
    assert all(15.0 <= delay <= 30.0 for delay in delays)


def test_a_good_connection_is_sought_again_at_once() -> None:
    backoff = Backoff(most, first_s=1.0, longest_s=30.0)
    for _ in range(9):
        backoff.failed()
    backoff.lost(STABLE_AFTER_S, NOW)
    assert backoff.delay(NOW) == 0.0
    assert not backoff.is_waiting


def test_whoever_was_just_online_is_sought_without_long_pauses() -> None:
    backoff = Backoff(most, first_s=1.0, longest_s=30.0)
    backoff.lost(STABLE_AFTER_S, NOW)
    for _ in range(9):
        backoff.failed()
    assert backoff.delay(NOW + RECENT_S - 1) == pytest.approx(RECENT_PAUSE_MAX_S)
    assert backoff.patience(NOW + RECENT_S - 1, 10.0) == RECENT_PATIENCE_S
    assert backoff.patience(NOW, 0.5) == 0.5
    assert backoff.delay(NOW + RECENT_S) == pytest.approx(30.0)
    assert backoff.patience(NOW + RECENT_S, 10.0) == 10.0


def test_whoever_refuses_is_in_no_hurry() -> None:
    backoff = Backoff(most, first_s=1.0, longest_s=30.0)
    backoff.lost(STABLE_AFTER_S, NOW)
    for _ in range(9):
        backoff.refused()
    assert backoff.delay(NOW) == pytest.approx(30.0)
    assert backoff.patience(NOW, 10.0) == 10.0


def test_a_connection_that_breaks_at_once_is_not_sought_in_a_loop() -> None:
    backoff = Backoff(most, first_s=1.0, longest_s=30.0)
    for _ in range(5):
        backoff.lost(0.1, NOW)
        assert 0.5 <= backoff.delay(NOW) <= 2.0


def test_the_person_can_cut_a_delay_short() -> None:
    backoff = Backoff(most, first_s=1.0, longest_s=30.0)
    backoff.failed()
    assert backoff.is_waiting
    backoff.reset()
    assert backoff.delay(NOW) == 0.0


# --- simultaneous open ----------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0.0, 1.0, -1.0, SIMULTANEOUS_OPEN_WINDOW_S])
def test_of_crossed_connections_the_higher_identitys_stays(gap: float) -> None:
    """R-10.2.1, seen from both sides and in both orders."""
    ours, theirs = Opening(outbound=True, since=100.0), Opening(outbound=False, since=100.0 + gap)
    assert not newcomer_stays(HIGH, LOW, current=ours, new=theirs)
    assert newcomer_stays(HIGH, LOW, current=theirs, new=ours)
    assert newcomer_stays(LOW, HIGH, current=ours, new=theirs)
    assert not newcomer_stays(LOW, HIGH, current=theirs, new=ours)


def test_both_sides_come_to_the_same_answer_in_any_order() -> None:
    """R-10.2.1: whichever connection each side sees first, one and the same survives."""
    for high_first, low_first in itertools.product(("by high", "by low"), repeat=2):
        kept = set()
        for identity, other, first in ((HIGH, LOW, high_first), (LOW, HIGH, low_first)):
            mine = "by high" if identity == HIGH else "by low"
            second = "by low" if first == "by high" else "by high"
            stays = newcomer_stays(
                identity, other, Opening(first == mine, 1.0), Opening(second == mine, 1.5)
            )
            kept.add(second if stays else first)
        assert kept == {"by high"}


@pytest.mark.parametrize("outbound", [True, False])
def test_outside_of_the_window_the_newcomer_stays(outbound: bool) -> None:
    """R-10.2.2."""
    current = Opening(outbound, since=100.0)
    new = Opening(not outbound, since=100.0 + SIMULTANEOUS_OPEN_WINDOW_S + 0.001)
    assert newcomer_stays(LOW, HIGH, current, new)
    assert newcomer_stays(HIGH, LOW, current, new)


@pytest.mark.parametrize("outbound", [True, False])
def test_a_second_connection_of_the_same_direction_replaces_the_first(outbound: bool) -> None:
    """R-10.2.2: who dials again has lost the old one."""
    current, new = Opening(outbound, since=100.0), Opening(outbound, since=100.1)
    assert newcomer_stays(LOW, HIGH, current, new)
    assert newcomer_stays(HIGH, LOW, current, new)


# --- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (NOT_TRIED, "not tried yet"),
        (
            Reason(Absence.UNREACHABLE, "10.0.0.5:4000 (connection refused)"),
            "nobody answers at 10.0.0.5:4000 (connection refused); trying again",
        ),
        (
            Reason(Absence.WRONG_IDENTITY, "10.0.0.5:4000"),
            "another identity answered at 10.0.0.5:4000; trying again",
        ),
        (Reason(Absence.WAITING), "waiting for them to accept you"),
    ],
)
def test_each_absence_has_its_sentence(reason: Reason, sentence: str) -> None:
    words = explain(reason, trust=Trust.VERIFIED, has_addresses=True, dials=True)
    assert words == sentence


@pytest.mark.parametrize("absence", list(Absence))
@pytest.mark.parametrize("has_addresses", [True, False])
@pytest.mark.parametrize("dials", [True, False])
def test_no_absence_is_without_a_word(absence: Absence, has_addresses: bool, dials: bool) -> None:
    words = explain(
        Reason(absence, "there"),
        trust=Trust.UNVERIFIED,
        has_addresses=has_addresses,
        dials=dials,
    )
    assert words
    if absence is Absence.NOT_TRIED and dials and not has_addresses:
        assert words == "no address known; waiting for them to connect"


def test_the_persons_own_decision_comes_before_all_else() -> None:
    for trust, words in ((Trust.BLOCKED, "blocked"), (Trust.REQUEST, "asks to be accepted")):
        reason = Reason(Absence.LOST, "whatever")
        assert explain(reason, trust=trust, has_addresses=True, dials=True) == words


# --- a new handshake once a day -----------------------------------------------------------------


@pytest.mark.parametrize("outbound", [False, True])
def test_the_side_that_dialled_makes_a_new_connection_after_a_day(outbound: bool) -> None:
    """R-7.6.3."""
    opening = Opening(outbound, 100.0)
    assert not opening.is_spent(100.0 + CONNECTION_LIFETIME_S - 2.0**-20)
    assert opening.is_spent(100.0 + CONNECTION_LIFETIME_S) is outbound
