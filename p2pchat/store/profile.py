"""Where a profile is, which files it has, and who may read them.

A profile is one folder, 0700, of files 0600. Permissions that are too wide are mended without a
word, since they are ours to mend; a folder of another user is refused, since that user could
exchange every file in it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p2pchat.errors import StoreError, UsageError

DEFAULT_NAME: Final = "default"
AUDIT_HEAD: Final = "audit.head"
COUNT: Final = "count"
"""Both stand beside the database, whatever that is called."""
HOME_VARIABLE: Final = "P2PCHAT_HOME"
_NAME: Final = re.compile(r"\w[\w.-]{0,63}")
"""Begins with a letter, digit or underscore: neither ``..`` nor an option."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The files of the profile in the folder ``path``."""

    path: Path

    @property
    def key(self) -> Path:
        """Return the key file: the last to be written, so with it the profile is complete."""
        return self.path / "key"

    @property
    def database(self) -> Path:
        """Return the encrypted database."""
        return self.path / "chat.db"

    @property
    def audit_head(self) -> Path:
        """Return the end of the audit log as last committed, kept outside of the database."""
        return self.path / AUDIT_HEAD

    @property
    def lock(self) -> Path:
        """Return the lock file."""
        return self.path / "lock"

    @property
    def socket(self) -> Path:
        """Return the Unix socket of the process that holds the profile."""
        return self.path / "socket"

    @property
    def count(self) -> Path:
        """Return the count of changes, kept outside of the database (``store.freshness``)."""
        return self.path / COUNT

    @property
    def config(self) -> Path:
        """Return the person's settings; need not exist."""
        return self.path / "config.toml"

    @property
    def attempts(self) -> Path:
        """Return the list of wrong passphrases; need not exist."""
        return self.path / "attempts"

    @property
    def unfinished(self) -> Path:
        """Return the mark that is there while the profile is being made."""
        return self.path / "unfinished"

    @property
    def database_files(self) -> tuple[Path, ...]:
        """Return the database and what SQLite keeps beside it."""
        return tuple(
            self.database.with_name(self.database.name + ending)
            for ending in ("", "-wal", "-shm", "-journal")
        )


def resolve_profile(name_or_dir: str | None, env: Mapping[str, str]) -> Path:
    """Return the absolute folder of a profile; it need not exist.

    Args:
        name_or_dir: A name, a folder (anything with a path separator), or None for ``default``.
        env: Its ``P2PCHAT_HOME``, if set, is where names are looked up.

    Raises:
        UsageError: The name could not be a folder's.
    """
    name = DEFAULT_NAME if name_or_dir is None else name_or_dir
    if os.sep in name or (os.altsep is not None and os.altsep in name):
        if "\0" in name:
            raise UsageError("a profile's folder cannot have a NUL in its name")
        return Path(os.path.abspath(os.path.expanduser(name)))  # noqa: PTH100, PTH111  # no symlink is resolved
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a profile name: use letters, digits, '.', '-' and '_', "
            f"or give a folder such as './{name}'"
        )
    if home := env.get(HOME_VARIABLE):
        return Path(os.path.abspath(home)) / name  # noqa: PTH100  # no symlink is resolved
    # Late: only a start without P2PCHAT_HOME pays for it.
    import platformdirs

    return platformdirs.user_data_path("p2pchat", appauthor=False) / name


def make_folder(path: Path) -> None:
    """Make the profile's folder with mode 0700, or take an existing one that is ours.

    Raises:
        StoreError: It cannot be made, is no folder, or belongs to another user.
    """
    try:
        for folder in reversed([path, *path.parents]):
            if not folder.exists():
                folder.mkdir(mode=0o700)
                folder.chmod(0o700)  # whatever the umask took away
    except OSError as error:
        raise StoreError(f"cannot make the folder {path}: {error.strerror}") from error
    guard_folder(path)


def guard_folder(path: Path) -> None:
    """Close an existing profile to others: folder 0700, files 0600.

    Raises:
        StoreError: It is no folder, or belongs to another user.
    """
    try:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise StoreError(f"{path} is not a folder")
        _require_ours(path, status)
        if stat.S_IMODE(status.st_mode) != 0o700:
            path.chmod(0o700)
        for file in path.iterdir():
            # Another process that closes the database just now takes its log away.
            with contextlib.suppress(FileNotFoundError):
                _guard_file(file)
    except OSError as error:
        raise StoreError(f"cannot use the folder {path}: {error.strerror}") from error


def _guard_file(file: Path) -> None:
    status = file.lstat()
    if stat.S_ISREG(status.st_mode):
        _require_ours(file, status)
        if stat.S_IMODE(status.st_mode) & 0o077:
            file.chmod(0o600)


def _require_ours(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise StoreError(f"{path} belongs to another user; choose another profile folder")
