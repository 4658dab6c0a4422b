"""What unlocks a profile: a passphrase or the OS keychain, and how one takes the other's place.

Both wrap the database key in the key file (``keyfile``). Changing them exchanges that file and
nothing else: the database key stays, no history is written anew. So a copy of the old key file
together with what unlocked it still opens the database, which SECURITY.md says.

All here block for about a second each (Argon2id). The caller holds the profile's lock.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Final, assert_never

from p2pchat.constants import KEY_LEN
from p2pchat.crypto import pwhash
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import LockedError, StoreError, UsageError
from p2pchat.store import keyfile
from p2pchat.store.attempts import Attempts
from p2pchat.store.keychain import Keychain, SystemKeychain
from p2pchat.store.outside_count import KeychainCount
from p2pchat.store.profile import Profile

PASSPHRASE_MAX_BYTES: Final = 4096
"""Anything longer is not a passphrase but the wrong file."""


@dataclass(frozen=True, slots=True)
class PassphraseUnlock:
    """Unlock by what the person types: any non-empty bytes."""

    passphrase: Secret


@dataclass(frozen=True, slots=True)
class KeychainUnlock:
    """Unlock by a key that the OS keychain holds."""

    keychain: Keychain = field(default_factory=SystemKeychain)


Unlock = PassphraseUnlock | KeychainUnlock


def require_usable(unlock: Unlock) -> None:
    """Refuse what must not become the unlocking of a profile.

    Raises:
        UsageError: An empty passphrase.
    """
    if isinstance(unlock, PassphraseUnlock) and not len(unlock.passphrase):
        raise UsageError("the passphrase is empty; give one of several words")


def wrap(
    database_key: Secret, database_id: bytes, unlock: Unlock, *, memory_kib: int, rng: Rng
) -> keyfile.KeyFile:
    """Wrap a database key; for a keychain, its entry is made and kept when this returns.

    Raises:
        LockedError: No OS keychain is to be had.
        StoreError: It did not take the key, or Argon2id's memory is not to be had.
    """
    match unlock:
        case PassphraseUnlock(passphrase):
            return keyfile.wrap_with_passphrase(
                database_key, database_id, passphrase, memory_kib=memory_kib, rng=rng
            )
        case KeychainUnlock(keychain):
            wrapping_key = Secret(rng(KEY_LEN))
            key_file = keyfile.wrap_with_key(
                database_key, database_id, wrapping_key, entry=rng(pwhash.SALT_LEN), rng=rng
            )
            keychain.put(key_file.keychain_entry, wrapping_key)
            return key_file
        case _:
            assert_never(unlock)


def unlock_key(
    key_file: keyfile.KeyFile, unlock: Unlock, attempts: Attempts, *, now_ms: int
) -> Secret:
    """Return the database key; a wrong passphrase is noted and delays the next try.

    Raises:
        LockedError: Wrong, empty or too early, or the keychain does not have the key.
        StoreError: Argon2id's memory is not to be had.
    """
    match key_file.method, unlock:
        case keyfile.Method.PASSPHRASE, PassphraseUnlock(passphrase):
            if not len(passphrase):
                raise LockedError("the passphrase is empty")
            attempts.require_patience(now_ms)
            wrapping_key = keyfile.derive_wrapping_key(key_file, passphrase)
            try:
                database_key = keyfile.unwrap(key_file, wrapping_key)
            except LockedError:
                attempts.failed(now_ms)
                raise
            finally:
                wrapping_key.wipe()
            attempts.succeeded()
            return database_key
        case keyfile.Method.KEYCHAIN, KeychainUnlock(keychain):
            return keyfile.unwrap(key_file, keychain.get(key_file.keychain_entry))
        case keyfile.Method.PASSPHRASE, _:
            raise LockedError("this profile is unlocked by a passphrase, not by the OS keychain")
        case _:
            raise LockedError("this profile is unlocked by the OS keychain, not by a passphrase")


def keychain_count(key_file: keyfile.KeyFile, unlock: Unlock) -> KeychainCount | None:
    """Return where the count is kept besides the folder; a passphrase has no such place."""
    if isinstance(unlock, KeychainUnlock):
        return KeychainCount(unlock.keychain, key_file.count_entry)
    return None


def check_unlock(profile: Profile, unlock: Unlock, *, now_ms: int) -> None:
    """Tell whether ``unlock`` opens the profile, as strictly as opening it would.

    Raises:
        LockedError: It does not.
        StoreError: The key file cannot be read.
    """
    attempts = Attempts(profile.attempts)
    unlock_key(keyfile.read(profile.key), unlock, attempts, now_ms=now_ms).wipe()


def change_unlock(
    profile: Profile,
    *,
    old: Unlock,
    new: Unlock,
    rng: Rng,
    now_ms: int,
    memory_kib: int = pwhash.DEFAULT_MEMORY_KIB,
) -> None:
    """Let ``new`` unlock the profile from now on, and ``old`` no more.

    Stopped at any instant, the profile opens with one of the two: a new keychain entry is made
    before the key file changes, an old one deleted after. A stop in between leaves an entry that
    opens nothing, or the old one, beside the new state.

    Args:
        profile: Held by the caller, open or not.
        old: What unlocks it now.
        new: What shall.
        rng: For salt, nonce and keychain key.
        now_ms: Wall clock, for the delay after wrong passphrases.
        memory_kib: Argon2id memory.

    Raises:
        UsageError: The new passphrase is empty.
        LockedError: ``old`` does not unlock, or no OS keychain is to be had; nothing changed.
        StoreError: Nothing changed; or, if it says so, only the old keychain entry remained.
    """
    require_usable(new)
    before = keyfile.read(profile.key)
    database_key = unlock_key(before, old, Attempts(profile.attempts), now_ms=now_ms)
    try:
        after = wrap(database_key, before.database_id, new, memory_kib=memory_kib, rng=rng)
    finally:
        database_key.wipe()
    try:
        keyfile.replace(profile.key, after)
    except StoreError:
        if isinstance(new, KeychainUnlock) and keyfile.read(profile.key) == before:
            with contextlib.suppress(StoreError):  # the first failure is the one to tell
                new.keychain.delete(after.keychain_entry)
        raise
    if isinstance(old, KeychainUnlock):
        try:
            old.keychain.delete(before.keychain_entry)
        except StoreError as error:
            raise StoreError(
                f"the change is made, but the former key stayed behind: {error}; delete that entry "
                "in your keychain program"
            ) from error
