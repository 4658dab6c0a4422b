"""A copy of the database while a newer program brings it forward.

A migration is one transaction, so one that fails undoes itself. The copy is for what no
transaction undoes: a migration that did what nobody meant, or a disk that lost a part of it. It is
made after the log was folded in, and is as encrypted as what it copies.

It holds the keys of that moment, which must not outlive their time, so it goes in the same start:
once the migration is committed and synced, the database was closed (which folds its log in) and
opened again, every page of it was read, and it has still the same identity and whom it had contact
with. If it has not, the copy is put back as after a migration that failed. A process that is killed
before that leaves the copy, and the next start looks in the same way; it then puts nothing back by
itself, since it cannot know what has been written since.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import apsw

from p2pchat.errors import DamagedStoreError, P2PChatError, StoreError
from p2pchat.store.faults import translate
from p2pchat.store.keyfile import sync_folder
from p2pchat.store.schema import SCHEMA_VERSION, migrate, require_known

COPY: Final = "before-update"
"""Ends the copy's name."""

_log = logging.getLogger(__name__)


def copy_of(database: Path) -> Path:
    """Return where the copy is while there is one."""
    return database.with_name(f"{database.name}.{COPY}")


def bring_forward(open_writing: Callable[[], apsw.Connection], database: Path) -> apsw.Connection:
    """Open a database and migrate it if it is older; what fails leaves it as it was.

    Args:
        open_writing: Opens it; called again after the migration.
        database: Its file; the profile's lock is held.

    Returns:
        The open connection, of the newest version.

    Raises:
        StoreError: There is no room for the copy (nothing was changed), or the migration failed
            (what was before is back), or a newer program made it.
        DamagedStoreError: An earlier start left a migrated database that is not whole.
    """
    connection = open_writing()
    copy = copy_of(database)
    try:
        version = int(connection.pragma("user_version"))
        require_known(version)
        if version == SCHEMA_VERSION:
            if copy.exists():
                _check_left(connection, copy)
                _delete(copy)
            return connection
        before = _content(connection)
        _make(connection, database, copy)
    except OSError as error:
        connection.close()
        raise StoreError(
            f"no copy of the database could be made before the update: {error.strerror}; make "
            "room, try again (nothing was changed)"
        ) from error
    except BaseException:  # whatever it was, the file must not stay open
        connection.close()
        raise
    try:
        migrate(connection)
        connection.close()
        connection = open_writing()
        _check(connection, before)
    except (apsw.Error, P2PChatError) as error:
        connection.close()
        _put_back(database, copy)
        why = translate(error) if isinstance(error, apsw.Error) else error
        raise StoreError(
            f"the profile could not be brought to this version of p2pchat ({why}); it is as it "
            "was before, and the version that made it still opens it"
        ) from error
    except BaseException:
        connection.close()
        raise
    _delete(copy)
    return connection


def _content(connection: apsw.Connection) -> list[tuple[Any, ...]]:
    """Return what no update may change: who we are, and whom we know."""
    return [
        *connection.execute("SELECT 0, signing_seed FROM identity"),
        *connection.execute("SELECT contact_id, identity FROM contact ORDER BY contact_id"),
    ]


def _check(connection: apsw.Connection, before: list[tuple[Any, ...]]) -> None:
    """Read every page of what a migration has made.

    Raises:
        DamagedStoreError: It is not whole, or not what it was made of.
    """
    _require_whole(connection)
    if connection.pragma("user_version") != SCHEMA_VERSION or _content(connection) != before:
        raise DamagedStoreError("it has come out with another content")


def _check_left(connection: apsw.Connection, copy: Path) -> None:
    """Look at a database that was migrated by a start that did not end.

    Raises:
        DamagedStoreError: It is not whole; the copy stays.
    """
    try:
        _require_whole(connection)
    except (apsw.Error, DamagedStoreError) as error:
        raise DamagedStoreError(
            f"the last update of the database did not succeed ({error}); what it was before is "
            f"kept in {copy}"
        ) from error


def _require_whole(connection: apsw.Connection) -> None:
    for (finding,) in connection.execute("PRAGMA quick_check(1)"):
        if finding != "ok":
            raise DamagedStoreError(f"it is damaged: {' '.join(finding.split())}")


def _delete(copy: Path) -> None:
    """Delete the copy for good; the next start tries again if the disk refuses."""
    try:
        copy.unlink()
        sync_folder(copy.parent)
    except OSError as error:
        _log.warning("the copy from before the update was not deleted: %s", error.strerror)


def _make(connection: apsw.Connection, database: Path, copy: Path) -> None:
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    part = copy.with_name(f"{copy.name}.part")
    part.unlink(missing_ok=True)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as target, database.open("rb") as source:
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
        part.replace(copy)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(database.parent)


def _put_back(database: Path, copy: Path) -> None:
    """Put the copy in the place of what a failed migration left; its log must not follow it."""
    try:
        for ending in ("-wal", "-shm", "-journal"):
            database.with_name(database.name + ending).unlink(missing_ok=True)
        copy.replace(database)
        sync_folder(database.parent)
    except OSError as error:
        raise StoreError(
            f"the update failed, and {copy} could not be put back ({error.strerror}); "
            f"rename it to {database.name} yourself"
        ) from error
