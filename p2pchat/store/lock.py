"""One process holds a profile: an advisory lock on the file ``lock``, with the holder's id in it.

The kernel drops the lock with the process, however it ends, so a stale file locks nothing and
is never deleted (deleting it would let two processes lock two files of one name).
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from p2pchat.errors import ProfileInUseError, StoreError


class ProfileLock:
    """A held lock; ``release`` gives it back."""

    def __init__(self, path: Path) -> None:
        """Take the lock at once or refuse.

        Raises:
            ProfileInUseError: Another process, or another part of this one, has it.
            StoreError: The file cannot be made.
        """
        try:
            self._descriptor = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        except OSError as error:
            raise StoreError(f"cannot open {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchmod(self._descriptor, 0o600)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            self.release()
            raise ProfileInUseError(
                f"the profile {path.parent} is in use by process {holder or 'unknown'}"
            ) from None
        except OSError as error:
            self.release()
            raise StoreError(f"cannot lock {path}: {error.strerror}") from error

    def release(self) -> None:
        """Give the lock back; harmless when done already."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
