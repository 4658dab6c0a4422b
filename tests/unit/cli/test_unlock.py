"""Where passphrases come from, and what is refused before anything is made or opened."""

import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pchat.cli.unlock import new_unlock, read_passphrase, unlock_for
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.errors import LockedError, NoProfileError, UsageError
from p2pchat.store.open import PassphraseUnlock, create_profile, open_profile
from p2pchat.store.unlocking import PASSPHRASE_MAX_BYTES


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [
        (b"word", b"word"),
        (b"word\n", b"word"),
        (b"word\r\n", b"word"),
        (b"word\n\n", b"word\n"),
        (b" word \n", b" word "),
        ("wörter\n".encode(), "wörter".encode()),
        (b"\xff\x00\n", b"\xff\x00"),
        (b"", b""),
        (b"x" * PASSPHRASE_MAX_BYTES + b"\n", b"x" * PASSPHRASE_MAX_BYTES),
    ],
)
def test_a_file_is_the_passphrase_but_for_its_line_end(
    content: bytes, passphrase: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert read_passphrase(str(path)).reveal() == passphrase


def test_what_cannot_be_a_passphrase_file_is_locked(tmp_path: Path) -> None:
    long = tmp_path / "long"
    long.write_bytes(b"x" * (PASSPHRASE_MAX_BYTES + 1))
    for name in (str(long), str(tmp_path / "missing"), str(tmp_path), "/dev/zero"):
        with pytest.raises(LockedError):
            read_passphrase(name)


@pytest.fixture
def stdin() -> Iterator[int]:
    """Replace standard input by a pipe; yields the end to write to."""
    saved = os.dup(0)
    read_end, write_end = os.pipe()
    os.dup2(read_end, 0)
    os.close(read_end)
    yield write_end
    os.dup2(saved, 0)
    os.close(saved)


def test_standard_input_gives_its_first_line_and_keeps_the_rest(stdin: int) -> None:
    os.write(stdin, b"pass word\n" + b'{"jsonrpc":"2.0"}\n')
    assert read_passphrase("-").reveal() == b"pass word"
    assert os.read(0, 100) == b'{"jsonrpc":"2.0"}\n'
    os.close(stdin)
    assert read_passphrase("-").reveal() == b""


def test_an_endless_first_line_is_not_read_to_its_end(stdin: int) -> None:
    os.write(stdin, b"x" * 10_000)
    with pytest.raises(LockedError, match="no passphrase file"):
        read_passphrase("-")
    assert os.read(0, 1) == b"x"
    os.close(stdin)


def test_without_terminal_and_file_it_says_what_to_do(stdin: int, tmp_path: Path) -> None:
    with pytest.raises(LockedError, match="--passphrase-file"):
        new_unlock(None, keychain=False)
    profile = tmp_path / "profile"
    create_profile(
        profile,
        name="A",
        unlock=PassphraseUnlock(Secret(b"p")),
        rng=system_rng,
        now_ms=0,
        memory_kib=8,
    ).close()
    with pytest.raises(LockedError, match="--passphrase-file"):
        unlock_for(profile, None)
    os.close(stdin)


def test_nobody_is_asked_for_the_passphrase_of_no_profile(tmp_path: Path) -> None:
    unlock = unlock_for(tmp_path / "none", None)
    with pytest.raises(NoProfileError):
        open_profile(tmp_path / "none", unlock=unlock, now_ms=0)


def test_an_empty_passphrase_and_two_ways_at_once_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"\n")
    with pytest.raises(UsageError, match="empty"):
        new_unlock(str(empty), keychain=False)
    with pytest.raises(UsageError, match="exclude"):
        new_unlock(str(empty), keychain=True)


def _in_terminal(program: str, typed: list[tuple[bytes, bytes]]) -> bytes:
    """Run a program in a terminal of its own and answer each prompt; return what it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    kill = threading.Timer(20, process.kill)
    kill.start()
    shown = b""
    try:
        for prompt, answer in typed:
            while prompt not in shown[shown.rfind(b"\n") + 1 :]:
                shown += os.read(ours, 1000)
            os.write(ours, answer)
        while True:
            try:
                chunk = os.read(ours, 1000)
            except OSError:  # Linux: the other side is closed
                break
            if not chunk:
                break
            shown += chunk
    finally:
        kill.cancel()
        process.wait()
        os.close(ours)
    return shown


_ASK = (
    "from p2pchat.cli.unlock import new_unlock\n"
    "from p2pchat.errors import P2PChatError\n"
    "try:\n"
    "    unlock = new_unlock(None, keychain=False)\n"
    "    print('length', len(unlock.passphrase))\n"
    "except P2PChatError as error:\n"
    "    print('refused', error)\n"
)


def test_a_prompt_asks_twice_and_shows_nothing_of_it() -> None:
    shown = _in_terminal(_ASK, [(b"New passphrase: ", b"wort\n"), (b"again: ", b"wort\n")])
    assert b"length 4" in shown
    assert b"wort" not in shown
    shown = _in_terminal(_ASK, [(b"New passphrase: ", b"wort\n"), (b"again: ", b"wert\n")])
    assert b"refused the two passphrases differ" in shown
    shown = _in_terminal(_ASK, [(b"New passphrase: ", b"\x04")])
    assert b"refused no passphrase was given" in shown
