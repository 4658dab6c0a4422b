"""The setting ``passphrase_command``: what is taken from it, and each way in which it fails."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from p2pchat.cli.main import main
from p2pchat.cli.passphrase_command import run_passphrase_command
from p2pchat.cli.unlock import configured_passphrase
from p2pchat.errors import LockedError
from p2pchat.store.unlocking import PASSPHRASE_MAX_BYTES
from tests.support.cli_world import PASSPHRASE, Profile


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


@pytest.mark.parametrize(
    ("program", "passphrase"),
    [
        ("print('four words')", b"four words"),
        ("print('four words\\r\\nurl: example')", b"four words"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\x00')", b"\xff\x00"),
        ("print('x' * 4096)", b"x" * PASSPHRASE_MAX_BYTES),
        ("print('w', flush=True); print('y' * 60_000)", b"w"),
    ],
)
def test_the_first_line_is_the_passphrase(program: str, passphrase: bytes) -> None:
    assert run_passphrase_command(python(program)).reveal() == passphrase


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            ["/nonexistent/program"],
            r"passphrase_command \(/nonexistent/program\) cannot be started",
        ),
        (["a\0b"], "cannot be started"),
        (python("print('secret'); raise SystemExit(3)"), "failed with exit code 3"),
        (python("pass"), "printed no passphrase"),
        (python("print()"), "printed no passphrase"),
        (python("print('x' * 5000)"), "more than 4096 bytes"),
        (python("while True: print('x' * 9, end='')"), "more than 65536 bytes"),
    ],
)
def test_a_failure_is_one_clear_line_without_what_was_printed(argv: list[str], words: str) -> None:
    with pytest.raises(LockedError, match=words) as caught:
        run_passphrase_command(argv, patience_s=20)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "program",
    ["import time; time.sleep(60)", "import time; print('words', flush=True); time.sleep(60)"],
)
def test_one_that_hangs_is_ended(program: str) -> None:
    started = time.monotonic()
    with pytest.raises(LockedError, match=r"did not end within 0\.3 s"):
        run_passphrase_command(python(program), patience_s=0.3)
    assert time.monotonic() - started < 30


def test_it_is_run_by_no_shell_and_reads_nothing_of_ours() -> None:
    program = "import sys; print(sys.argv[1] + repr(sys.stdin.read()))"
    assert run_passphrase_command([*python(program), "$HOME;*"]).reveal() == b"$HOME;*''"


def test_a_profile_opens_by_it_unless_a_file_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = Profile.quick(tmp_path, "Alice")
    config = profile.path / "config.toml"
    assert configured_passphrase(profile.path) is None
    ran = tmp_path / "ran"
    program = f"open({str(ran)!r}, 'w'); print({PASSPHRASE!r})"
    words = ", ".join(f"'''{word}'''" for word in python(program))
    config.write_text(f"passphrase_command = [{words}]\n")
    assert "Alice" in profile.run("whoami")
    assert not ran.exists()
    assert main(["--profile", f"{profile.path}{os.sep}", "whoami"]) == 0
    assert ran.exists()
    assert "Alice" in capsys.readouterr().out
    config.write_text("passphrase_command = ['/nonexistent/program']\n")
    assert main(["--profile", f"{profile.path}{os.sep}", "whoami"]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
