"""A copy of the database while a newer program brings it forward.

Each step of a migration is one transaction, so a step that fails undoes itself. The copy is for
what no transaction undoes: a step that was not the first, or one that did what nobody meant. It
is made after the log was folded in, is as encrypted as what it copies, and goes when the database
has been opened once more as what it has become.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from p2pchat.errors import P2PChatError, StoreError
from p2pchat.store.faults import translate
from p2pchat.store.keyfile import sync_folder
from p2pchat.store.schema import SCHEMA_VERSION, migrate, require_known

COPY: Final = "before-update"
"""Ends the copy's name."""


def copy_of(database: Path) -> Path:
    """Return where the copy is while there is one."""
    return database.with_name(f"{database.name}.{COPY}")


def bring_forward(open_writing: Callable[[], apsw.Connection], database: Path) -> apsw.Connection:
    """Open a database and migrate it if it is older; what fails leaves it as it was.

    Args:
        open_writing: Opens it; called again only if something was put back.
        database: Its file; the profile's lock is held.

    Returns:
        The open connection, of the newest version.

    Raises:
        StoreError: There is no room for the copy (nothing was changed), or a step failed (what
            was before is back), or a newer program made it.
    """
    connection = open_writing()
    copy = copy_of(database)
    try:
        version = int(connection.pragma("user_version"))
        require_known(version)
        if version == SCHEMA_VERSION:
            copy.unlink(missing_ok=True)
            return connection
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
    return connection


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
