"""The whole program on a pseudo-terminal, as it is started by a person."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pyte
import pytest

ENOUGH_S = 30.0
COMMAND = [sys.executable, "-m", "p2pchat", "--profile", "alice"]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "P2PCHAT_HOME": str(home), "TERM": "xterm-256color"}


class Session:
    """A program behind a pseudo-terminal of 80 columns and 24 rows."""

    def __init__(self, home: Path) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.process = subprocess.Popen(
            COMMAND, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(home)
        )
        self.raw = b""
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self._screen)

    def read(self) -> None:
        """Take what is there."""
        while select.select([self._ours], [], [], 0.05)[0]:
            data = os.read(self._ours, 65536)
            self.raw += data
            self._stream.feed(data)

    def shows(self, part: str) -> None:
        """Wait until a text stands on the screen."""
        until = time.monotonic() + ENOUGH_S
        while time.monotonic() < until:
            self.read()
            if part in "\n".join(self._screen.display):
                return
        raise AssertionError(f"{part!r} not in:\n" + "\n".join(self._screen.display))

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """Wait for the end; returns the exit code."""
        code = self.process.wait(ENOUGH_S)
        self.read()
        return code

    def modes(self) -> list[object]:
        """The terminal's modes, as the program left them."""
        return list(termios.tcgetattr(self._theirs))

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.mark.slow
def test_first_run_and_return_on_a_real_terminal(tmp_path: Path) -> None:
    first = Session(tmp_path)
    try:
        first.shows("What is your name?")
        first.press("Alice\r")
        first.shows("Choose a passphrase.")
        first.press("four words in a row\r")
        first.shows("Type the same passphrase again.")
        first.press("four words in a row\r")
        first.shows("Your profile is ready.")
        first.press("\r")
        first.shows("Nobody is here yet.")
        first.press("\x03")
        assert first.end() == 0
        assert first.modes() == first.before
        assert b"\x1b[?1049h" in first.raw
        assert b"\x1b[?1049l" in first.raw
        assert b"four words" not in first.raw
    finally:
        first.close()
    again = Session(tmp_path)
    try:
        again.shows("The passphrase of this profile:")
        again.press("three words\r")
        again.shows("The passphrase is wrong.")
        again.press("four words in a row\r")
        again.shows("Nobody is here yet.")
        again.press("/quit\r")
        assert again.end() == 0
    finally:
        again.close()


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_as_the_person_would(tmp_path: Path, sent: signal.Signals) -> None:
    session = Session(tmp_path)
    try:
        session.shows("What is your name?")
        session.process.send_signal(sent)
        assert session.end() == 0
        assert session.modes() == session.before
    finally:
        session.close()


def test_without_a_terminal_it_says_what_to_use_instead(tmp_path: Path) -> None:
    done = subprocess.run(
        COMMAND,
        check=False,
        input="",
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "p2pchat node" in done.stderr
    assert not (tmp_path / "alice").exists()
