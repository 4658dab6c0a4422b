"""Opens encrypted SQLite connections, and refuses whatever would be less than that.

The cipher library fails open in three ways that this module closes: a malformed raw key is
silently taken as a passphrase, a missing key means plaintext, and another ``apsw`` in the same
environment has no cipher at all. Every connection of the store is made here. Nothing is written
before ``probe`` has read the database with its key.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import apsw

from p2pchat.constants import KEY_LEN
from p2pchat.crypto.secret import Secret
from p2pchat.errors import DamagedStoreError, StoreError
from p2pchat.store.faults import translated
from p2pchat.store.schema import require_known

CIPHER: Final = "chacha20"
"""sqleet's ChaCha20-Poly1305 pages, the library's default; named so that no default decides."""
DATABASE_ID_LEN: Final = 16
"""The cipher's salt: the file's first bytes, chosen at creation and kept for its life."""
PLAINTEXT_MAGIC: Final = b"SQLite format 3\x00"
BUSY_TIMEOUT_MS: Final = 5000
"""Reader and writer meet only while the WAL is recovered or reset."""
WHOLE_CHECK_MAX_BYTES: Final = 8 << 20
"""Files up to this size are checked page by page when opened (some 20 ms); larger ones show
damage when the damaged page is read."""
JOURNAL_SIZE_LIMIT_BYTES: Final = 16 << 20
"""A WAL that once grew larger is cut back to this at the next checkpoint."""


def require_cipher() -> None:
    """Return only if the imported ``apsw`` is the one that encrypts.

    Raises:
        StoreError: A plain ``apsw`` shadows ``apsw-sqlite3mc``.
    """
    if not hasattr(apsw, "mc_version"):
        raise StoreError(
            "the installed 'apsw' cannot encrypt and shadows 'apsw-sqlite3mc'; "
            "uninstall 'apsw', then reinstall p2pchat"
        )


def create_database(path: Path, key: Secret, database_id: bytes) -> apsw.Connection:
    """Make a new encrypted database in an empty file that only we may read.

    Args:
        path: Must not exist.
        key: 32 bytes.
        database_id: 16 random bytes, the salt at the file's head.

    Raises:
        StoreError: The file exists, the disk refuses, or encryption is not to be had.
    """
    require_cipher()
    if len(database_id) != DATABASE_ID_LEN:
        raise StoreError(f"a database id has {DATABASE_ID_LEN} bytes")
    try:
        # SQLite gives the -wal and -shm files the mode of this one, whatever the umask says.
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)
    except OSError as error:
        raise StoreError(f"cannot make {path}: {error.strerror}") from error
    with translated():
        connection = _keyed(path, key, apsw.SQLITE_OPEN_READWRITE, database_id)
        _configure(connection)
        _use_wal(connection)
    require_encrypted(path, database_id)
    return connection


def open_database(path: Path, key: Secret, *, read_only: bool = False) -> apsw.Connection:
    """Open an existing encrypted database; ``probe`` it first.

    Raises:
        DamagedStoreError: The file does not decrypt.
        StoreError: It cannot be opened.
    """
    require_cipher()
    with translated():
        flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
        connection = _keyed(path, key, flags)
        _configure(connection)
        if read_only:
            connection.pragma("query_only", True)
        else:
            _use_wal(connection)
    return connection


def probe(path: Path, key: Secret, database_id: bytes) -> None:
    """Check without writing that ``path`` is our database under ``key``, and whole.

    Raises:
        DamagedStoreError: Plaintext, another profile's, truncated or damaged.
        StoreError: It cannot be read, or a newer program made it.
    """
    require_cipher()
    require_encrypted(path, database_id)
    with translated():
        # Read-only, so that closing it does not even fold the WAL into the file.
        connection = _keyed(path, key, apsw.SQLITE_OPEN_READONLY)
        try:
            version = connection.pragma("user_version")
            if not isinstance(version, int) or version < 1:
                raise DamagedStoreError("the profile's database is empty; restore it from a backup")
            require_known(version)
            if path.stat().st_size <= WHOLE_CHECK_MAX_BYTES:
                findings = connection.execute("PRAGMA quick_check(1)").fetchall()
                if findings != [("ok",)]:
                    raise DamagedStoreError(
                        f"the profile's database is damaged ({findings[0][0]}); restore it from "
                        "a backup (nothing was changed)"
                    )
        finally:
            connection.close()


def require_encrypted(path: Path, database_id: bytes) -> None:
    """Look at the file's first bytes: never plaintext, and those that the key file names.

    Raises:
        DamagedStoreError: They are others.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(PLAINTEXT_MAGIC))
    except FileNotFoundError:
        raise DamagedStoreError(
            f"the profile's database {path} is missing; restore it from a backup"
        ) from None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    if head == PLAINTEXT_MAGIC:
        raise DamagedStoreError(
            f"{path} is a plaintext database, not this profile's encrypted one; it was left alone"
        )
    if head != database_id:
        raise DamagedStoreError(
            f"{path} does not belong to this profile's key file, or its beginning is damaged; "
            "restore both from one backup"
        )


def _keyed(
    path: Path, key: Secret, flags: int, database_id: bytes | None = None
) -> apsw.Connection:
    """Open and key; the key is set before anything touches a page."""
    if len(key) != KEY_LEN:
        raise StoreError(f"a database key has {KEY_LEN} bytes, not {len(key)}")
    raw = key.reveal().hex() + (database_id.hex() if database_id is not None else "")
    connection = apsw.Connection(str(path), flags=flags)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        chosen = connection.pragma("cipher", CIPHER)
        accepted = connection.pragma("key", f"raw:{raw}")
        if chosen != CIPHER or accepted != "ok":
            raise StoreError("the database library did not take the cipher; reinstall p2pchat")
    except BaseException:  # whatever it was, the file must not stay open
        connection.close()
        raise
    return connection


def _configure(connection: apsw.Connection) -> None:
    """Set what is not stored in the file; foreign keys are off by default."""
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    connection.config(apsw.SQLITE_DBCONFIG_DQS_DDL, 0)
    connection.pragma("foreign_keys", True)
    connection.pragma("temp_store", "memory")  # a temporary file would be plaintext
    connection.pragma("secure_delete", True)
    connection.pragma("mmap_size", 0)


def _use_wal(connection: apsw.Connection) -> None:
    mode = connection.pragma("journal_mode", "wal")
    if mode != "wal":
        raise StoreError("the profile's file system cannot hold a write-ahead log")
    connection.pragma("synchronous", "full")
    connection.pragma("journal_size_limit", JOURNAL_SIZE_LIMIT_BYTES)
