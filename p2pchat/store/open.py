"""Making a profile, and unlocking one.

Both block for about a second (Argon2id) and hold the profile's lock from the first look to
``OpenProfile.close``. Making is all or nothing: a mark is set first, the key file is written
last, and only a folder with the mark and without a key file is ever started over. Nothing that
could hold someone's identity is overwritten or deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from p2pchat.constants import KEY_LEN, NAME_MAX_BYTES
from p2pchat.crypto import pwhash, x25519
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import (
    DamagedStoreError,
    NoProfileError,
    ProfileExistsError,
    StoreError,
    UsageError,
)
from p2pchat.identity.certificate import issue
from p2pchat.identity.keys import generate_identity, identity_from_seed, key_id
from p2pchat.sanitize import clean_line
from p2pchat.store import keyfile
from p2pchat.store.attempts import Attempts
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.connection import DATABASE_ID_LEN, require_cipher
from p2pchat.store.database import Database, create_store, open_store, write_identity
from p2pchat.store.lock import ProfileLock
from p2pchat.store.profile import Profile, guard_folder, make_folder
from p2pchat.store.records import IdentityRecord
from p2pchat.store.unlocking import (
    KeychainUnlock,
    PassphraseUnlock,
    Unlock,
    keychain_count,
    require_usable,
    unlock_key,
    wrap,
)

__all__ = [
    "RECOVERED_AT_KEY",
    "KeychainUnlock",
    "OpenProfile",
    "PassphraseUnlock",
    "Unlock",
    "create_profile",
    "hold_profile",
    "make_profile",
    "open_profile",
    "profile_exists",
]

RECOVERED_AT_KEY: Final = "identity.recovered_at_ms"
"""Setting of a profile whose identity came from a recovery kit: when, wall clock."""


@dataclass(slots=True)
class OpenProfile:
    """An unlocked profile, held by this process until ``close``.

    Attributes:
        path: The folder.
        store: The running store.
        identity: Our own secrets, as stored when the profile was opened.
        attempts: Wrong passphrases that nobody was told of yet.
    """

    path: Path
    store: Database
    identity: IdentityRecord
    attempts: Attempts
    _lock: ProfileLock | None

    def close(self) -> None:
        """Finish what is queued, close the store, give the lock back if it is ours; blocks.

        Harmless twice.

        Inside an event loop, await ``store.close()`` first: then this does not wait.
        """
        try:
            self.store.close_now()
        finally:
            if self._lock is not None:
                self._lock.release()


def create_profile(
    path: Path,
    *,
    name: str,
    unlock: Unlock,
    rng: Rng,
    now_ms: int,
    memory_kib: int = pwhash.DEFAULT_MEMORY_KIB,
    recovered: Secret | None = None,
) -> OpenProfile:
    """Make an identity and the profile that holds it, and leave it unlocked.

    Args:
        path: The folder; made if missing. Files of other names in it are left alone.
        name: The person's own name, one line of at most ``NAME_MAX_BYTES`` of UTF-8.
        unlock: What unlocks the profile from now on.
        rng: For all keys, salts and nonces.
        now_ms: Wall clock; the static key's certificate begins here.
        memory_kib: Argon2id memory.
        recovered: The 32-byte seed of an identity to bring back; a new one is made without. Its
            static key is new in any case, of a later generation than every one before.

    Raises:
        UsageError: The name or the passphrase cannot be used.
        ProfileExistsError: There is a profile; it is left alone.
        ProfileInUseError: Another process is at it.
        DamagedStoreError: There is a database whose key file is gone; it is left alone.
        LockedError: No OS keychain is to be had.
        StoreError: The folder is not ours, or the disk refuses.
    """
    _require_name(name)

    def fill(connection: apsw.Connection) -> None:
        if recovered is None:
            signing, generation, settings = generate_identity(rng=rng), 0, {}
            kind = AuditKind.IDENTITY_MADE
        else:
            signing = identity_from_seed(recovered)
            generation = now_ms // 1000  # seconds: later than any that was counted up
            settings = {RECOVERED_AT_KEY: str(now_ms)}
            kind = AuditKind.RECOVERED
        static = x25519.generate(rng=rng)
        certificate = issue(signing.seed, static.public, generation=generation, now_ms=now_ms)
        made = (
            AuditEvent(kind, now_ms, signing.public, key_id(signing.public)),
            AuditEvent(
                AuditKind.KEY_MADE, now_ms, signing.public, key_id(static.public),
                {"purpose": "static key", "generation": certificate.generation},
            ),
        )  # fmt: skip
        record = IdentityRecord(name, signing.seed, static.private, certificate.encoded)
        write_identity(connection, record, made, settings)

    return make_profile(path, fill, unlock=unlock, rng=rng, memory_kib=memory_kib)


def make_profile(
    path: Path,
    fill: Callable[[apsw.Connection], None],
    *,
    unlock: Unlock,
    rng: Rng,
    memory_kib: int,
) -> OpenProfile:
    """Make a profile around a database that ``fill`` brings to the newest version.

    Args:
        path: The folder; made if missing.
        fill: Is given an empty encrypted database; whatever it raises, there is no profile.
        unlock: What unlocks the profile from now on.
        rng: For database key, salts and nonces.
        memory_kib: Argon2id memory.

    Raises:
        As ``create_profile``; and whatever ``fill`` raises.
    """
    require_cipher()
    require_usable(unlock)
    profile = Profile(path)
    make_folder(path)
    lock = ProfileLock(profile.lock)
    try:
        _clear_way(profile)
        database_key = Secret(rng(KEY_LEN))
        database_id = rng(DATABASE_ID_LEN)
        wrapped = wrap(database_key, database_id, unlock, memory_kib=memory_kib, rng=rng)
        create_store(profile.database, database_key, database_id, fill)
        keyfile.write(profile.key, wrapped)  # from here on it is a profile
        profile.unfinished.unlink(missing_ok=True)
        store, identity = open_store(
            profile.database, database_key, database_id, keychain=keychain_count(wrapped, unlock)
        )
        database_key.wipe()
    except OSError as error:
        lock.release()
        raise StoreError(f"cannot make the profile in {path}: {error.strerror}") from error
    except BaseException:  # whatever it was, the lock must not stay
        lock.release()
        raise
    return OpenProfile(path, store, identity, Attempts(profile.attempts), lock)


def hold_profile(path: Path) -> ProfileLock:
    """Take the lock of an existing profile, to open it once or several times under it.

    Raises:
        NoProfileError: There is none, or it was never finished.
        ProfileInUseError: Another process holds it.
        DamagedStoreError: Its key file is gone.
        StoreError: The folder is not ours.
    """
    profile = Profile(path)
    _require_profile(profile)
    guard_folder(path)
    return ProfileLock(profile.lock)


def open_profile(
    path: Path, *, unlock: Unlock, now_ms: int, lock: ProfileLock | None = None
) -> OpenProfile:
    """Unlock an existing profile.

    Args:
        path: The folder.
        unlock: What the person offers.
        now_ms: Wall clock, for the delay after wrong passphrases.
        lock: Of ``hold_profile``, stays the caller's; without, it is taken, and given back by
            ``close``.

    Raises:
        NoProfileError: There is none, or it was never finished.
        ProfileInUseError: Another process holds it.
        LockedError: The passphrase is wrong, empty or comes too early, or the keychain does not
            have the key.
        DamagedStoreError: A file is missing, damaged, not encrypted, or another profile's.
        StoreError: The folder is not ours, or was made by a newer p2pchat.
    """
    profile = Profile(path)
    own = hold_profile(path) if lock is None else None
    try:
        key_file = keyfile.read(profile.key)
        attempts = Attempts(profile.attempts)
        database_key = unlock_key(key_file, unlock, attempts, now_ms=now_ms)
        try:
            store, identity = open_store(
                profile.database,
                database_key,
                key_file.database_id,
                keychain=keychain_count(key_file, unlock),
            )
        finally:
            database_key.wipe()
        profile.unfinished.unlink(missing_ok=True)  # made whole, then killed before its last step
    except BaseException:  # whatever it was, the lock must not stay
        if own is not None:
            own.release()
        raise
    return OpenProfile(path, store, identity, attempts, own)


def profile_exists(path: Path) -> bool:
    """Tell whether there is a finished profile; looks at nothing but the key file's presence."""
    return Profile(path).key.exists()


def _require_profile(profile: Profile) -> None:
    if profile.key.exists():
        return
    if profile.database.exists() and not profile.unfinished.exists():
        raise _lost_key_file(profile)
    raise NoProfileError(f"there is no profile in {profile.path} yet; make one: p2pchat init")


def _clear_way(profile: Profile) -> None:
    """Leave a folder in which a profile can be made, with the mark set and durable.

    Raises:
        ProfileExistsError: There is one.
        DamagedStoreError: There was one: its database is here without its key file.
    """
    if profile.key.exists():
        raise ProfileExistsError(
            f"there is a profile in {profile.path} already; it is never overwritten"
        )
    if profile.unfinished.exists():
        # Nobody ever had this identity: its key file was not written.
        for file in profile.database_files:
            file.unlink(missing_ok=True)
    elif any(file.exists() for file in profile.database_files):
        # A log alone counts too: a new database beside it would swallow its pages.
        raise _lost_key_file(profile)
    profile.unfinished.touch(mode=0o600)
    keyfile.sync_folder(profile.path)


def _lost_key_file(profile: Profile) -> DamagedStoreError:
    return DamagedStoreError(
        f"{profile.database} is there but its key file is not; restore {profile.key} from a "
        "backup, or choose another profile (nothing was changed)"
    )


def _require_name(name: str) -> None:
    if not name.strip() or clean_line(name, NAME_MAX_BYTES) != name:
        raise UsageError("a name is one line of printable characters without spaces around it")
    if len(name.encode()) > NAME_MAX_BYTES:
        raise UsageError(f"a name has at most {NAME_MAX_BYTES} bytes of UTF-8")
