"""The store itself: one encrypted SQLite file, a thread that writes, a thread that reads.

Implements ``ports.Store``. Invariants: an awaited ``write`` is on the disk; a ``read`` sees it;
what one unit changes is visible whole or not at all, also after a crash; nothing leaves memory
unencrypted. That an older copy of the file, or of a page, was put back shows when it is opened
(``store.freshness``), and leaves no session that could use its keys a second time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import TypeVar

import apsw

from p2pchat.crypto.secret import Secret
from p2pchat.errors import DamagedStoreError
from p2pchat.store import freshness
from p2pchat.store.audit import Appended
from p2pchat.store.audit_head import HeadFile
from p2pchat.store.audit_types import AuditEvent
from p2pchat.store.connection import create_database, open_database, probe
from p2pchat.store.execute import executor
from p2pchat.store.faults import translated
from p2pchat.store.outside_count import CountFile, KeychainCount, OutsideCount
from p2pchat.store.ports import Transaction
from p2pchat.store.profile import AUDIT_HEAD, COUNT
from p2pchat.store.reader import Reader
from p2pchat.store.records import IdentityRecord
from p2pchat.store.safe_copy import bring_forward
from p2pchat.store.schema import migrate
from p2pchat.store.search import SearchIndex
from p2pchat.store.transaction import SqlTransaction
from p2pchat.store.writer import Writer

T = TypeVar("T")


class Database:
    """An open, unlocked store; made by ``open_store``.

    Attributes:
        stale: Why the database is older than it was, if it is: no session is left in it then.
        audit_head: The end of the audit log that is kept outside of the database.
    """

    def __init__(
        self,
        writing: apsw.Connection,
        reading: apsw.Connection,
        path: Path,
        key: Secret,
        *,
        count: OutsideCount,
        stale: str,
        audit_head: HeadFile,
    ) -> None:
        self.stale = stale
        self.audit_head = audit_head
        self._path = path
        self._key = key
        self._count = count
        self._warned: Callable[[AuditEvent], None] | None = None
        self._unheard: list[AuditEvent] = []
        self._lock = Lock()
        self._closing = Lock()
        self._reader = Reader(reading)
        try:
            self._writer = Writer(writing, count, self._audited)
        except BaseException:  # whatever it was, no thread stays behind
            self._reader.close()
            raise

    def write(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        """Run a unit of work; completes after the durable commit.

        Raises:
            StoreError: The store is closed. When awaited: the commit failed.
        """
        return self._writer.inbox.submit(work)

    def read(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        """Run a unit that only reads; does not wait for a disk sync.

        Raises:
            StoreError: The store is closed. When awaited: the unit tried to write.
        """
        return self._reader.inbox.submit(work)

    def snapshot(self) -> apsw.Connection:
        """Return one more connection that only reads, for long work; the caller closes it.

        Raises:
            StoreError: It cannot be opened.
        """
        return open_database(self._path, self._key, read_only=True)

    def shrink(self) -> Awaitable[None]:
        """Write the database anew without a trace of what was deleted (``Writer.shrink``).

        Raises:
            StoreError: The store is closed. When awaited: it could not be done now.
        """
        return self._writer.inbox.submit_alone(self._writer.shrink)

    def size_bytes(self) -> int:
        """Return how large the database's file is."""
        return self._path.stat().st_size

    def keep_count_in(self, keychain: KeychainCount | None) -> None:
        """Keep the count in that keychain too from now on, or in none; blocks for the former."""
        self._count.keep_in(keychain)

    def on_warning(self, warned: Callable[[AuditEvent], None]) -> None:
        """Call ``warned`` with each warning of the audit log, those since the opening included.

        It is called on this thread or the store's, and must not raise.
        """
        with self._lock:
            self._warned = warned
            unheard, self._unheard = self._unheard, []
        for warning in unheard:
            warned(warning)

    def _audited(self, audited: list[Appended]) -> None:
        self.audit_head.write(audited[-1].head)
        for warning in [warning for appended in audited for warning in appended.warnings]:
            with self._lock:
                warned = self._warned
                if warned is None:
                    self._unheard.append(warning)
            if warned is not None:
                warned(warning)

    async def close(self) -> None:
        """Finish what is queued and close the files."""
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """Do the same, blocking; harmless when closed already."""
        with self._closing:
            self._reader.close()  # first: the last connection folds the log into the file
            self._writer.close()
            self._key.wipe()


def create_store(
    path: Path, key: Secret, database_id: bytes, fill: Callable[[apsw.Connection], None]
) -> None:
    """Make the database, durably, and close it.

    Args:
        path: Must not exist.
        key: 32 bytes.
        database_id: 16 random bytes for the head of the file.
        fill: Brings the empty database to the newest version, with an identity in it.

    Raises:
        StoreError: The file exists or cannot be written.
    """
    connection = create_database(path, key, database_id)
    with translated():
        try:
            fill(connection)
        finally:
            connection.close()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_identity(
    connection: apsw.Connection,
    identity: IdentityRecord,
    events: Sequence[AuditEvent] = (),
    settings: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Bring an empty database to the newest version; give it identity, first records, settings."""
    migrate(connection)
    connection.execute("BEGIN IMMEDIATE")
    transaction = SqlTransaction(connection, SearchIndex(connection))
    transaction.put_identity(identity)
    for event in events:
        transaction.audit(event)
    for key, value in settings.items():
        transaction.put_setting(key, value)
    connection.execute("COMMIT")


def open_store(
    path: Path, key: Secret, database_id: bytes, *, keychain: KeychainCount | None = None
) -> tuple[Database, IdentityRecord]:
    """Open the database; nothing is written before it is known to be ours and whole.

    Args:
        path: Its file.
        key: 32 bytes.
        database_id: The first 16 bytes of the file.
        keychain: Keeps the count as well, if the profile's unlocking is there.

    Returns:
        The running store, and the identity inside.

    Raises:
        DamagedStoreError: Not ours, not encrypted, damaged, or without an identity.
        StoreError: Made by a newer program, or it cannot be opened.
    """
    probe(path, key, database_id)
    with translated():
        reading = None
        writing = bring_forward(partial(open_database, path, key), path)
        try:
            identity = SqlTransaction(writing, SearchIndex(writing)).identity()
            if identity is None:
                raise DamagedStoreError("the profile's database holds no identity")
            count = OutsideCount(CountFile(path.with_name(COUNT)), keychain)
            stale = _make_fresh(writing, count.read())
            known = freshness.count_of(executor(writing))
            reading = open_database(path, key, read_only=True)
            own = Secret(key.reveal())  # ``close`` wipes it, the caller's is the caller's
            head = HeadFile(path.with_name(AUDIT_HEAD))
            head.inspect(executor(writing))
            store = Database(writing, reading, path, own, count=count, stale=stale, audit_head=head)
            count.begin(known)  # committed and synced; nobody has the store to change it yet
            return store, identity
        except BaseException:  # whatever it was, the files must not stay open
            if reading is not None:
                reading.close()
            writing.close()
            raise


def _make_fresh(connection: apsw.Connection, outside: int) -> str:
    """Drop what an older copy of the database, or of a page, would bring back."""
    connection.execute("BEGIN IMMEDIATE")
    found = freshness.restore(executor(connection), outside)
    connection.execute("COMMIT")
    return found
