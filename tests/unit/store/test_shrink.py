"""What was deleted is gone: from the pages, the free ones among them, the index and the log.

The files are looked through page by page, each decrypted with the key: used ones and free ones,
those of the database and those of its log. SQLite itself would not show them.
"""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from p2pchat.errors import StoreError
from p2pchat.store import search, writer
from p2pchat.store.database import Database
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, MessageRecord
from tests.unit.store.files import DATABASE_ID, KEY, contact, message_id, new_store, reopen

CANARY = "xylophonequetzal"
MESSAGES = 60
PAGE = 4096


def decrypted(folder: Path) -> bytes:
    """Every page of the database and every frame of its log under the cipher, free ones too."""
    database, log = folder / "chat.db", folder / "chat.db-wal"
    raw = database.read_bytes()
    pages = [
        _page(number, raw[at : at + PAGE])
        for number, at in enumerate(range(0, len(raw), PAGE), start=1)
    ]
    raw = log.read_bytes() if log.exists() else b""
    for at in range(32, len(raw), 24 + PAGE):
        (number,) = struct.unpack_from(">I", raw, at)
        pages.append(_page(number, raw[at + 24 : at + 24 + PAGE]))
    return b"".join(pages)


def _page(number: int, page: bytes) -> bytes:
    """Open one page as SQLite3 Multiple Ciphers seals it with ChaCha20 (its cipher "chacha20").

    The page ends with a nonce of 16 bytes and a tag of 16; its one-time key is ChaCha20's under
    the database's key, of which the second half encrypts. Of page 1, 24 bytes stay as they are.
    """
    nonce, open_bytes = page[-32:-16], 24 if number == 1 else 0
    counter = struct.unpack_from("<I", nonce, 12)[0] ^ number
    once = _chacha20(KEY.reveal(), counter, nonce, bytes(64))
    return _chacha20(once[32:], counter + 1, nonce, page[open_bytes:-32])


def _chacha20(key: bytes, counter: int, nonce: bytes, data: bytes) -> bytes:
    start = struct.pack("<I", counter & 0xFFFFFFFF) + nonce[:12]
    return Cipher(ChaCha20(key, start), mode=None).encryptor().update(data)


def log_bytes(folder: Path) -> int:
    log = folder / "chat.db-wal"
    return log.stat().st_size if log.exists() else 0


async def fill(store: Database) -> None:
    def work(transaction: Transaction) -> None:
        transaction.put_contact(contact())
        for number in range(MESSAGES):
            text = f"{CANARY} number {number} " + "and more of it " * 40
            record = MessageRecord(
                message_id(number), 1, Direction.IN, text, number, DeliveryState.READ
            )
            transaction.add_message(record)

    await store.write(work)
    index = search.SearchIndex(store._writer._connection)
    await store.write(lambda _: index.index_batch())


def found(folder: Path) -> bool:
    """Whether the canary can be read; the index holds words with common beginnings left out."""
    plain = decrypted(folder)
    return CANARY.encode() in plain or CANARY[4:].encode() in plain


async def test_no_trace_of_deleted_messages_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "IDLE_S", 60.0)  # nothing happens by itself
    store = new_store(tmp_path)
    await fill(store)
    assert found(tmp_path)
    before = store.size_bytes()
    while await store.write(lambda tx: tx.delete_outlived(1, 10**6, 25)):
        pass
    assert found(tmp_path), "the index should still hold its words, or this shows nothing"
    await store.shrink()
    assert log_bytes(tmp_path) == 0
    assert not found(tmp_path)
    assert store.size_bytes() < max(before, 2 * 10**5)
    store.close_now()
    assert (tmp_path / "chat.db").read_bytes()[:16] == DATABASE_ID  # the key file names it
    reopened = reopen(tmp_path)
    assert reopened.stale == ""
    reopened.close_now()


async def test_what_is_queued_meanwhile_is_done_after_it(store: Database) -> None:
    await fill(store)
    shrinking = asyncio.gather(store.shrink(), store.write(lambda tx: tx.put_setting("a", "b")))
    assert (await shrinking)[1] is None
    assert await store.read(lambda tx: tx.get_setting("a")) == "b"
    assert len(await store.read(lambda tx: tx.messages(1))) == MESSAGES


async def test_a_reader_in_the_way_is_said_and_nothing_is_lost(
    store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store)
    reader = store.snapshot()
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM message").fetchall()
    store._writer._connection.set_busy_timeout(1)
    with pytest.raises(StoreError, match="try again"):
        await store.shrink()
    reader.close()
    assert len(await store.read(lambda tx: tx.messages(1))) == MESSAGES
    await store.shrink()
