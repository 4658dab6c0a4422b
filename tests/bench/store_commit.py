"""One durable commit of one message of 100 bytes: what the encryption of the store costs.

Ours and the first peer are the same library, tables, statements and settings (write-ahead log,
``synchronous=FULL``, ``secure_delete``), with and without the cipher. The second peer is what a
program without any of this would do: Python's own SQLite, one table, one INSERT.

A disk's sync takes what it likes from one moment to the next, so the three commit in turn, one at
a time, and the medians of single commits count.
"""

from __future__ import annotations

import gc
import itertools
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import apsw

from p2pchat.crypto.secret import Secret
from p2pchat.identity.trust import Pin, Trust
from p2pchat.store import connection as encrypted
from p2pchat.store import freshness
from p2pchat.store.database import write_identity
from p2pchat.store.execute import executor
from p2pchat.store.records import (
    ContactRecord,
    DeliveryState,
    Direction,
    IdentityRecord,
    MessageRecord,
)
from p2pchat.store.search import SearchIndex
from p2pchat.store.transaction import SqlTransaction

NAME: Final = "store-commit"
TEXT: Final = "m" * 100
COMMITS: Final = 2000

Work = Callable[[], None]


def run() -> Iterator[dict[str, Any]]:
    """Commit in turn; yield ours against each peer."""
    sides = [_ours(), *(make() for make in PEERS.values())]
    times: list[list[float]] = [[] for _ in sides]
    gc.collect()
    gc.disable()
    try:
        for number in range(COMMITS):
            # Who comes first has the disk's mood of the round before; so each does in turn.
            for place in range(len(sides)):
                side = (number + place) % len(sides)
                start = time.perf_counter()
                sides[side]()
                times[side].append(time.perf_counter() - start)
    finally:
        gc.enable()
    ours, *peers = (statistics.median(samples) * 1e6 for samples in times)
    for name, peer in zip(PEERS, peers, strict=True):
        yield {
            "name": NAME,
            "ours": ours,
            "peer": peer,
            "peer_name": name,
            "unit": "us/commit",
            "ratio": ours / peer,
        }


def _ours() -> Work:
    folder = _folder()
    path = Path(folder.name, "chat.db")
    opened = encrypted.create_database(path, Secret(b"k" * 32), b"d" * 16)
    return _commits(opened, folder)


def _unencrypted() -> Work:
    folder = _folder()
    opened = apsw.Connection(str(Path(folder.name, "chat.db")))
    encrypted._configure(opened)
    encrypted._use_wal(opened)
    return _commits(opened, folder)


def _bare() -> Work:
    folder = _folder()
    database = sqlite3.connect(Path(folder.name, "plain.db"), isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE message (position INTEGER PRIMARY KEY, id BLOB, body TEXT)")
    numbers = itertools.count()

    def commit(_: object = folder) -> None:  # keeps the folder
        number = next(numbers)
        database.execute(
            "INSERT INTO message VALUES (NULL, ?, ?)", (number.to_bytes(16, "big"), TEXT)
        )

    return commit


PEERS: Final[Mapping[str, Callable[[], Work]]] = {
    "the same store, unencrypted": _unencrypted,
    "one INSERT of Python's SQLite": _bare,
}


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="p2pchat-bench-")


def _commits(opened: apsw.Connection, folder: object) -> Work:
    """Return the writer's own steps for one message, without its thread."""
    write_identity(opened, IdentityRecord("Bench", Secret(b"s" * 32), Secret(b"p" * 32), b"c"))
    index, execute = SearchIndex(opened), executor(opened)
    begun = SqlTransaction(opened, index)
    contact = begun.put_contact(ContactRecord(0, "Bob", Pin(b"b" * 32, Trust.UNVERIFIED)))
    numbers = itertools.count()

    def commit(_: object = folder) -> None:  # keeps the folder
        message = MessageRecord(
            next(numbers).to_bytes(16, "big"),
            contact.contact_id,
            Direction.OUT,
            TEXT,
            0,
            DeliveryState.QUEUED,
        )
        opened.execute("BEGIN IMMEDIATE")
        SqlTransaction(opened, index).add_message(message)
        freshness.advance(execute)
        opened.execute("COMMIT")

    return commit
