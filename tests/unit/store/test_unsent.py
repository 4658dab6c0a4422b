"""Messages of ours that may wait for a limited time only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from p2pchat.store import unsent
from p2pchat.store.database import Database
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, MessageRecord
from tests.support.raw_sql import raw_sql
from tests.unit.store.files import contact, message_id, numbers, outgoing

BOB, CAROL = 1, 2


def until(at_ms: int | None, record: MessageRecord) -> MessageRecord:
    return replace(record, unsent_until_ms=at_ms)


async def fill(store: Database, *records: MessageRecord) -> None:
    def work(transaction: Transaction) -> None:
        for name in ("Bob", "Carol"):
            transaction.put_contact(contact(name))
        for record in records:
            transaction.add_message(record)

    await store.write(work)


async def states(store: Database) -> dict[int, tuple[str, str]]:
    found = await store.read(lambda tx: tx.messages(BOB))
    return {
        number: (record.state.value, record.reason)
        for number, record in zip(numbers(found), found, strict=True)
    }


async def test_only_what_is_queued_and_due_is_given_up(store: Database) -> None:
    await fill(
        store,
        until(100, outgoing(BOB, 1)),
        until(101, outgoing(BOB, 2)),
        until(None, outgoing(BOB, 3)),
        *(
            until(50, replace(outgoing(BOB, number), state=state))
            for number, state in enumerate(DeliveryState, start=10)
            if state is not DeliveryState.QUEUED
        ),
        until(50, outgoing(CAROL, 20)),
    )
    before = await states(store)
    assert await store.read(lambda tx: tx.overdue(49)) == []
    assert sorted(await store.read(lambda tx: tx.overdue(100))) == [BOB, CAROL]
    assert await store.write(lambda tx: tx.give_up(BOB, 100)) == [message_id(1)]
    assert await states(store) == before | {1: ("failed", unsent.EXPIRED)}
    assert await store.read(lambda tx: tx.overdue(100)) == [CAROL]
    waiting = await store.read(lambda tx: tx.undelivered(BOB, 9, unsealed_only=True))
    assert numbers(waiting) == [2, 3, 11]  # and the one that was sealed before
    assert [record.unsent_until_ms for record in waiting] == [101, None, 50]


async def test_the_next_time_is_the_first_of_both_kinds(store: Database) -> None:
    await fill(store, until(30, outgoing(BOB, 1)), until(20, outgoing(BOB, 2)), outgoing(BOB, 3))
    assert await store.read(lambda tx: tx.next_expiry()) == 20
    await store.write(
        lambda tx: raw_sql(tx, "UPDATE message SET expires_at_ms = 10 WHERE position = 3")
    )
    assert await store.read(lambda tx: tx.next_expiry()) == 10
    assert await store.write(lambda tx: tx.expire(10)) == [(BOB, message_id(3))]
    await store.write(lambda tx: tx.give_up(BOB, 20))
    assert await store.read(lambda tx: tx.next_expiry()) == 30
    sent = DeliveryState.SENT
    await store.write(lambda tx: tx.set_message_state(BOB, [message_id(1)], sent))
    assert await store.read(lambda tx: tx.next_expiry()) is None


async def test_a_bounded_number_at_a_time_the_first_due_first(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsent, "GIVEN_UP_MAX", 2)
    await fill(store, *(until(10 - number, outgoing(BOB, number)) for number in range(1, 4)))
    assert set(await store.write(lambda tx: tx.give_up(BOB, 10))) == {message_id(2), message_id(3)}
    assert await store.write(lambda tx: tx.give_up(BOB, 10)) == [message_id(1)]


async def test_looking_for_what_is_due_reads_no_other_message(store: Database) -> None:
    def plans(tx: Transaction) -> list[str]:
        found: list[str] = []

        def explain(statement: str, parameters: Sequence[object]) -> list[tuple[object, ...]]:
            rows = raw_sql(tx, f"EXPLAIN QUERY PLAN {statement}", parameters)
            found.append(" ".join(row[3] for row in rows))
            return [(None,)]

        unsent.next_due(explain)
        unsent.overdue(explain, 1)
        unsent.give_up(explain, 1, 1)
        return found

    for plan in await store.read(plans):
        assert "INDEX message_unsent" in plan
        assert "SCAN message\n" not in f"{plan}\n"
