"""What became of stored messages, and what was agreed about them (protocol.md §9.5, §9.6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from p2pchat.session.vanishing import Proposal, Vanishing
from p2pchat.store import changes
from p2pchat.store import writer as writer_module
from p2pchat.store.database import Database
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, MessageKind, MessageRecord
from tests.support.raw_sql import raw_sql
from tests.unit.store.files import (
    incoming,
    looks,
    message_id,
    new_contact,
    numbers,
    outgoing,
    reopen,
)


async def ask(store: Database, sql: str) -> Any:
    rows = await store.read(lambda t: raw_sql(t, sql))
    return rows[0][0] if rows else None


async def indexed(store: Database) -> bool:
    """Bring the search index up to date."""
    return await store.write(lambda _: store._writer._index.index_batch() > 0)


async def index_bytes(store: Database) -> bytes:
    rows = await store.read(lambda t: raw_sql(t, "SELECT block FROM message_index_data"))
    return b"\n".join(block for (block,) in rows)


async def purge(store: Database) -> None:
    while await store.write(lambda _: store._writer._index.purge_step()):
        pass


def hidden(bob: int, number: int, kind: MessageKind, text: str = "", of: int = 1) -> MessageRecord:
    return replace(outgoing(bob, number, text), kind=kind, refers_to=message_id(of))


@pytest.fixture
async def bob(store: Database, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(writer_module, "IDLE_S", 3600.0)  # no housekeeping by itself
    return await store.write(new_contact)


# --- Edits and deletion ------------------------------------------------------------------------


@pytest.mark.parametrize("when_indexed", [True, False])
async def test_an_edit_takes_the_old_words_out_of_everything(
    store: Database, bob: int, tmp_path: Path, when_indexed: bool
) -> None:
    """R-9.5.3"""
    await store.write(lambda t: t.add_message(incoming(bob, 1, "oldcanary word")))
    await store.write(lambda t: t.add_message(incoming(bob, 2, "another word")))
    if when_indexed:
        assert await indexed(store)
    await store.write(lambda t: t.changes(bob).edit(message_id(1), "newcanary word", 7))
    assert (tmp_path / "chat.db-wal").stat().st_size == 0  # the old page is not in the log
    await indexed(store)
    await purge(store)
    found = {
        word: numbers(await store.read(looks(bob, search=word)))
        for word in ("oldcanary", "newcanary", "word")
    }
    assert found == {"oldcanary": [], "newcanary": [1], "word": [1, 2]}
    stored = await store.read(lambda t: t.message(bob, message_id(1)))
    assert stored is not None
    assert (stored.text, stored.edited_at_ms) == ("newcanary word", 7)
    assert b"oldcanary" not in (store._writer._connection.serialize("main") or b"")
    assert b"oldcanary" not in await index_bytes(store)


async def test_an_erased_message_leaves_an_empty_row(
    store: Database, bob: int, tmp_path: Path
) -> None:
    """R-9.5.4"""
    await store.write(lambda t: t.add_message(incoming(bob, 1, "canary")))
    await store.write(lambda t: t.add_message(replace(incoming(bob, 2), refers_to=message_id(1))))
    await store.write(lambda t: t.changes(bob).react(message_id(1), Direction.OUT, "👍"))
    await indexed(store)
    await store.write(lambda t: t.changes(bob).erase(message_id(1)))
    assert (tmp_path / "chat.db-wal").stat().st_size == 0
    await purge(store)
    first, second = await store.read(lambda t: t.messages(bob))
    assert (first.text, first.deleted, first.reactions) == ("", True, ())
    assert (second.refers_to, second.quote) == (message_id(1), "")
    assert await store.read(lambda t: t.messages(bob, search="canary")) == []
    assert b"canary" not in (store._writer._connection.serialize("main") or b"")
    assert b"canary" not in await index_bytes(store)


# --- Rows that are no line of the conversation --------------------------------------------------


async def test_changes_wait_in_line_and_are_never_shown(store: Database, bob: int) -> None:
    def add(t: Transaction) -> None:
        t.add_message(outgoing(bob, 1, "text"))
        t.add_message(hidden(bob, 2, MessageKind.EDIT, "text again"))
        t.add_message(outgoing(bob, 3, "text"))
        t.add_message(hidden(bob, 4, MessageKind.READ))

    await store.write(add)
    waiting = await store.read(lambda t: t.undelivered(bob, 10, unsealed_only=True))
    assert numbers(waiting) == [1, 2, 3, 4]
    for when_indexed in (False, True):
        if when_indexed:
            assert await indexed(store)
        assert numbers(await store.read(lambda t: t.messages(bob))) == [1, 3]
        assert numbers(await store.read(lambda t: t.messages(bob, search="text"))) == [1, 3]
        assert await store.read(lambda t: t.messages(bob, search="again")) == []
    assert b"again" not in await index_bytes(store)
    assert await ask(store, "SELECT indexed_to FROM search_state") == 4
    ids = [message_id(number) for number in (1, 2)]
    await store.write(lambda t: t.set_message_state(bob, ids, DeliveryState.DELIVERED))
    assert await store.write(lambda t: t.changes(bob).settle()) == [message_id(2)]
    assert await ask(store, "SELECT count(*) FROM message") == 3


async def test_a_later_change_takes_the_place_of_one_that_has_not_left(
    store: Database, bob: int
) -> None:
    """R-9.5.6: receipts of a long time offline are one."""

    def add(t: Transaction) -> None:
        for number, kind, of in (
            (10, MessageKind.READ, 1),
            (11, MessageKind.REACTION, 1),
            (12, MessageKind.REACTION, 2),
            (13, MessageKind.EDIT, 1),
            (14, MessageKind.READ, 2),
        ):
            t.add_message(hidden(bob, number, kind, of=of))
        t.set_message_state(bob, [message_id(14)], DeliveryState.SENT)
        t.changes(bob).withdraw(MessageKind.READ)
        t.changes(bob).withdraw(MessageKind.REACTION, message_id(1))
        t.changes(bob).withdraw(MessageKind.TEXT)

    await store.write(add)
    waiting = await store.read(lambda t: t.undelivered(bob, 10, unsealed_only=False))
    assert numbers(waiting) == [12, 13, 14]


async def test_indexes_serve_what_runs_with_every_batch(store: Database, bob: int) -> None:
    """Neither sweep nor settling reads a whole history of a million messages."""

    async def plan(work: Callable[[Transaction], object]) -> str:
        def explain(t: Transaction) -> str:
            said: list[str] = []
            execute = partial(raw_sql, t)

            def note(sql: str, values: Any = ()) -> Any:
                said.extend(str(row[3]) for row in execute(f"EXPLAIN QUERY PLAN {sql}", values))
                return execute(sql, values)

            work(_Noted(t, note))  # type: ignore[arg-type]  # a spectator
            return " | ".join(said)

        return await store.write(explain)

    assert "message_hidden" in await plan(lambda t: t.changes(bob).settle())
    assert "message_lasting" in await plan(lambda t: t.changes(bob).start(Direction.IN, 5))
    assert "message_hidden" in await plan(lambda t: t.changes(bob).withdraw(MessageKind.READ))
    expiring = await plan(lambda t: t.expire(5))
    assert "message_expiring" in expiring
    assert "SCAN message" not in expiring.replace("SCAN message USING", "")


class _Noted:
    """A transaction whose statements are explained before they run."""

    def __init__(self, inner: Any, execute: Any) -> None:
        self._inner = inner
        self._execute = execute

    def changes(self, contact_id: int) -> Any:
        told = self._inner.changes(contact_id)
        told._execute = self._execute
        return told

    def expire(self, now_ms: int) -> Any:
        return changes.expire(self._execute, self._inner._index, now_ms)


# --- Reactions, receipts ------------------------------------------------------------------------


async def test_one_reaction_a_side(store: Database, bob: int) -> None:
    """R-9.5.5"""
    await store.write(lambda t: t.add_message(incoming(bob, 1)))

    def react(t: Transaction) -> None:
        for direction, emoji in ((Direction.IN, "a"), (Direction.OUT, "b"), (Direction.IN, '"]')):
            t.changes(bob).react(message_id(1), direction, emoji)

    await store.write(react)
    (message,) = await store.read(lambda t: t.messages(bob))
    assert message.reactions == ((Direction.IN, '"]'), (Direction.OUT, "b"))
    await store.write(lambda t: t.changes(bob).react(message_id(1), Direction.IN, ""))
    (message,) = await store.read(lambda t: t.messages(bob))
    assert message.reactions == ((Direction.OUT, "b"),)


async def test_a_receipt_reaches_back_to_the_last_one(store: Database, bob: int) -> None:
    """R-9.5.6: what is not acknowledged yet is for the next receipt."""

    def add(t: Transaction) -> None:
        for number in range(1, 7):
            t.add_message(outgoing(bob, number) if number != 4 else incoming(bob, 4))
        delivered = [message_id(number) for number in (1, 2, 5, 6)]
        t.set_message_state(bob, delivered, DeliveryState.DELIVERED)

    await store.write(add)

    async def reads(number: int) -> list[bytes]:
        return await store.write(lambda t: t.changes(bob).read_up_to(message_id(number)))

    assert await reads(5) == [message_id(number) for number in (1, 2, 5)]
    assert await reads(5) == await reads(2) == await reads(99) == await reads(4) == []
    await store.write(lambda t: t.set_message_state(bob, [message_id(3)], DeliveryState.DELIVERED))
    assert await reads(6) == [message_id(3), message_id(6)]
    await store.write(lambda t: t.add_message(outgoing(bob, 7)))
    assert await reads(7) == []


# --- Agreements and disappearing ----------------------------------------------------------------


async def test_agreements_are_kept_and_forgotten(store: Database, bob: int, tmp_path: Path) -> None:
    """R-9.6.1"""
    state = Vanishing(
        60,
        30,
        Proposal(b"o" * 16, 1),
        Proposal(b"t" * 16, 2),
        (Proposal(b"r" * 16, 3), Proposal(b"s" * 16, 3)),
        20,
    )
    await store.write(lambda t: t.changes(bob).put_kinds(frozenset({"text", "edit"})))
    await store.write(lambda t: t.changes(bob).put_vanishing(state))
    await store.close()
    store = reopen(tmp_path)
    assert await store.read(lambda t: t.changes(bob).kinds()) == {"text", "edit"}
    assert await store.read(lambda t: t.changes(bob).vanishing()) == state
    assert await store.read(lambda t: t.changes(bob).lifetime_s()) == 60

    def wait(t: Transaction) -> None:
        t.add_message(outgoing(bob, 1, "stays"))
        t.add_message(hidden(bob, 2, MessageKind.EDIT, "goes"))
        t.add_message(outgoing(bob, 3, "deleted before it arrived"))
        t.changes(bob).erase(message_id(3))
        t.changes(bob).forget_agreements()

    await store.write(wait)
    assert await store.read(lambda t: t.changes(bob).vanishing()) == Vanishing()
    assert await store.read(lambda t: t.changes(bob).kinds()) == frozenset()
    assert await store.read(lambda t: t.changes(bob).lifetime_s()) is None
    waiting = await store.read(lambda t: t.undelivered(bob, 10, unsealed_only=False))
    assert numbers(waiting) == [1]
    await store.close()


async def test_what_has_run_out_leaves_no_row_and_no_word(
    store: Database, bob: int, tmp_path: Path
) -> None:
    """R-9.6.4, R-9.6.5"""

    def add(t: Transaction) -> None:
        t.add_message(replace(outgoing(bob, 1, "ourcanary"), lifetime_s=60))
        t.add_message(replace(incoming(bob, 2, "theircanary"), lifetime_s=60))
        t.add_message(incoming(bob, 3, "stays"))
        t.changes(bob).react(message_id(1), Direction.IN, "👍")

    await store.write(add)
    await indexed(store)

    async def start(direction: Direction) -> bool:
        return await store.write(lambda t: t.changes(bob).start(direction, 1000))

    assert not await start(Direction.OUT)  # not delivered
    assert not await start(Direction.IN)  # not read
    assert await store.read(lambda t: t.next_expiry()) is None
    await store.write(lambda t: t.set_message_state(bob, [message_id(1)], DeliveryState.DELIVERED))
    await store.write(lambda t: t.mark_read(bob))
    assert await start(Direction.OUT)
    assert await start(Direction.IN)
    assert not await start(Direction.IN)  # runs already
    assert await store.read(lambda t: t.next_expiry()) == 61_000
    assert await store.write(lambda t: t.expire(60_999)) == []
    gone = await store.write(lambda t: t.expire(61_000))
    assert sorted(gone) == [(bob, message_id(1)), (bob, message_id(2))]
    assert (tmp_path / "chat.db-wal").stat().st_size == 0
    await purge(store)
    assert numbers(await store.read(lambda t: t.messages(bob))) == [3]
    assert await ask(store, "SELECT count(*) FROM reaction") == 0
    for content in (store._writer._connection.serialize("main") or b"", await index_bytes(store)):
        assert b"canary" not in content


async def test_a_removed_contact_takes_it_all_along(store: Database, bob: int) -> None:
    def fill(t: Transaction) -> None:
        t.add_message(incoming(bob, 1))
        t.changes(bob).react(message_id(1), Direction.IN, "👍")
        t.changes(bob).put_vanishing(Vanishing(60, 0, Proposal(b"o" * 16, 1)))

    await store.write(fill)
    await store.write(lambda t: t.remove_contact(bob))
    for table in ("reaction", "agreement", "timer_proposal"):
        assert await ask(store, f"SELECT count(*) FROM {table}") == 0  # noqa: S608  # our own
