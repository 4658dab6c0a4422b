"""Search answers at once and alike, however far the index has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2pchat.errors import UsageError
from p2pchat.store import search as search_module
from p2pchat.store import writer as writer_module
from p2pchat.store.connection import create_database
from p2pchat.store.database import Database
from p2pchat.store.ports import Transaction
from p2pchat.store.schema import migrate
from p2pchat.store.search import SEARCH_WORDS_MAX, SearchIndex
from p2pchat.store.transaction import SqlTransaction
from tests.support.raw_sql import raw_sql
from tests.unit.store.files import (
    DATABASE_ID,
    KEY,
    adds,
    contact,
    looks,
    message_id,
    new_contact,
    numbers,
    outgoing,
    reopen,
)

TEXTS = [
    "Hello World",
    "hello again",
    "Grüße aus Köln",
    "foo-bar and bar-foo",
    "foo bar",
    "a long way from tomorrow to today",
    "日本語 のテスト",
    'say "quoted" AND (nested) NEAR/2 * ^x',
]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the store thread from indexing on its own."""
    monkeypatch.setattr(writer_module, "IDLE_S", 3600.0)


async def index_all(store: Database) -> None:
    index = store._writer._index
    while await store.write(lambda _: index.index_batch()):
        pass


async def fill(store: Database, texts: list[str] = TEXTS) -> int:
    bob = await store.write(new_contact)
    for number, text in enumerate(texts):
        await store.write(adds(outgoing(bob, number, text)))
    return bob


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("hello", [0, 1]),
        ("HELLO world", [0]),
        ("world hello", [0]),
        ("grusse", []),  # ß is a letter of its own
        ("grüße", [2]),
        ("gruße koln", [2]),
        ("foo-bar", [3, 4]),
        ("bar-foo", [3]),
        ("foo bar", [3, 4]),
        ("long today", [5]),
        ("day", []),  # whole words
        ("日本語", [6]),
        ('"quoted"', [7]),
        ("AND nested", [7]),
        ("hello OR foo", []),
        ("NEAR/2", [7]),
        ("body:hello", []),
        ("hello*", [0, 1]),
        ('"', []),
        ("!!! ...", []),
        ("hello !!!", [0, 1]),
        ("hello\0world", [0]),
        ("\ud800hello", [0, 1]),
        ("nowhere", []),
    ],
)
@pytest.mark.usefixtures("quiet")
async def test_words_are_words(
    store: Database, indexed: bool, words: str, expected: list[int]
) -> None:
    bob = await fill(store)
    if indexed:
        await index_all(store)
    found = await store.read(lambda t: t.messages(bob, search=words))
    assert numbers(found) == expected


@pytest.mark.usefixtures("quiet")
async def test_an_empty_search_is_none(store: Database) -> None:
    bob = await fill(store)
    for blank in ("", "  \n"):
        assert len(await store.read(looks(bob, search=blank))) == len(TEXTS)


@pytest.mark.usefixtures("quiet")
async def test_too_many_words_are_refused(store: Database) -> None:
    bob = await fill(store)
    await index_all(store)
    many = " ".join(f"w{n}" for n in range(SEARCH_WORDS_MAX))
    assert await store.read(lambda t: t.messages(bob, search=many)) == []
    with pytest.raises(UsageError, match="at most"):
        await store.read(lambda t: t.messages(bob, search=f"{many} more"))


@pytest.mark.parametrize("indexed", [0, 5, 12, 17, 20])
@pytest.mark.usefixtures("quiet")
async def test_pages_come_newest_first_across_the_end_of_the_index(
    store: Database, indexed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = await store.write(new_contact)
    cleo = (await store.write(lambda t: t.put_contact(contact("Cleo")))).contact_id

    def add(transaction: Transaction) -> None:
        for number in range(10):
            transaction.add_message(outgoing(bob, number, "same words" if number % 2 else "other"))
            transaction.add_message(outgoing(cleo, 100 + number, "same words"))

    await store.write(add)
    monkeypatch.setattr(search_module, "INDEX_BATCH_MESSAGES", indexed or 1)
    if indexed:
        await store.write(lambda _: store._writer._index.index_batch())
    page = await store.read(lambda t: t.messages(bob, search="SAME", limit=2))
    assert numbers(page) == [7, 9]
    page = await store.read(
        lambda t: t.messages(bob, search="words same", before=message_id(7), limit=2)
    )
    assert numbers(page) == [3, 5]
    page = await store.read(lambda t: t.messages(bob, search="same", before=message_id(3)))
    assert numbers(page) == [1]
    page = await store.read(lambda t: t.messages(cleo, search="same", limit=3))
    assert numbers(page) == [107, 108, 109]


async def test_the_index_follows_by_itself(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "IDLE_S", 0.001)
    monkeypatch.setattr(search_module, "INDEX_BATCH_MESSAGES", 3)
    bob = await fill(store)
    await _until(store, "SELECT indexed_to = (SELECT max(position) FROM message) FROM search_state")
    assert numbers(await store.read(lambda t: t.messages(bob, search="hello"))) == [0, 1]


async def test_under_load_the_index_does_not_wait_for_idleness(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "IDLE_S", 3600.0)
    monkeypatch.setattr(writer_module, "BACKLOG_MAX", 4)
    await fill(store, ["word"] * 30)
    await store.write(lambda _: None)
    assert store._writer._backlog <= 4
    ((backlog,),) = await store.read(
        lambda t: raw_sql(
            t, "SELECT max(position) - (SELECT indexed_to FROM search_state) FROM message"
        )
    )
    assert backlog <= 5


async def test_indexing_goes_on_where_it_stopped_after_a_restart(
    tmp_path: Path, store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "IDLE_S", 3600.0)
    bob = await fill(store)
    await store.close()
    monkeypatch.setattr(writer_module, "IDLE_S", 0.001)
    again = reopen(tmp_path)
    await _until(again, "SELECT indexed_to > 0 FROM search_state")
    assert numbers(await again.read(lambda t: t.messages(bob, search="hello"))) == [0, 1]
    await again.close()


@pytest.mark.usefixtures("quiet")
async def test_a_position_is_not_used_again_once_it_was_indexed(store: Database) -> None:
    """Otherwise a new message in the place of a deleted one would never be found."""
    bob = await fill(store)
    await index_all(store)
    last = len(TEXTS) - 1
    await store.write(lambda t: t.delete_message(bob, message_id(last)))
    await store.write(lambda t: t.add_message(outgoing(bob, 50, "brand new")))
    assert numbers(await store.read(lambda t: t.messages(bob, search="brand"))) == [50]
    await index_all(store)
    assert numbers(await store.read(lambda t: t.messages(bob, search="brand"))) == [50]
    assert await store.read(lambda t: t.messages(bob, search="quoted")) == []


@pytest.mark.parametrize(
    "delete",
    [
        lambda t, bob: t.delete_message(bob, message_id(1)),
        lambda t, bob: t.delete_message(bob, message_id(2002)),
        lambda t, bob: t.remove_contact(bob),
    ],
)
async def test_deleted_words_leave_the_index_for_good(
    store: Database,
    monkeypatch: pytest.MonkeyPatch,
    delete: Callable[[Transaction, int], None],
) -> None:
    monkeypatch.setattr(writer_module, "IDLE_S", 3600.0)
    monkeypatch.setattr(search_module, "PURGE_STEP_PAGES", 1)
    texts = ["some words", "secretcanary here", *(f"filler{n} text{n}" for n in range(2000))]
    texts.append("lastcanary")
    bob = await store.write(new_contact)

    def add(transaction: Transaction) -> None:
        for number, text in enumerate(texts):
            transaction.add_message(outgoing(bob, number, text))

    await store.write(add)
    await index_all(store)
    before = await _index_bytes(store)
    assert b"secretcanary" in before
    assert b"lastcanary" in before
    await store.write(lambda t: delete(t, bob))
    kept = {m.text for m in await store.read(looks(bob, limit=9999))}
    index = store._writer._index
    for _ in range(10_000):
        if not await store.write(lambda _: index.purge_step()):
            break
    after = await _index_bytes(store)
    assert (b"secretcanary" in after) == ("secretcanary here" in kept)
    assert (b"lastcanary" in after) == ("lastcanary" in kept)
    assert await store.write(lambda _: index.purge_step()) is False


async def test_deleted_words_are_purged_by_itself(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "IDLE_S", 0.001)
    bob = await fill(store)
    await _until(store, "SELECT indexed_to = (SELECT max(position) FROM message) FROM search_state")
    await store.write(lambda t: t.delete_message(bob, message_id(0)))
    await _until(store, "SELECT purge = 0 FROM search_state")
    assert b"world" not in await _index_bytes(store)
    assert numbers(await store.read(lambda t: t.messages(bob, search="hello"))) == [1]


WORD = st.sampled_from(["a", "b", "ab", "B", "ä", "x-a", "a.b", "日", "1", "😀", "'", "\0", "ﬀ"])
TEXT = st.lists(WORD, max_size=6).map(" ".join) | st.text(max_size=12).filter(
    lambda text: text.isprintable() or "\n" in text
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(TEXT, max_size=8), query=TEXT, cut=st.integers(0, 8))
def test_index_and_tail_agree(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], query: str, cut: int
) -> None:
    """Wherever the index ends, the answer is that of reading every message."""
    connection = create_database(tmp_path_factory.mktemp("s") / "chat.db", KEY, DATABASE_ID)
    try:
        connection.pragma("synchronous", "off")
        migrate(connection)
        index = SearchIndex(connection)
        transaction = SqlTransaction(connection, index)
        bob = new_contact(transaction)
        answers = []
        for number, text in enumerate(texts):
            transaction.add_message(outgoing(bob, number, text))
        for end in (0, cut, len(texts)):
            while _indexed(connection) < min(end, len(texts)):
                connection.execute(
                    "INSERT INTO message_index (rowid, contact, body)"
                    " SELECT position, contact_id, body FROM message WHERE position ="
                    " 1 + (SELECT indexed_to FROM search_state)"
                )
                connection.execute("UPDATE search_state SET indexed_to = indexed_to + 1")
            answers.append(numbers(transaction.messages(bob, search=query)))
        assert answers[0] == answers[1] == answers[2]
    finally:
        connection.close()


def _indexed(connection: apsw.Connection) -> int:
    ((indexed_to,),) = connection.execute("SELECT indexed_to FROM search_state")
    assert isinstance(indexed_to, int)
    return indexed_to


async def _index_bytes(store: Database) -> bytes:
    rows = await store.read(lambda t: raw_sql(t, "SELECT block FROM message_index_data"))
    return b"\n".join(block for (block,) in rows)


async def _until(store: Database, question: str) -> None:
    for _ in range(1000):
        ((answer,),) = await store.read(lambda t: raw_sql(t, question))
        if answer:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"never true: {question}")
