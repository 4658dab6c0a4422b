"""Reads: as fresh as the last awaited write, unable to write, not held up by the writer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from p2pchat.errors import StoreError, UsageError
from p2pchat.store import database as database_module
from p2pchat.store.database import Database
from p2pchat.store.ports import Transaction
from p2pchat.store.records import EnvelopeRecord
from tests.support.raw_sql import raw_sql
from tests.unit.store.files import (
    message_id,
    new_contact,
    new_store,
    outgoing,
    reopen,
    sets,
)

READS: list[Callable[[Transaction], Any]] = [
    lambda t: t.identity(),
    lambda t: t.contacts(),
    lambda t: t.contact(1),
    lambda t: t.message(1, message_id(1)),
    lambda t: t.messages(1, limit=1),
    lambda t: t.messages(1, before=message_id(2), limit=1),
    lambda t: t.messages(1, search="text", limit=1),
    lambda t: t.messages(1, search="nowhere", limit=1),
    lambda t: t.undelivered(1, 1, unsealed_only=True),
    lambda t: t.session(1),
    lambda t: t.get_setting("none"),
    lambda t: t.get_setting("n"),
]


@pytest.mark.parametrize("number", range(len(READS)))
async def test_no_read_holds_its_snapshot_after_its_end(store: Database, number: int) -> None:
    """A statement left in the middle would show every later read the past."""

    def fill(transaction: Transaction) -> None:
        bob = new_contact(transaction)
        for n in range(5):
            transaction.add_message(outgoing(bob, n))
        transaction.put_session(bob, b"state")
        transaction.append_envelopes(bob, [EnvelopeRecord(n, b"e", b"d", None) for n in range(3)])
        transaction.put_setting("n", "before")

    await store.write(fill)
    await store.read(READS[number])
    await store.write(lambda t: t.put_setting("n", "after"))
    assert await store.read(lambda t: t.get_setting("n")) == "after"
    assert store._reader._connection.txn_state() == apsw.SQLITE_TXN_NONE


async def test_an_awaited_write_is_seen_by_the_next_read(store: Database) -> None:
    for number in range(100):
        await store.write(sets("n", str(number)))
        assert await store.read(lambda t: t.get_setting("n")) == str(number)


async def test_a_read_cannot_write(store: Database) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        await store.read(lambda t: t.put_setting("n", "1"))
    with pytest.raises(StoreError, match="cannot be written"):
        await store.read(new_contact)
    assert await store.read(lambda t: t.get_setting("n")) is None


async def test_reads_do_not_wait_for_a_long_write(store: Database) -> None:
    release = threading.Event()

    def slow(transaction: Transaction) -> None:
        transaction.put_setting("n", "new")
        release.wait(10)

    writing = store.write(slow)
    try:
        assert await asyncio.wait_for(_read_n(store), 5) is None
    finally:
        release.set()
    await writing
    assert await _read_n(store) == "new"


async def test_a_read_that_fails_leaves_the_reader_usable(store: Database) -> None:
    bob = await store.write(new_contact)
    with pytest.raises(UsageError):
        await store.read(lambda t: t.messages(bob, before=message_id(1)))
    with pytest.raises(StoreError):
        await store.read(lambda t: raw_sql(t, "SELECT nothing"))
    assert await store.read(lambda t: t.contacts())


async def _read_n(store: Database) -> str | None:
    return await store.read(lambda t: t.get_setting("n"))


@pytest.mark.parametrize("which", ["Reader", "Writer"])
def test_a_thread_that_cannot_start_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """The disk fails between opening and running: one clear error, and nothing stays open."""
    new_store(tmp_path).close_now()
    before = threading.active_count()

    def fail(*_: object) -> None:
        raise apsw.IOError("the disk is broken")

    with monkeypatch.context() as patch:
        patch.setattr(database_module, which, fail)
        with pytest.raises(StoreError, match="the disk is broken"):
            reopen(tmp_path)
    assert threading.active_count() == before
    reopen(tmp_path).close_now()
