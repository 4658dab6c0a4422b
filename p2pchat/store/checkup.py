"""Looking a profile over without changing it: each look returns, or raises what is wrong."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Final

from p2pchat.errors import DamagedStoreError, StoreError
from p2pchat.store import keyfile
from p2pchat.store.attempts import Attempts
from p2pchat.store.connection import open_database, require_encrypted
from p2pchat.store.faults import translated
from p2pchat.store.profile import Profile
from p2pchat.store.schema import require_known
from p2pchat.store.unlocking import Unlock, unlock_key

ROOM_BYTES: Final = 64 << 20
"""Free room below which a profile may soon store nothing more."""
SKEW_S: Final = 24 * 3600
"""A file written so long after now shows that the clock was set back."""


def folder(profile: Profile) -> None:
    """Check that the folder is ours alone and can be written to.

    Raises:
        StoreError: It is not so.
    """
    path = profile.path
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise StoreError(f"{path} belongs to another user")
    for file in (path, *path.iterdir()):
        if stat.S_IMODE(file.lstat().st_mode) & 0o077 and not file.is_symlink():
            raise StoreError(f"others may read {file}; the next start closes it to them")
    if not os.access(path, os.W_OK | os.X_OK):
        raise StoreError(f"{path} cannot be written to; nothing new can be stored")
    if profile.database.exists() and not os.access(profile.database, os.R_OK | os.W_OK):
        raise StoreError(f"{profile.database} cannot be read and written")


def room(path: Path) -> int:
    """Return the free bytes of the disk that holds ``path``.

    Raises:
        StoreError: There are fewer than ``ROOM_BYTES``.
    """
    free = shutil.disk_usage(path).free
    if free < ROOM_BYTES:
        raise StoreError(f"the disk has only {free >> 20} MB left; make room")
    return free


def clock(profile: Profile, now_ms: int) -> None:
    """Check that nothing in the profile was written after now.

    Raises:
        StoreError: Something was.
    """
    newest = max(file.stat().st_mtime for file in profile.path.iterdir())
    if newest > now_ms / 1000 + SKEW_S:
        raise StoreError("the clock is behind what the profile was last used at; set it right")


def files(profile: Profile) -> keyfile.KeyFile:
    """Check that key file and database are there and belong together.

    Raises:
        DamagedStoreError: They do not, or one is missing or damaged.
    """
    if not profile.key.exists():
        raise DamagedStoreError(f"the key file {profile.key} is missing; restore a backup")
    key_file = keyfile.read(profile.key)
    require_encrypted(profile.database, key_file.database_id)
    return key_file


def database(profile: Profile, unlock: Unlock, now_ms: int) -> tuple[int, int]:
    """Read every page of the database, and what it holds.

    Returns:
        How many contacts and messages.

    Raises:
        LockedError: ``unlock`` does not unlock it.
        DamagedStoreError: Pages are damaged; the message says where.
        StoreError: A newer program made it.
    """
    attempts = Attempts(profile.attempts)
    key = unlock_key(keyfile.read(profile.key), unlock, attempts, now_ms=now_ms)
    with translated():
        connection = open_database(profile.database, key, read_only=True)
        try:
            require_known(connection.pragma("user_version"))
            findings = connection.execute("PRAGMA integrity_check(3)").fetchall()
            if findings != [("ok",)]:
                raise DamagedStoreError("; ".join(str(text) for (text,) in findings))
            ((contacts, messages),) = connection.execute(
                "SELECT (SELECT count(*) FROM contact), (SELECT count(*) FROM message)"
            )
            return int(contacts), int(messages)
        finally:
            key.wipe()
            connection.close()
