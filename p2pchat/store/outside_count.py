"""The count of changes, kept outside of the database that may be put back (``store.freshness``).

It stands in two places. The file beside the database is written after each commit. The OS
keychain, for a profile that it unlocks, is no part of the folder: so the count there shows that
the *whole folder* is a copy of an earlier hour. A profile with a passphrase has no such place;
there the file came back with the rest, and the peers' counters and digests are what notices it.

Neither place is ever ahead of the disk, so no database is called old that is not: each is given
only a count whose transaction has been committed and synced, after that. Each may lag: the file
is not synced, and a keychain is slow and may ask the person something, so it is told when the
profile has been opened, every ``PAUSE_S`` while the count moves, and at the closing. A process
that is killed at any instant leaves both as they are, with what was committed at some earlier
instant. So a copy is recognised in the keychain if anything had been written there after the copy
was made; a copy of the last minute before a kill may not be.

The keychain's entry has the name of the database's id, which no other profile has and which
outlives every change of the unlocking. What follows from it:

- A restored or salvaged profile is a new database with a new id: there is no entry, which reads
  as 0, and nothing is called old. The same holds for a profile that moved to another computer.
- Two copies on one computer share the entry, and the count there is only ever raised: whichever
  is behind the other is told so when it is opened.
- Where a passphrase takes the keychain's place, the entry goes. If the keychain keeps it all the
  same, it lags, and is right again once the keychain unlocks the profile again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Final

from p2pchat.constants import KEY_LEN
from p2pchat.crypto.secret import Secret
from p2pchat.errors import LockedError, StoreError
from p2pchat.store.keychain import Keychain

COUNT_LEN: Final = 8
COUNT_MAX: Final = 1 << 62
"""Beyond it, what was read is not a count of ours, and SQLite could not count on from it."""
PAUSE_S: Final = 60.0
"""Between two writes to the keychain: as much as a killed process may lose of them."""
CLOSE_WAIT_S: Final = 2.0
"""A keychain that asks the person something does not hold up the closing."""

_log = logging.getLogger(__name__)


class CountFile:
    """The count beside the database: 8 bytes, big-endian."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def read(self) -> int:
        """Return the count; 0 if there is no such file, or no count in it."""
        try:
            with self._path.open("rb") as file:
                return _believed(int.from_bytes(file.read(COUNT_LEN), "big"))
        except FileNotFoundError:
            return 0

    def write(self, count: int) -> None:
        """Write the count in place; a disk that refuses is no failure, since the file may lag."""
        try:
            if self._descriptor is None:
                self._descriptor = os.open(
                    self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600
                )
            os.pwrite(self._descriptor, count.to_bytes(COUNT_LEN, "big"), 0)
        except OSError as error:
            _log.warning("the count beside the database was not written: %s", error.strerror)

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class KeychainCount:
    """The count in the OS keychain, and the thread that takes it there.

    After a write that failed there is no other until the profile is opened again, which needs
    the keychain anyway: one that is locked would ask the person again and again.

    Args:
        keychain: Of the profile's unlocking.
        entry: Of this profile's count (``keyfile.KeyFile.count_entry``).
    """

    def __init__(self, keychain: Keychain, entry: str) -> None:
        self._keychain = keychain
        self._entry = entry
        self._ends = Event()
        self._thread: Thread | None = None

    def read(self) -> int:
        """Return the count; 0 if there is none, or the keychain does not tell it."""
        try:
            return self._kept()
        except LockedError as error:
            _log.warning("the count in the keychain was not read: %s", error)
            return 0

    def follow(self, newest: Callable[[], int]) -> None:
        """Begin to write what ``newest`` says, at once and from time to time."""
        # A daemon: a keychain that never answers must not keep the process.
        self._thread = Thread(
            target=self._run, args=(newest,), name="p2pchat-keychain", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Write the newest count and end the thread; waits ``CLOSE_WAIT_S`` at the most."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join(CLOSE_WAIT_S)
            if self._thread.is_alive():
                _log.warning("the keychain does not answer: the count in it lags")

    def forget(self) -> None:
        """Delete the entry, after ``close``; one that stays behind does no harm."""
        try:
            self._keychain.delete(self._entry)
        except StoreError as error:
            _log.warning("the count in the keychain was not deleted: %s", error)

    def _run(self, newest: Callable[[], int]) -> None:
        written = 0
        ends = False
        while not ends:
            ends = self._ends.is_set()  # before the look: what was counted until then is written
            count = newest()
            if count > written:
                try:
                    self._raise_to(count)
                except (LockedError, StoreError) as error:
                    _log.warning("the count in the keychain was not written: %s", error)
                    return
                written = count
            self._ends.wait(PAUSE_S)

    def _raise_to(self, count: int) -> None:
        kept = self._kept()
        if kept > count:
            _log.warning("another copy of this profile is in use on this computer")
        elif kept < count:
            self._keychain.put(self._entry, Secret(count.to_bytes(KEY_LEN, "big")))

    def _kept(self) -> int:
        found = self._keychain.find(self._entry)
        return 0 if found is None else _believed(int.from_bytes(found.reveal(), "big"))


class OutsideCount:
    """Both places as one. The store's thread writes; opening and switching happen elsewhere.

    Attributes:
        newest: The count of the last transaction that is known to be on the disk.
    """

    def __init__(self, file: CountFile, keychain: KeychainCount | None) -> None:
        self._file = file
        self._keychain = keychain
        self.newest = 0

    def read(self) -> int:
        """Return the greatest count that any place knows."""
        return max(self._file.read(), 0 if self._keychain is None else self._keychain.read())

    def begin(self, count: int) -> None:
        """Start from what the database, found or made fresh, says."""
        self.newest = count
        if self._keychain is not None:
            self._keychain.follow(lambda: self.newest)

    def write(self, count: int) -> None:
        """Note a count, after its commit."""
        self.newest = count
        self._file.write(count)

    def keep_in(self, keychain: KeychainCount | None) -> None:
        """Let another keychain take the place of the one until now, or none; blocks for it."""
        before, self._keychain = self._keychain, keychain
        if before is not None:
            before.close()
            if keychain is None:
                before.forget()
        if keychain is not None:
            keychain.follow(lambda: self.newest)

    def close(self) -> None:
        """Write the newest count where it is not yet, and give both places back."""
        self._file.close()
        if self._keychain is not None:
            self._keychain.close()


def _believed(count: int) -> int:
    return count if count <= COUNT_MAX else 0
