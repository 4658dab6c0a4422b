"""Unusual patterns give one warning, as a record, and not another one the same day."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pchat.identity.keys import peer_id
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.audit_watch import LOG_REPLACED, PATTERNS, QUIET_MS
from p2pchat.store.database import Database
from p2pchat.store.ports import Transaction
from tests.support.raw_sql import raw_sql

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000


def appends(*events: AuditEvent) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        for each in events:
            tx.audit(each)

    return work


def refused(at_ms: int, count: int) -> AuditEvent:
    return AuditEvent(AuditKind.HANDSHAKE_REFUSED, at_ms, context={"count": count})


async def told(store: Database) -> list[tuple[object, object]]:
    records = await store.read(lambda tx: tx.audit_records(100, AuditKind.WARNING))
    return [(record.context["reason"], record.context.get("count")) for record in records]


async def test_many_failed_handshakes_within_an_hour_give_one_warning(store: Database) -> None:
    heard: list[AuditEvent] = []
    store.on_warning(heard.append)
    await store.write(appends(refused(NOW_MS, 49)))
    assert await told(store) == []
    await store.write(appends(refused(NOW_MS + 1, 1)))
    assert await told(store) == [("many_failed_handshakes", 50)]
    for hour in range(1, 24):
        await store.write(appends(refused(NOW_MS + hour * HOUR_MS, 1000)))
    assert len(await told(store)) == 1
    await store.write(appends(refused(NOW_MS + QUIET_MS + 2, 1000)))
    assert len(await told(store)) == 2
    await store.close()
    assert [each.context["reason"] for each in heard] == ["many_failed_handshakes"] * 2


async def test_failures_spread_over_hours_are_usual(store: Database) -> None:
    for hour in range(20):
        await store.write(appends(refused(NOW_MS + hour * HOUR_MS, 40)))
    assert await told(store) == []


async def test_what_we_dial_ourselves_in_vain_is_no_attack(store: Database) -> None:
    for direction in ("outbound", "inbound"):
        assert await told(store) == []
        context: dict[str, str | int] = {"count": 500, "direction": direction}
        await store.write(appends(AuditEvent(AuditKind.HANDSHAKE_REFUSED, NOW_MS, context=context)))
    assert await told(store) == [("many_failed_handshakes", 500)]


async def test_many_failed_unlocks_within_a_day(store: Database) -> None:
    for number in range(5):
        assert await told(store) == []
        event = AuditEvent(AuditKind.UNLOCK_FAILED, NOW_MS + number * HOUR_MS)
        await store.write(appends(event))
    assert await told(store) == [("many_failed_unlocks", 5)]


async def test_key_changes_are_counted_by_contact(store: Database) -> None:
    def changed(number: int) -> AuditEvent:
        return AuditEvent(AuditKind.KEY_CHANGED, NOW_MS, bytes([number]) * 32)

    await store.write(appends(*[changed(1)] * 10, changed(2)))
    assert await told(store) == []
    await store.write(appends(changed(3)))
    assert await told(store) == [("many_key_changes", 3)]


async def test_a_warning_given_by_hand_is_not_repeated_the_same_day(store: Database) -> None:
    def warning(at_ms: int, reason: str) -> AuditEvent:
        return AuditEvent(AuditKind.WARNING, at_ms, context={"reason": reason})

    for at_ms in (NOW_MS, NOW_MS + 1, NOW_MS + QUIET_MS - 1, NOW_MS + QUIET_MS):
        await store.write(appends(warning(at_ms, LOG_REPLACED)))
    await store.write(appends(warning(NOW_MS, "another")))
    assert [reason for reason, _ in await told(store)] == [LOG_REPLACED, LOG_REPLACED, "another"]


async def test_warnings_from_before_anybody_listened_are_heard_later(store: Database) -> None:
    await store.write(appends(refused(NOW_MS, 50)))
    await store.write(lambda tx: tx.put_setting("a", "b"))  # the group after: the first is done
    heard: list[AuditEvent] = []
    store.on_warning(heard.append)
    await store.close()
    assert len(heard) == 1


async def test_a_unit_that_fails_warns_nobody(store: Database) -> None:
    def fails(tx: Transaction) -> None:
        tx.audit(refused(NOW_MS, 50))
        raise RuntimeError

    heard: list[AuditEvent] = []
    store.on_warning(heard.append)
    with pytest.raises(RuntimeError):
        await store.write(fails)
    await store.close()
    assert heard == []


async def test_a_record_that_cannot_be_read_does_not_stop_the_log(store: Database) -> None:
    await store.write(appends(refused(NOW_MS, 30)))
    await store.write(
        lambda tx: raw_sql(tx, "UPDATE audit_record SET record = x'00' WHERE sequence = 1")
    )
    await store.write(appends(refused(NOW_MS, 50)))
    assert await told(store) == [("many_failed_handshakes", 50)]


async def test_records_are_listed_newest_last_by_number_and_kind(store: Database) -> None:
    pins = [AuditEvent(AuditKind.CONTACT_PINNED, NOW_MS + n, bytes([n]) * 32) for n in range(9)]
    await store.write(appends(*pins[:5], AuditEvent(AuditKind.LOCKED, NOW_MS), *pins[5:]))
    records = await store.read(lambda tx: tx.audit_records(3))
    assert [record.principal for record in records] == [
        peer_id(p.principal or b"") for p in pins[-3:]
    ]
    locked = await store.read(lambda tx: tx.audit_records(3, AuditKind.LOCKED))
    assert [record.kind for record in locked] == ["locked"]
    assert await store.read(lambda tx: tx.audit_records(3, AuditKind.RECOVERED)) == []


def test_every_pattern_has_a_sentence() -> None:
    from p2pchat.tui.words import warning

    sentences = {warning(name, 7) for name in (*(p.name for p in PATTERNS), LOG_REPLACED, "else")}
    assert len(sentences) == len(PATTERNS) + 2
