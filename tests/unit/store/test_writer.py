"""Group commit: few syncs, units undone alone, and nothing reported before it is on the disk."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from p2pchat.crypto.secret import Secret
from p2pchat.errors import ContactError, StoreError, UnknownContactError
from p2pchat.store import writer as writer_module
from p2pchat.store.connection import open_database
from p2pchat.store.database import Database
from p2pchat.store.ports import Transaction
from p2pchat.store.records import PreviousStaticKey
from tests.support.pages import pages
from tests.unit.store.files import (
    IDENTITY,
    KEY,
    adds,
    contact,
    gets,
    incoming,
    new_contact,
    new_store,
    outgoing,
    reopen,
    sets,
)


def count_commits(store: Database) -> list[None]:
    """Return a list that grows by one with each commit that the disk is asked for."""
    commits: list[None] = []

    def hook() -> bool:
        commits.append(None)
        return False

    store._writer._connection.set_commit_hook(hook)
    return commits


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def hold(store: Database) -> tuple[Callable[[Transaction], None], threading.Event]:
    """Return a unit that keeps the store thread busy until the event is set."""
    release = threading.Event()

    def busy(_: Transaction) -> None:
        release.wait(10)

    return busy, release


async def test_units_that_wait_share_a_commit(store: Database) -> None:
    bob = await store.write(new_contact)
    commits = count_commits(store)
    busy, release = hold(store)
    first = store.write(busy)
    rest = [store.write(adds(outgoing(bob, n))) for n in range(200)]
    release.set()
    await first
    stored = await asyncio.gather(*rest)
    assert len(commits) <= 3  # 201 units: the busy one's group, and the one that formed meanwhile
    assert [m.text for m in stored if m] == ["text"] * 200
    positions = [m.position for m in stored if m]
    assert positions == sorted(set(positions))


async def test_a_group_is_bounded(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "GROUP_MAX", 10)
    commits = count_commits(store)
    busy, release = hold(store)
    units = [store.write(busy)]
    units += [store.write(sets("n", str(n))) for n in range(40)]
    release.set()
    await asyncio.gather(*units)
    assert 4 <= len(commits) <= 6
    assert await store.read(lambda t: t.get_setting("n")) == "39"


async def test_a_unit_that_raises_is_undone_alone(store: Database) -> None:
    def fails(transaction: Transaction) -> None:
        transaction.put_setting("middle", "lost")
        raise ContactError("no")

    def swallows(transaction: Transaction) -> str:
        try:
            transaction.add_message(incoming(999, 1))
        except apsw.ConstraintError:
            transaction.put_setting("swallowed", "kept")
        return "went on"

    busy, release = hold(store)
    units = [
        store.write(busy),
        store.write(lambda t: t.put_setting("before", "kept")),
        store.write(fails),
        store.write(swallows),
        store.write(lambda t: t.put_setting("after", "kept")),
    ]
    release.set()
    results = await asyncio.gather(*units, return_exceptions=True)
    assert isinstance(results[2], ContactError)
    assert results[3] == "went on"
    values = [await store.read(gets(key)) for key in ("before", "middle", "swallowed", "after")]
    assert values == ["kept", None, "kept", "kept"]


async def test_units_run_in_the_order_in_which_they_were_given(store: Database) -> None:
    order: list[int] = []

    def note(number: int) -> Callable[[Transaction], None]:
        return lambda _: order.append(number)

    await asyncio.gather(*(store.write(note(n)) for n in range(500)))
    assert order == list(range(500))


async def test_a_commit_that_fails_is_told_to_its_whole_group_and_the_store_goes_on(
    store: Database,
) -> None:
    busy, release = hold(store)

    def own_error(transaction: Transaction) -> None:
        raise ContactError("mine")

    refuse = True
    store._writer._connection.set_commit_hook(lambda: refuse)
    units = [store.write(busy)]
    units += [store.write(sets("n", str(n))) for n in range(5)]
    units += [store.write(own_error)]
    release.set()
    results = await asyncio.gather(*units, return_exceptions=True)
    assert all(isinstance(result, StoreError) for result in results[:6])
    assert isinstance(results[6], ContactError)
    assert len({id(result) for result in results}) == len(results)  # one exception each
    assert await store.read(lambda t: t.get_setting("n")) is None
    refuse = False
    await store.write(lambda t: t.put_setting("n", "again"))
    assert await store.read(lambda t: t.get_setting("n")) == "again"


async def test_a_commit_that_fails_and_stays_open_is_undone(store: Database) -> None:
    """A foreign key that is checked only at the end leaves the transaction open."""

    def dangling(transaction: Transaction) -> None:
        store._writer._connection.pragma("defer_foreign_keys", True)
        transaction.add_message(incoming(999, 1))

    with pytest.raises(UnknownContactError):
        await store.write(dangling)
    await store.write(sets("n", "later"))
    assert await store.read(gets("n")) == "later"


async def test_an_error_of_another_kind_does_not_end_the_thread(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(store._writer, "_run_unit", out_of_memory)
        with pytest.raises(StoreError, match="MemoryError"):
            await asyncio.wait_for(_wait(store.write(sets("n", "1"))), 10)
    await store.write(sets("n", "2"))
    assert await store.read(gets("n")) == "2"


async def test_a_full_database_fails_the_unit_and_the_store_goes_on(store: Database) -> None:
    bob = await store.write(new_contact)
    connection = store._writer._connection
    pages = await store.write(lambda _: connection.pragma("page_count"))
    await store.write(lambda _: connection.pragma("max_page_count", pages + 2))
    small = store.write(lambda t: t.put_setting("small", "kept?"))
    large = store.write(lambda t: t.add_message(outgoing(bob, 1, "x" * 60_000)))
    results = await asyncio.gather(small, large, return_exceptions=True)
    assert isinstance(results[1], StoreError)
    assert "full" in str(results[1])
    # Either both were in one group, and then both were told, or the small one is stored.
    stored = await store.read(lambda t: t.get_setting("small"))
    assert (stored == "kept?") == (results[0] is None)
    assert await store.read(lambda t: t.messages(bob)) == []
    await store.write(lambda _: connection.pragma("max_page_count", 1 << 30))
    assert await store.write(lambda t: t.add_message(outgoing(bob, 1, "x" * 60_000))) is not None


async def test_a_transaction_lost_in_a_unit_is_told_to_everybody_in_it(store: Database) -> None:
    """Some errors make SQLite undo everything, the group's earlier units too."""

    def loses(_: Transaction) -> None:
        store._writer._connection.execute("ROLLBACK")
        raise ContactError("mine")

    busy, release = hold(store)
    units = [
        store.write(busy),
        store.write(lambda t: t.put_setting("n", "lost")),
        store.write(loses),
        store.write(lambda t: t.put_setting("n", "lost too")),
    ]
    release.set()
    results = await asyncio.gather(*units, return_exceptions=True)
    assert all(isinstance(result, StoreError) for result in results[1:])
    assert all("undone" in str(result) for result in results[1:])
    assert await store.read(lambda t: t.get_setting("n")) is None
    await store.write(lambda t: t.put_setting("n", "later"))
    assert await store.read(lambda t: t.get_setting("n")) == "later"


async def test_a_caller_that_stopped_waiting_does_not_undo_its_unit(store: Database) -> None:
    busy, release = hold(store)
    first = store.write(busy)
    before = store.write(sets("m", "kept"))
    given_up = asyncio.ensure_future(store.write(lambda t: t.put_setting("n", "kept")))  # noqa: TID251  # the awaitable as such
    after = store.write(sets("o", "kept"))
    given_up.cancel()
    release.set()
    await first
    # The three are one group: the one that is gone does not keep the others from hearing.
    await asyncio.wait_for(asyncio.gather(before, after), 10)
    assert given_up.cancelled()
    assert await store.read(lambda t: t.get_setting("n")) == "kept"


async def test_a_unit_that_raises_stop_iteration_does_not_leave_its_caller_waiting(
    store: Database,
) -> None:
    empty: list[int] = []
    for run in (store.write, store.read):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.wait_for(asyncio.ensure_future(run(lambda _: next(iter(empty)))), 5)  # noqa: TID251  # the awaitable as such


async def test_what_is_queued_is_finished_before_closing_and_nothing_after(
    tmp_path: Path, store: Database
) -> None:
    units = [store.write(sets(f"k{n}", "v")) for n in range(50)]
    await store.close()
    await asyncio.gather(*units)
    for run in (store.write, store.read):
        with pytest.raises(StoreError, match="closed"):
            run(lambda t: None)
    await store.close()
    store.close_now()
    again = reopen(tmp_path)
    assert await again.read(lambda t: t.get_setting("k49")) == "v"
    await again.close()


async def test_a_closed_store_leaves_no_log_and_no_thread(tmp_path: Path, store: Database) -> None:
    await store.write(new_contact)
    assert names(tmp_path) == ["chat.db", "chat.db-shm", "chat.db-wal", "count"]
    await store.close()
    assert names(tmp_path) == ["chat.db", "count"]
    assert not [t for t in threading.enumerate() if t.name.startswith("p2pchat-store")]


def test_results_for_a_closed_event_loop_are_dropped(tmp_path: Path, store: Database) -> None:
    busy, release = hold(store)

    async def leave() -> None:
        store.write(busy)
        store.write(lambda t: t.put_setting("n", "kept"))

    asyncio.run(leave())
    release.set()

    async def look() -> str | None:
        await store.write(lambda t: None)
        return await store.read(lambda t: t.get_setting("n"))

    assert asyncio.run(look()) == "kept"


async def test_the_log_is_folded_in_when_it_grew_and_when_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Database
) -> None:
    monkeypatch.setattr(writer_module, "CHECKPOINT_PAGES", 50)
    monkeypatch.setattr(writer_module, "IDLE_S", 60.0)
    bob = await store.write(new_contact)
    before = (tmp_path / "chat.db").stat().st_size
    for number in range(40):
        await store.write(adds(outgoing(bob, number, "x" * 20_000)))
    assert (tmp_path / "chat.db").stat().st_size > before + 20 * 20_000
    assert (tmp_path / "chat.db-wal").stat().st_size < 200 * 4096


async def test_housekeeping_that_fails_neither_stops_the_store_nor_spoils_the_search(
    monkeypatch: pytest.MonkeyPatch, store: Database, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer_module, "IDLE_S", 0.01)
    connection = store._writer._connection
    bob = await store.write(new_contact)
    failed = threading.Event()

    def refuse() -> bool:
        failed.set()
        return True

    def add(transaction: Transaction) -> None:
        transaction.add_message(outgoing(bob, 1, "findme"))

    await store.write(add)
    connection.set_commit_hook(refuse)
    # Whichever comes next, this unit or the indexing of the last one, is refused.
    await asyncio.gather(store.write(lambda t: t.put_setting("a", "b")), return_exceptions=True)
    assert await asyncio.to_thread(failed.wait, 5)
    connection.set_commit_hook(None)
    found = await store.read(lambda t: t.messages(bob, search="findme"))
    assert [m.text for m in found] == ["findme"]
    await store.write(lambda t: t.put_contact(contact("Cleo")))


def test_another_process_that_reads_meanwhile_does_not_stop_us(tmp_path: Path) -> None:
    """Backup tools open databases; the lock that keeps us apart is not theirs."""

    async def scenario() -> None:
        store = new_store(tmp_path)
        other = open_database(tmp_path / "chat.db", KEY, read_only=True)
        other.execute("BEGIN")
        other.execute("SELECT * FROM contact").fetchall()
        for number in range(5):
            await store.write(sets("n", str(number)))
        other.close()
        await store.close()

    asyncio.run(scenario())


async def _wait(result: Awaitable[object]) -> object:
    return await result


# --- Keys that were replaced ----------------------------------------------------------------------


async def replace_keys(store: Database) -> bytes:
    """Retire a static key, then drop it; returns it. Each time the log must be empty."""
    old = b"\xd7" * 32
    held = replace(IDENTITY, previous=PreviousStaticKey(Secret(old), b"its own", 5))
    await store.write(lambda t: t.put_identity(held))
    assert old in await pages(store)
    await store.write(lambda t: t.put_identity(IDENTITY))
    return old


async def test_a_replaced_key_is_in_no_page_and_in_no_log(store: Database, tmp_path: Path) -> None:
    old = await replace_keys(store)
    assert old not in await pages(store)
    assert IDENTITY.static_private.reveal() in await pages(store)
    assert (tmp_path / "chat.db-wal").stat().st_size == 0
    await store.write(sets("x", "1"))
    assert (tmp_path / "chat.db-wal").stat().st_size > 0, "ordinary writes are not folded in"


async def test_a_reader_in_the_way_delays_it_only(
    store: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    release = await reader_in_the_way(store)
    await replace_keys(store)
    assert (tmp_path / "chat.db-wal").stat().st_size > 0
    assert "could not be emptied yet" in caplog.text
    await release()
    await store.write(sets("x", "2"))
    assert (tmp_path / "chat.db-wal").stat().st_size == 0


async def test_the_log_of_a_killed_process_is_emptied_too(store: Database, tmp_path: Path) -> None:
    release = await reader_in_the_way(store)
    old = await replace_keys(store)
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in ("chat.db", "chat.db-wal"):
        shutil.copy(tmp_path / name, killed / name)
    await release()
    again = reopen(killed)
    await again.write(sets("x", "2"))
    assert (killed / "chat.db-wal").stat().st_size == 0
    assert old not in await pages(again)
    await again.close()


async def reader_in_the_way(store: Database) -> Callable[[], Awaitable[None]]:
    """Let a reader hold a snapshot until the function that is returned is called."""
    store._writer._connection.set_busy_timeout(10)
    await store.write(sets("x", "1"))
    started, done = threading.Event(), threading.Event()

    def look(transaction: Transaction) -> None:
        transaction.get_setting("x")  # takes the snapshot
        started.set()
        done.wait(10)

    reading = store.read(look)
    await asyncio.to_thread(started.wait, 10)

    async def release() -> None:
        done.set()
        await reading

    return release
