"""Every decision in every state of trust (protocol.md §3.6)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pchat.errors import TrustError
from p2pchat.identity.trust import (
    Pin,
    Trust,
    may_converse,
    on_accept,
    on_announced,
    on_block,
    on_keep,
    on_revoked,
    on_verified,
    on_wrong_identity,
    require_sendable,
)

PINNED, OFFERED, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))

REQUEST = Pin(PINNED, Trust.REQUEST)
UNVERIFIED = Pin(PINNED, Trust.UNVERIFIED)
VERIFIED = Pin(PINNED, Trust.VERIFIED)
CHANGED = Pin(PINNED, Trust.CHANGED, OFFERED)
CHANGED_ALONE = Pin(PINNED, Trust.CHANGED)
BLOCKED = Pin(PINNED, Trust.BLOCKED)
ALL = (REQUEST, UNVERIFIED, VERIFIED, CHANGED, CHANGED_ALONE, BLOCKED)

Decision = Callable[[Pin], Pin]


def wrong(pin: Pin) -> Pin:
    return on_wrong_identity(pin, OTHER)


def right(pin: Pin) -> Pin:
    return on_wrong_identity(pin, PINNED)


NEWLY_CHANGED = Pin(PINNED, Trust.CHANGED, OTHER)
TABLE: dict[Decision, tuple[Pin | None, ...]] = {
    # In the order of ALL; None: refused with a TrustError.
    wrong: (REQUEST, NEWLY_CHANGED, NEWLY_CHANGED, NEWLY_CHANGED, NEWLY_CHANGED, BLOCKED),
    right: ALL,
    on_accept: (
        UNVERIFIED,
        UNVERIFIED,
        VERIFIED,
        Pin(OFFERED, Trust.UNVERIFIED),
        None,
        UNVERIFIED,
    ),
    on_keep: (REQUEST, UNVERIFIED, VERIFIED, UNVERIFIED, UNVERIFIED, BLOCKED),
    on_verified: (None, VERIFIED, VERIFIED, None, None, None),
    on_block: (BLOCKED,) * 6,
}


def test_the_tables_cover_every_state() -> None:
    assert {pin.trust for pin in ALL} == set(Trust)
    assert all(len(row) == len(ALL) for row in TABLE.values())


@pytest.mark.parametrize(
    "place", range(len(ALL)), ids=[f"{pin.trust}{pin.offered is None}" for pin in ALL]
)
@pytest.mark.parametrize("decision", TABLE, ids=lambda decision: decision.__name__)
def test_each_decision(decision: Decision, place: int) -> None:
    """R-3.6.1 to R-3.6.5."""
    expected = TABLE[decision][place]
    if expected is None:
        with pytest.raises(TrustError):
            decision(ALL[place])
    else:
        assert decision(ALL[place]) == expected


@pytest.mark.parametrize("pin", ALL, ids=lambda pin: pin.trust.value)
def test_only_a_pinned_and_unchanged_contact_can_be_written_to(pin: Pin) -> None:
    """R-3.6.6."""
    if pin.trust in (Trust.UNVERIFIED, Trust.VERIFIED):
        require_sendable(pin)
    else:
        with pytest.raises(TrustError):
            require_sendable(pin)


@pytest.mark.parametrize("pin", ALL, ids=lambda pin: pin.trust.value)
def test_a_rule_for_verified_contacts_only_refuses_all_others(pin: Pin) -> None:
    if pin.trust is Trust.VERIFIED:
        require_sendable(pin, verified_only=True)
    else:
        with pytest.raises(TrustError):
            require_sendable(pin, verified_only=True)


@pytest.mark.parametrize("pin", ALL, ids=lambda pin: pin.trust.value)
def test_who_may_hold_a_session(pin: Pin) -> None:
    """R-3.6.6: a changed contact's pinned key is still that contact's."""
    assert may_converse(pin) is (pin.trust not in (Trust.REQUEST, Trust.BLOCKED))


@pytest.mark.parametrize("refusal", [on_verified, require_sendable])
def test_a_refusal_says_what_to_do(refusal: Callable[[Pin], object]) -> None:
    for pin, words in ((REQUEST, "accept"), (CHANGED, "changed"), (BLOCKED, "blocked")):
        with pytest.raises(TrustError, match=words):
            refusal(pin)
    with pytest.raises(TrustError, match=r"verified_only.*compare"):
        require_sendable(UNVERIFIED, verified_only=True)


def test_a_comparison_never_survives_a_new_key() -> None:
    """R-3.6.4, whatever way leads there."""
    pin = on_accept(on_wrong_identity(on_verified(UNVERIFIED), OFFERED))
    assert pin == Pin(OFFERED, Trust.UNVERIFIED)
    assert on_accept(on_block(VERIFIED)).trust is Trust.UNVERIFIED


def test_a_comparison_survives_a_key_that_was_dismissed() -> None:
    """R-3.6.7: the pinned key is the one that was compared."""
    changed = on_wrong_identity(VERIFIED, OFFERED)
    assert on_keep(changed, was_verified=True) == VERIFIED
    assert on_keep(changed, was_verified=False) == UNVERIFIED


@pytest.mark.parametrize("pin", ALL, ids=lambda pin: pin.trust.value)
def test_an_announced_key_is_offered_and_stays_on_offer(pin: Pin) -> None:
    """R-3.7.10: above a key that merely appeared; below the person, and below a revocation."""
    announced = on_announced(pin, OTHER)
    if pin.trust in (Trust.REQUEST, Trust.BLOCKED):
        assert announced == pin
        return
    assert announced == Pin(PINNED, Trust.CHANGED, OTHER, announced=True)
    for presented in (OFFERED, OTHER, PINNED):
        assert on_wrong_identity(announced, presented) == announced
        assert on_announced(announced, presented) == announced
    with pytest.raises(TrustError, match="changed"):
        require_sendable(announced)
    assert on_accept(announced) == Pin(OTHER, Trust.UNVERIFIED)
    assert on_keep(announced) == UNVERIFIED
    assert on_block(announced) == BLOCKED
    assert on_announced(on_revoked(pin, 7), OTHER) == on_revoked(pin, 7)
    assert on_accept(on_revoked(announced, 7)) == Pin(OTHER, Trust.UNVERIFIED)


@pytest.mark.parametrize("pin", ALL, ids=lambda pin: pin.trust.value)
def test_a_revoked_key_is_refused_whatever_it_was(pin: Pin) -> None:
    """R-3.7.4: no decision brings it back."""
    revoked = on_revoked(pin, 7)
    assert revoked.revoked_at_ms == 7
    assert not may_converse(revoked)
    for decision in (require_sendable, on_verified, on_keep):
        with pytest.raises(TrustError, match="revoked"):
            decision(revoked)
    assert on_block(revoked).revoked_at_ms == 7
    assert on_wrong_identity(revoked, OTHER).revoked_at_ms == 7
    if pin == CHANGED:
        assert on_accept(revoked) == Pin(OFFERED, Trust.UNVERIFIED)
    else:
        assert revoked.trust is Trust.BLOCKED
        with pytest.raises(TrustError, match="revoked"):
            on_accept(revoked)


def test_there_must_be_a_new_key_to_accept_one() -> None:
    with pytest.raises(TrustError, match=r"^no new key"):
        on_accept(CHANGED_ALONE)


def test_blocking_forgets_an_offered_key() -> None:
    """R-3.6.3: nothing that appeared meanwhile is pinned by unblocking."""
    assert on_accept(on_block(CHANGED)) == UNVERIFIED
    assert on_wrong_identity(BLOCKED, OTHER) == BLOCKED
