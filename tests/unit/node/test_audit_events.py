"""Which change of a contact is which event of the audit log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.errors import ErrorCode
from p2pchat.identity.keys import key_id, peer_id
from p2pchat.identity.trust import Pin, Trust
from p2pchat.node.audit_events import Failure, trust_events
from p2pchat.store.audit_types import AuditKind
from p2pchat.store.records import ContactRecord

OLD, NEW = b"o" * 32, b"n" * 32
BEFORE = ContactRecord(1, "Bob", Pin(OLD, Trust.UNVERIFIED))


@pytest.mark.parametrize(
    ("was", "now", "kind"),
    [
        (Trust.UNVERIFIED, Trust.BLOCKED, AuditKind.CONTACT_BLOCKED),
        (Trust.BLOCKED, Trust.UNVERIFIED, AuditKind.CONTACT_ACCEPTED),
        (Trust.REQUEST, Trust.UNVERIFIED, AuditKind.CONTACT_ACCEPTED),
        (Trust.VERIFIED, Trust.CHANGED, AuditKind.KEY_CHANGED),
        (Trust.CHANGED, Trust.VERIFIED, AuditKind.CONTACT_KEPT),
        (Trust.CHANGED, Trust.UNVERIFIED, AuditKind.CONTACT_KEPT),
        (Trust.CHANGED, Trust.BLOCKED, AuditKind.CONTACT_BLOCKED),
    ],
)
def test_each_step_of_trust_is_one_event(was: Trust, now: Trust, kind: AuditKind) -> None:
    offered = {Trust.CHANGED: NEW}
    before = replace(BEFORE, pin=Pin(OLD, was, offered.get(was)))
    after = replace(BEFORE, pin=Pin(OLD, now, offered.get(now)))
    (event,) = trust_events(before, after, 5)
    assert (event.kind, event.at_ms, event.principal, event.key_id) == (kind, 5, OLD, key_id(OLD))
    if Trust.CHANGED in (was, now) and kind is not AuditKind.CONTACT_BLOCKED:
        assert event.context["other"] == peer_id(NEW)


def test_what_changes_no_trust_is_no_event() -> None:
    for after in (
        replace(BEFORE, name="Bert", addresses=("bob:1",), post_quantum=True),
        replace(BEFORE, certificate_generation=7, handshake_time_ms=3, unread=2),
    ):
        assert trust_events(BEFORE, after, 5) == []
    # Whoever sits at the contact's address may show another key each time.
    changed = replace(BEFORE, pin=Pin(OLD, Trust.CHANGED, NEW))
    again = replace(BEFORE, pin=Pin(OLD, Trust.CHANGED, b"m" * 32))
    assert trust_events(changed, again, 5) == []


def test_a_comparison_is_an_event_each_time_also_of_one_that_is_verified() -> None:
    once = replace(BEFORE, pin=Pin(OLD, Trust.VERIFIED), verified_at_ms=1)
    assert [event.kind for event in trust_events(BEFORE, once, 1)] == [AuditKind.CONTACT_VERIFIED]
    twice = replace(once, verified_at_ms=2)
    assert [event.kind for event in trust_events(once, twice, 2)] == [AuditKind.CONTACT_VERIFIED]


def test_a_new_contact_is_pinned_or_asks() -> None:
    request = replace(BEFORE, pin=Pin(OLD, Trust.REQUEST))
    assert [event.kind for event in trust_events(None, BEFORE, 1)] == [AuditKind.CONTACT_PINNED]
    assert [event.kind for event in trust_events(None, request, 1)] == [AuditKind.CONTACT_REQUESTED]
    (pinned,) = trust_events(BEFORE, replace(BEFORE, pin=Pin(NEW, Trust.UNVERIFIED)), 1)
    assert (pinned.kind, pinned.principal, pinned.context) == (
        AuditKind.CONTACT_PINNED,
        NEW,
        {"other": peer_id(OLD)},
    )


@pytest.mark.parametrize("code", ErrorCode)
def test_every_failure_can_be_recorded_with_its_reason(code: ErrorCode) -> None:
    event = Failure(code, outbound=True, by_peer=False, principal=OLD).event(1, 3, "")
    assert event.context == {
        "reason": code.name.lower(),
        "direction": "outbound",
        "by": "us",
        "count": 3,
    }
    special = {
        ErrorCode.CERTIFICATE_INVALID: AuditKind.CERTIFICATE_REFUSED,
        ErrorCode.DOWNGRADE_DETECTED: AuditKind.DOWNGRADE_REFUSED,
    }
    assert event.kind is special.get(code, AuditKind.HANDSHAKE_REFUSED)
