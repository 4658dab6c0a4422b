"""Commands and nodes on real profiles.

Only the password hash of most profiles is made cheap; that is written into their key files, no
process is told. A command runs in this process (quick) or in one of its own (``run_raw``), a node
always in one of its own. No command sees a terminal: its standard input is empty.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from p2pchat.cli.main import main
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.store.open import OpenProfile, PassphraseUnlock, create_profile, open_profile

PASSPHRASE = "correct horse battery"
TIMEOUT_S = 60.0


class Profile:
    """A profile's folder and its passphrase file."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.path = folder / f"profile-{len(list(folder.glob('profile-*')))}"
        self.passphrase_file = folder / f"{self.path.name}.passphrase"
        self.passphrase_file.write_text(f"{PASSPHRASE}\n")

    @classmethod
    def quick(cls, folder: Path, name: str) -> Profile:
        """Make the identity too, with a cheap password hash."""
        profile = cls(folder, name)
        create_profile(
            profile.path,
            name=name,
            unlock=PassphraseUnlock(profile.secret),
            rng=system_rng,
            now_ms=time.time_ns() // 1_000_000,
            memory_kib=8,
        ).close()
        return profile

    @property
    def secret(self) -> Secret:
        return Secret(PASSPHRASE.encode())

    @property
    def options(self) -> list[str]:
        return [
            *("--profile", f"{self.path}{os.sep}"),
            *("--passphrase-file", str(self.passphrase_file)),
        ]

    def open(self) -> OpenProfile:
        now_ms = time.time_ns() // 1_000_000
        return open_profile(self.path, unlock=PassphraseUnlock(self.secret), now_ms=now_ms)

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command on this profile, here, and return what it printed or complained about."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            found = main([*self.options, *arguments])
        return _checked(code, found, out.getvalue(), err.getvalue())

    def process(self, *arguments: str, code: int = 0) -> str:
        """Do the same in a process of its own."""
        return run(*self.options, *arguments, code=code)

    def json(self, *arguments: str) -> list[Any]:
        """Run a command on this profile and return the objects that it printed."""
        return [json.loads(line) for line in self.run(*arguments, "--json").splitlines()]

    def link(self) -> str:
        link: str = self.json("whoami")[0]["link"]
        return link

    def files(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.path.iterdir() if file.is_file()}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "p2pchat", *arguments]


def run_raw(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command; whatever it is, it shows no traceback."""
    result = subprocess.run(
        command(*arguments), input=stdin, capture_output=True, timeout=TIMEOUT_S, check=False
    )
    assert b"Traceback" not in result.stdout + result.stderr, result.stderr.decode()
    return result


def run(*arguments: str, code: int = 0, stdin: bytes = b"") -> str:
    """Run a command in a process, and return what it printed or complained about."""
    result = run_raw(*arguments, stdin=stdin)
    return _checked(code, result.returncode, result.stdout.decode(), result.stderr.decode())


def _checked(wanted: int, found: int, out: str, err: str) -> str:
    """Check an exit code; with another one than 0 there is one line of complaint and no more."""
    assert found == wanted, (out, err)
    if wanted == 0:
        assert err == ""
        return out
    assert out == ""
    assert err.startswith("p2pchat: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert "internal error" not in err
    return err


@contextlib.contextmanager
def plain_node(profile: Profile, *arguments: str) -> Iterator[list[str]]:
    """Run ``p2pchat node`` until the body is done; yields the lines that it announced."""
    process = subprocess.Popen(
        command(*profile.options, "node", *(arguments or ("--listen", "127.0.0.1:0"))),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        announced = []
        for line in process.stdout:
            announced.append(line.rstrip("\n"))
            if line.startswith("link "):
                break
        yield announced
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        code = process.wait(TIMEOUT_S)
        assert (code, process.stdout.read(), process.stderr.read()) == (0, "", "")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
