"""The node's pure decisions: back-off, simultaneous open, words for absence (§10.1, §10.2)."""

from __future__ import annotations

import itertools

import pytest

from p2pchat.constants import CONNECTION_LIFETIME_S, SIMULTANEOUS_OPEN_WINDOW_S
from p2pchat.crypto.secret import Rng
from p2pchat.identity.trust import Trust
from p2pchat.node.backoff import (
    AWAITED_ADDRESSES,
    AWAITED_PATIENCE_S,
    AWAITED_PERIOD_S,
    AWAITED_S,
    FULL_PATIENCE_EVERY,
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


def in_vain(rounds: int, rng: Rng = most, **settings: float) -> Backoff:
    """Return that of a contact dialled so often, each round refused at once."""
    backoff = Backoff(rng, now=NOW, **{"first_s": 1.0, "longest_s": 30.0, **settings})
    for _ in range(rounds):
        backoff.failed(NOW)
    return backoff


def test_delays_double_up_to_the_longest() -> None:
    """§10.1: of a contact that nobody awaits."""
    delays = [round(in_vain(rounds).delay(NOW + AWAITED_S)) for rounds in range(40)]
    assert delays[:8] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert max(delays) == 30


def test_half_of_a_delay_is_chance() -> None:
    backoff = in_vain(9, seeded_rng(1))
    delays = {backoff.delay(NOW + AWAITED_S) for _ in range(50)}
    assert len(delays) > 40
    assert all(15.0 <= delay <= 30.0 for delay in delays)


def test_a_good_connection_is_sought_again_at_once() -> None:
    backoff = in_vain(9)
    backoff.lost(STABLE_AFTER_S, NOW)
    assert backoff.delay(NOW) == 0.0
    assert not backoff.is_waiting


def test_whoever_is_awaited_is_sought_without_long_pauses() -> None:
    """§10.1: for a day after the start, and after a connection; counted from a round's begin."""
    backoff = in_vain(9)
    assert backoff.delay(NOW + AWAITED_S) == pytest.approx(30.0)
    backoff.lost(STABLE_AFTER_S, NOW + AWAITED_S)
    last = NOW + 2 * AWAITED_S - 10
    for _ in range(9):
        backoff.failed(last - 1)
    assert backoff.delay(last) == pytest.approx(AWAITED_PERIOD_S - 1)
    assert backoff.delay(last + 0.9 * AWAITED_PERIOD_S) == 0.0
    assert backoff.delay(last + 10) == pytest.approx(30.0)


def test_the_first_pauses_are_shorter() -> None:
    assert [in_vain(rounds).delay(NOW) for rounds in range(5)] == pytest.approx([0, 1, 2, 4, 4])


def test_settings_may_ask_for_longer_pauses() -> None:
    assert in_vain(9, first_s=20.0).delay(NOW) == pytest.approx(20.0)


def test_many_awaited_addresses_share_what_a_few_may_cost() -> None:
    backoff = in_vain(9)
    assert backoff.delay(NOW, AWAITED_ADDRESSES) == pytest.approx(AWAITED_PERIOD_S)
    assert backoff.delay(NOW, 3 * AWAITED_ADDRESSES) == pytest.approx(3 * AWAITED_PERIOD_S)
    assert backoff.delay(NOW, 1000) == pytest.approx(30.0)


def test_some_rounds_have_the_patience_of_the_settings() -> None:
    """A path on which connecting takes longer than 3 s is not shut out."""
    patience = [in_vain(rounds).patience(NOW, 10.0) for rounds in range(2 * FULL_PATIENCE_EVERY)]
    assert patience == ([10.0] + [AWAITED_PATIENCE_S] * (FULL_PATIENCE_EVERY - 1)) * 2
    assert in_vain(1).patience(NOW, 0.5) == 0.5
    assert in_vain(1).patience(NOW + AWAITED_S, 10.0) == 10.0


def test_whoever_refuses_is_in_no_hurry() -> None:
    backoff = in_vain(8)
    backoff.refused()
    assert backoff.delay(NOW) == pytest.approx(30.0)
    assert backoff.patience(NOW, 10.0) == 10.0


def test_where_somebody_else_answers_there_is_no_hurry_until_nobody_does() -> None:
    backoff = in_vain(8)
    backoff.failed(NOW, answered=True)
    assert backoff.delay(NOW) == pytest.approx(30.0)
    backoff.failed(NOW)
    assert backoff.delay(NOW) == pytest.approx(AWAITED_PERIOD_S)
    backoff.failed(NOW, answered=True)
    backoff.lost(0.1, NOW)
    assert backoff.delay(NOW) == pytest.approx(2.0)
    assert backoff.is_awaited(NOW)


def test_a_connection_that_breaks_at_once_is_not_sought_in_a_loop() -> None:
    backoff = in_vain(0)
    for _ in range(5):
        backoff.lost(0.1, NOW + 100.0)
        assert 0.5 <= backoff.delay(NOW + 100.0) <= 2.0


def test_the_person_can_cut_a_delay_short() -> None:
    backoff = in_vain(1)
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
