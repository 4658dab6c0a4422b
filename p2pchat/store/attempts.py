"""Wrong passphrases: a delay that grows with them, and when they were tried.

The file ``attempts`` of the profile outlives restarts. It is text, a line for each wrong
passphrase with its wall-clock milliseconds, then ``opened`` once the right one came; it is there
only while something waits to be told. The delay is for who sits at this computer: whoever has
copied the key file guesses elsewhere, at the cost of Argon2id alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from p2pchat.errors import LockedError, StoreError

DELAYS_S: Final = (0, 0, 0, 1, 2, 4, 8, 16, 32, 60)
"""Before the next try, by how many wrong ones there were in a row; the last goes on."""
KEPT_MAX: Final = 200
"""Newest times that are kept: more tell a person nothing, and the file stays small."""
_OPENED: Final = "opened"
_FILE_MAX_BYTES: Final = 32 * (KEPT_MAX + 1)


class Attempts:
    """The attempts at one profile; the caller holds the profile's lock."""

    def __init__(self, path: Path) -> None:
        """Read the file; a missing one, and lines that are not ours, mean no attempts."""
        self._path = path
        self._times: list[int] = []
        self._in_a_row = 0
        try:
            with path.open("rb") as file:
                lines = file.read(_FILE_MAX_BYTES).decode("ascii", "replace").splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}") from error
        for line in lines:
            if line == _OPENED:
                self._in_a_row = 0
            elif line.isdecimal():
                self._times.append(int(line))
                self._in_a_row += 1

    @property
    def failures(self) -> tuple[int, ...]:
        """Return when wrong passphrases were tried and not yet told; Unix milliseconds."""
        return tuple(self._times)

    def require_patience(self, now_ms: int) -> None:
        """Refuse a try that comes too early.

        Raises:
            LockedError: With the seconds to wait.
        """
        delay_ms = 1000 * DELAYS_S[min(self._in_a_row, len(DELAYS_S) - 1)]
        if not delay_ms:
            return
        if self._times[-1] > now_ms:
            # The clock was set back: count from now on, or the wait might never end.
            self._times = [min(time, now_ms) for time in self._times]
            self._write()
        wait_ms = self._times[-1] + delay_ms - now_ms
        if wait_ms > 0:
            raise LockedError(
                f"{self._in_a_row} wrong passphrases in a row; try again in "
                f"{-(-wait_ms // 1000)} s (nothing was tried)"
            )

    def failed(self, now_ms: int) -> None:
        """Note a wrong passphrase, durably."""
        self._times = [*self._times, now_ms][-KEPT_MAX:]
        self._in_a_row += 1
        self._write()

    def succeeded(self) -> None:
        """The right one came: no delay from here on; the times stay until they are told."""
        if self._in_a_row:
            self._in_a_row = 0
            self._write()

    def told(self) -> None:
        """The failures are in the audit log: forget them.

        Raises:
            StoreError: The disk refuses; they will be told again.
        """
        self._times, self._in_a_row = [], 0
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot remove {self._path}: {error.strerror}") from error

    def _write(self) -> None:
        # In a row are always the newest, so one mark behind the others says it all.
        settled = len(self._times) - min(self._in_a_row, len(self._times))
        lines = [str(time) for time in self._times]
        if settled:
            lines.insert(settled, _OPENED)
        temporary = self._path.with_name(self._path.name + ".tmp")
        try:
            temporary.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write("".join(f"{line}\n" for line in lines).encode())
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(self._path)
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}") from error
