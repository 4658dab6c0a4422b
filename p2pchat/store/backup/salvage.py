"""Making a new profile of what can still be read of a damaged one.

The damaged database is copied first and only the copy is opened, so nothing that is done here can
make it worse. Each page carries its own tag, so a damaged one is an error and never wrong data.
A table is read in the order of its keys; where a page does not open, reading goes on behind it
and then backwards up to it. What belongs together and is not whole is left out: the ledger and the
audit log, each of which begins anew. As in a backup, no session is taken over. The audit log, new
or not, has a record of the salvage and of what was lost; in a new one it is the first.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw

from p2pchat.crypto import pwhash
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import DamagedStoreError, ProfileExistsError, StoreError
from p2pchat.identity.keys import identity_from_seed, key_id
from p2pchat.store import audit, keyfile
from p2pchat.store.attempts import Attempts
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.backup import tables
from p2pchat.store.backup.archive import fresh_columns
from p2pchat.store.connection import open_database
from p2pchat.store.execute import executor
from p2pchat.store.open import hold_profile, make_profile, profile_exists
from p2pchat.store.profile import Profile
from p2pchat.store.schema import MIGRATIONS, migrate, require_known
from p2pchat.store.search import SearchIndex
from p2pchat.store.transaction import SqlTransaction
from p2pchat.store.unlocking import Unlock, unlock_key

_LEDGER: Final = ("ledger", "ledger_head", "ledger_finding")
_AUDIT: Final = ("audit_log", "audit_record")
"""Tables that are of use together, whole or not at all."""
UNREADABLE: Final = (
    "the pages that say what the database holds cannot be read, so nothing can be salvaged; "
    "restore a backup"
)
_LEAP_MAX: Final = 1 << 40
"""Rows beyond this are not looked for."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was saved.

    Attributes:
        saved: Rows of each table in the new profile.
        damaged: Tables of which something could not be read, or did not fit the rest.
    """

    saved: Mapping[str, int]
    damaged: tuple[str, ...]

    @property
    def ledger_begins_anew(self) -> bool:
        """Whether the ledgers of all conversations were given up."""
        return not {*_LEDGER}.isdisjoint(self.damaged)

    @property
    def audit_log_begins_anew(self) -> bool:
        """Whether the audit log was given up."""
        return not {*_AUDIT}.isdisjoint(self.damaged)


def salvage(
    damaged: Path,
    folder: Path,
    *,
    unlock: Unlock,
    rng: Rng,
    now_ms: int,
    memory_kib: int = pwhash.DEFAULT_MEMORY_KIB,
) -> Report:
    """Make a new profile in ``folder`` of what can be read of the one in ``damaged``.

    Args:
        damaged: The damaged profile; stays as it is.
        folder: Of the new one; there must be none yet.
        unlock: Unlocks the damaged profile, and the new one from then on.
        rng: For all new keys.
        now_ms: Wall clock, as for restoring a backup.
        memory_kib: Argon2id memory of the new profile.

    Raises:
        ProfileExistsError: There is a profile in ``folder``.
        LockedError: ``unlock`` does not unlock the damaged one.
        DamagedStoreError: Key file, schema or identity cannot be read; nothing was made.
        StoreError: The disk refuses, or another process holds the damaged one.
    """
    if profile_exists(folder):
        raise ProfileExistsError(f"there is a profile in {folder} already; choose another folder")
    source = Profile(damaged)
    lock = hold_profile(damaged)
    copy = folder.with_name(f".{folder.name}.{rng(4).hex()}.salvage")
    try:
        key_file = keyfile.read(source.key)
        attempts = Attempts(source.attempts)
        key = unlock_key(key_file, unlock, attempts, now_ms=now_ms)
        _copy(source, copy, key_file.database_id)
        found: dict[str, int] = {}
        bad: set[str] = set()
        connection = _opened(copy / source.database.name, key)
        try:
            make_profile(
                folder,
                lambda new: _fill(new, connection, found, bad, rng=rng, now_ms=now_ms),
                unlock=unlock,
                rng=rng,
                memory_kib=memory_kib,
            ).close()
            if source.config.exists():
                shutil.copyfile(source.config, Profile(folder).config)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise DamagedStoreError(UNREADABLE) from error
        finally:
            connection.close()
    except OSError as error:
        raise StoreError(f"cannot salvage into {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(copy, ignore_errors=True)
        lock.release()
    return Report(found, tuple(sorted(bad)))


def _copy(source: Profile, target: Path, database_id: bytes) -> None:
    """Copy database and log; the head, which the key file knows as well, is set right."""
    target.mkdir(mode=0o700, parents=True)
    for file in (source.database, source.database.with_name(source.database.name + "-wal")):
        if file.exists():
            shutil.copyfile(file, target / file.name)
    with (target / source.database.name).open("r+b") as copied:
        copied.write(database_id)


def _opened(copy: Path, key: Secret) -> apsw.Connection:
    try:
        return open_database(copy, key)
    except DamagedStoreError as error:
        raise DamagedStoreError(UNREADABLE) from error
    finally:
        key.wipe()


def _fill(
    new: apsw.Connection,
    old: apsw.Connection,
    found: dict[str, int],
    bad: set[str],
    *,
    rng: Rng,
    now_ms: int,
) -> None:
    version = int(old.pragma("user_version"))
    known = [name for (name,) in old.execute("SELECT name FROM sqlite_schema")]
    require_known(version)
    migrate(new, MIGRATIONS[:version])
    new.execute("BEGIN IMMEDIATE")
    # Rows that refer to a contact that is gone are refused one by one at their insertion.
    for table in tables.SAVED:
        if table not in known:
            continue
        found[table] = 0
        columns = tables.columns_of(new, table)
        kept = [name for name in columns if name not in tables.OMITTED_COLUMNS.get(table, ())]
        for row in _rows(old, table, kept, bad):
            part = tables.Rows(table, tuple(kept), [row])
            try:
                tables.load(new, part, fresh_columns(part, rng=rng, now_ms=now_ms))
                found[table] += 1
            except DamagedStoreError:
                bad.add(table)
    if not found.get("identity"):
        raise DamagedStoreError(
            "the identity in the database cannot be read; without it the rest is of no use: "
            "restore a backup"
        )
    for group in (_LEDGER, _AUDIT):
        if bad & set(group):
            for table in reversed(group):
                new.execute(f"DELETE FROM {table}")  # noqa: S608  # constants
                found[table] = 0
    execute = executor(new)
    if "audit_log" in found and not found["audit_log"]:
        for (seed,) in execute("SELECT signing_seed FROM identity", ()):
            audit.begin(execute, Secret(seed))
    new.execute("COMMIT")
    migrate(new)
    _note(new, bad, now_ms)


def _note(new: apsw.Connection, bad: set[str], now_ms: int) -> None:
    """Record what happened: nobody else could say later why something is missing."""
    new.execute("BEGIN IMMEDIATE")
    transaction = SqlTransaction(new, SearchIndex(new))
    identity = transaction.identity()
    if identity is None:
        raise DamagedStoreError(UNREADABLE)
    principal = identity_from_seed(identity.signing_seed).public
    context = {"source": "salvage", "lost": ", ".join(sorted(bad)) or "nothing"}
    transaction.audit(
        AuditEvent(AuditKind.RECOVERED, now_ms, principal, key_id(principal), context)
    )
    new.execute("COMMIT")


def _rows(
    connection: apsw.Connection, table: str, columns: list[str], bad: set[str]
) -> Iterator[list[Any]]:
    """Return the rows that can be read, each once."""
    ((without_rowid,),) = connection.execute(
        "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (table,)
    )
    if without_rowid:
        yield from _from_both_ends(connection, table, columns, bad)
        return
    listed = ", ".join(columns)
    last, leap = -1, 0
    while last < _LEAP_MAX:
        begin = last
        try:
            for row in connection.execute(
                f"SELECT rowid, {listed} FROM {table} WHERE rowid > ? ORDER BY rowid",  # noqa: S608  # our schema's
                (last,),
            ):
                if leap > 1:
                    yield from _backwards(connection, table, listed, after=begin - leap, to=row[0])
                last, leap = row[0], 0
                yield list(row[1:])
        except apsw.Error:
            bad.add(table)
            leap = max(1, 2 * leap)
            last += leap
        else:
            return


def _backwards(
    connection: apsw.Connection, table: str, listed: str, *, after: int, to: int
) -> Iterator[list[Any]]:
    """Return what was leapt over, from behind up to the damage."""
    try:
        for row in connection.execute(
            f"SELECT {listed} FROM {table} WHERE rowid > ? AND rowid < ? ORDER BY rowid DESC",  # noqa: S608  # our schema's
            (after, to),
        ):
            yield list(row)
    except apsw.Error:
        return


def _from_both_ends(
    connection: apsw.Connection, table: str, columns: list[str], bad: set[str]
) -> Iterator[list[Any]]:
    listed = ", ".join(columns)
    keys = [
        name
        for name, place in connection.execute(
            "SELECT name, pk FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,)
        )
        if place
    ]
    seen = set()
    for way in ("", " DESC"):
        order = ", ".join(f"{key}{way}" for key in keys)
        try:
            for row in connection.execute(f"SELECT {listed} FROM {table} ORDER BY {order}"):  # noqa: S608  # our schema's
                if row not in seen:
                    seen.add(row)
                    yield list(row)
        except apsw.Error:
            bad.add(table)
        else:
            return
