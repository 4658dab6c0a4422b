"""Messages by date, over all contacts, and for how long they are kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.errors import UsageError
from p2pchat.store import search
from p2pchat.store.database import Database
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, MessageRecord
from tests.support.raw_sql import raw_sql
from tests.unit.store.files import contact, incoming, message_id, numbers, outgoing, puts

BOB, CAROL = 1, 2


async def fill(store: Database, *records: MessageRecord) -> None:
    """Two contacts, and these messages."""

    def work(transaction: Transaction) -> None:
        for name in ("Bob", "Carol"):
            transaction.put_contact(contact(name))
        for record in records:
            transaction.add_message(record)

    await store.write(work)


def at(sent_at_ms: int, record: MessageRecord) -> MessageRecord:
    return replace(record, sent_at_ms=sent_at_ms)


async def index_all(store: Database) -> None:
    """Bring the search index up to date, without waiting for the thread's idleness."""
    index = search.SearchIndex(store._writer._connection)
    await store.write(lambda _: index.index_batch())


@pytest.mark.parametrize(
    ("first", "end", "oldest", "limit", "expected"),
    [
        (None, None, False, 10, [1, 2, 3, 4, 5]),
        (30, None, False, 10, [2, 3, 4]),
        (None, 30, False, 10, [1, 5]),
        (20, 40, False, 10, [2, 3, 5]),
        (20, None, False, 2, [4, 5]),
        (20, None, True, 2, [2, 3]),
        (None, 30, True, 1, [1]),
        (99, None, False, 10, []),
    ],
)
async def test_messages_between_two_times_in_the_order_of_the_conversation(
    store: Database,
    first: int | None,
    end: int | None,
    oldest: bool,
    limit: int,
    expected: list[int],
) -> None:
    times = {1: 10, 2: 30, 3: 30, 4: 40, 5: 20}  # the last one's clock was behind
    await fill(store, *(at(ms, incoming(BOB, number)) for number, ms in times.items()))
    found = await store.read(
        lambda tx: tx.messages(BOB, after_ms=first, before_ms=end, oldest=oldest, limit=limit)
    )
    assert numbers(found) == expected


async def test_pages_go_on_between_two_times(store: Database) -> None:
    await fill(store, *(at(number, incoming(BOB, number)) for number in range(1, 8)))
    found = await store.read(
        lambda tx: tx.messages(BOB, before=message_id(6), after_ms=3, before_ms=7, limit=2)
    )
    assert numbers(found) == [4, 5]


@pytest.mark.parametrize("indexed", [True, False])
async def test_a_search_over_all_contacts(store: Database, indexed: bool) -> None:
    await fill(
        store,
        at(10, incoming(BOB, 1, "the red kite")),
        at(20, outgoing(CAROL, 2, "a kite, red")),
        at(30, incoming(CAROL, 3, "blue")),
        at(40, incoming(BOB, 4, "red kite again")),
    )
    if indexed:
        await index_all(store)
    found = await store.read(lambda tx: tx.find_messages("kite red", limit=10))
    assert [(record.contact_id, record.message_id) for record in found] == [
        (BOB, message_id(1)),
        (CAROL, message_id(2)),
        (BOB, message_id(4)),
    ]
    newest = await store.read(lambda tx: tx.find_messages("red", limit=1, before_ms=40))
    assert numbers(newest) == [2]
    one = await store.read(lambda tx: tx.messages(BOB, search="red", after_ms=11))
    assert numbers(one) == [4]


async def test_a_search_does_not_begin_at_the_oldest(store: Database) -> None:
    await fill(store)
    with pytest.raises(UsageError, match="newest"):
        await store.read(lambda tx: tx.messages(BOB, search="red", oldest=True))


async def test_looking_for_a_date_reads_no_texts(store: Database) -> None:
    """The index alone tells each message's time."""
    plan = await store.read(
        lambda tx: raw_sql(
            tx,
            "EXPLAIN QUERY PLAN SELECT position FROM message WHERE contact_id = 1"
            " AND position < 99 AND sent_at_ms >= 1 AND sent_at_ms < 5 ORDER BY position DESC",
        )
    )
    assert "COVERING INDEX message_by_contact" in plan[0][3]


async def test_only_what_is_settled_grows_old(store: Database) -> None:
    states = {
        1: (Direction.IN, DeliveryState.READ),
        2: (Direction.IN, DeliveryState.DELIVERED),  # unread
        3: (Direction.OUT, DeliveryState.QUEUED),
        4: (Direction.OUT, DeliveryState.SENT),
        5: (Direction.OUT, DeliveryState.DELIVERED),
        6: (Direction.OUT, DeliveryState.READ),
        7: (Direction.OUT, DeliveryState.FAILED),
        8: (Direction.IN, DeliveryState.READ),  # young
    }
    await fill(
        store,
        *(
            MessageRecord(message_id(number), BOB, way, "old", 100 if number == 8 else 10, state)
            for number, (way, state) in states.items()
        ),
        MessageRecord(message_id(9), CAROL, Direction.IN, "old", 10, DeliveryState.READ),
    )
    assert await store.read(lambda tx: tx.has_outlived(BOB, 100))
    assert await store.write(lambda tx: tx.delete_outlived(BOB, 100, 2)) == 2
    assert await store.write(lambda tx: tx.delete_outlived(BOB, 100, 10)) == 2
    assert not await store.read(lambda tx: tx.has_outlived(BOB, 100))
    assert numbers(await store.read(lambda tx: tx.messages(BOB))) == [2, 3, 4, 8]
    assert numbers(await store.read(lambda tx: tx.messages(CAROL))) == [9]


@pytest.mark.parametrize("stated", [-(2**53), 0, 10, 2**53 - 1])
async def test_age_counts_from_the_arrival_whatever_a_message_states(
    store: Database, stated: int
) -> None:
    read = MessageRecord(message_id(1), BOB, Direction.IN, "x", stated, DeliveryState.READ)
    await fill(store)
    await store.write(lambda tx: tx.add_message(read, stored_at_ms=50))
    assert not await store.read(lambda tx: tx.has_outlived(BOB, 50))
    assert await store.write(lambda tx: tx.delete_outlived(BOB, 50, 10)) == 0
    assert await store.read(lambda tx: tx.has_outlived(BOB, 51))
    assert await store.write(lambda tx: tx.delete_outlived(BOB, 51, 10)) == 1


async def test_what_an_older_version_stored_has_no_age_until_it_is_given_one(
    store: Database,
) -> None:
    """It counts from the time that it states, or, if that cannot be, from now."""
    stated = {1: 0, 2: 999, 3: 1000, 4: 1500, 5: 2000, 6: 2**53 - 1}
    counts_from = {1: 2000, 2: 2000, 3: 1000, 4: 1500, 5: 2000, 6: 2000}

    def work(tx: Transaction) -> None:
        for name in ("Bob", "Carol"):
            tx.put_contact(replace(contact(name), added_at_ms=1000))
        for contact_id, first in ((BOB, 0), (CAROL, 100)):
            for number, ms in stated.items():
                record = incoming(contact_id, first + number)
                tx.add_message(replace(record, sent_at_ms=ms, state=DeliveryState.READ))
        raw_sql(tx, "UPDATE message SET stored_at_ms = NULL")

    await store.write(work)
    assert not await store.read(lambda tx: tx.has_outlived(BOB, 2**60))
    while await store.read(lambda tx: tx.has_undated(BOB)):
        await store.write(lambda tx: tx.date_undated(BOB, 2000, 4))
    dated = await store.read(
        lambda tx: raw_sql(tx, "SELECT stored_at_ms FROM message WHERE contact_id = 1")
    )
    assert dated == [(ms,) for ms in counts_from.values()]
    undated = "SELECT count(*) FROM message WHERE contact_id = 2 AND stored_at_ms IS NULL"
    assert await store.read(lambda tx: raw_sql(tx, undated)) == [(6,)]
    assert await store.read(lambda tx: tx.has_undated(CAROL))


async def test_the_words_of_what_grew_old_leave_the_index(store: Database) -> None:
    old = MessageRecord(message_id(1), BOB, Direction.IN, "zebra", 1, DeliveryState.READ)
    await fill(store, old)
    await index_all(store)
    assert await store.read(lambda tx: tx.find_messages("zebra", limit=1))
    await store.write(lambda tx: tx.delete_outlived(BOB, 100, 10))
    assert not await store.read(lambda tx: tx.find_messages("zebra", limit=1))
    purge = await store.read(lambda tx: raw_sql(tx, "SELECT purge FROM search_state"))
    assert purge != [(0,)]


async def test_a_contacts_own_rule_goes_with_the_contact(store: Database) -> None:
    await fill(store)
    assert await store.read(lambda tx: tx.retention(BOB)) is None
    await store.write(lambda tx: tx.set_retention(BOB, 0))
    await store.write(lambda tx: tx.set_retention(CAROL, 30))
    assert await store.read(lambda tx: tx.retention(BOB)) == 0
    await store.write(lambda tx: tx.set_retention(BOB, None))
    assert await store.read(lambda tx: tx.retention(BOB)) is None
    await store.write(lambda tx: tx.remove_contact(CAROL))
    again = await store.write(puts(contact("Carol")))
    assert await store.read(lambda tx: tx.retention(again.contact_id)) is None
