"""The border to apsw's exceptions: everything leaves the store as one of ours.

Damage is told apart from failure, because the person acts differently: a damaged store needs a
backup, a full disk needs room. What this does not do: repair anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import apsw

from p2pchat.errors import DamagedStoreError, P2PChatError, StoreError, UnknownContactError

DISK_FULL: Final = "the disk is full: the change was not stored; make room, try again"


def translate(error: apsw.Error) -> P2PChatError:
    """Return our error for ``error``, with a sentence that says what to do."""
    match error:
        case apsw.NotADBError() | apsw.CorruptError():
            return DamagedStoreError(
                "the profile's database is damaged; restore it from a backup (nothing was changed)"
            )
        case apsw.FullError():
            return StoreError(DISK_FULL)
        case apsw.IOError() if _extended(error) == apsw.SQLITE_IOERR_SHMSIZE:
            return StoreError(DISK_FULL)  # the log's index could not grow
        case apsw.ReadOnlyError():
            return StoreError(
                "the profile's database cannot be written to: look at the permissions of its "
                "folder and files, and whether the disk is read-only"
            )
        case apsw.IOError() | apsw.CantOpenError():
            return StoreError(f"reading or writing the profile failed: {error}")
        case apsw.ConstraintError() if _extended(error) == apsw.SQLITE_CONSTRAINT_FOREIGNKEY:
            # All foreign keys refer to contacts: the contact was removed in the meantime.
            return UnknownContactError("the contact does not exist any more")
        case _:
            return StoreError(f"the profile's database refused: {error}")


def _extended(error: apsw.Error) -> int:
    """Return SQLite's extended result code, which apsw sets but its type hints do not name."""
    return int(getattr(error, "extendedresult", 0))


@contextmanager
def translated() -> Iterator[None]:
    """Turn apsw's exceptions inside the block into ours."""
    try:
        yield
    except apsw.Error as error:
        raise translate(error) from error
