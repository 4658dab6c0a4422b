"""Every failure is one line and one of the codes of interface.md; no traceback is ever shown."""

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from p2pchat import errors
from p2pchat.cli import exits, main
from p2pchat.cli.exits import report
from p2pchat.rpc.failures import to_rpc_error
from p2pchat.rpc.protocol import RpcError

EXIT_CODES = [
    (errors.UsageError, 2),
    (errors.LinkError, 2),
    (errors.IdentityError, 2),
    (errors.LockedError, 3),
    (errors.UnreachableError, 4),
    (errors.TrustError, 5),
    (errors.DamagedStoreError, 6),
    (errors.DamagedStateError, 6),
    (errors.UnknownContactError, 1),
    (errors.ContactError, 1),
    (errors.NoProfileError, 1),
    (errors.ProfileExistsError, 1),
    (errors.ProfileInUseError, 1),
    (errors.StoreError, 1),
    (errors.TransportError, 1),
    (errors.CryptoError, 1),
]


@pytest.mark.parametrize(
    ("kind", "code"), EXIT_CODES, ids=lambda value: getattr(value, "__name__", "")
)
def test_an_error_has_one_exit_code_wherever_it_arose(
    kind: type[errors.P2PChatError], code: int
) -> None:
    assert report(kind("why")) == ("p2pchat: why", code)
    assert report(to_rpc_error(kind("why"))) == ("p2pchat: why", code)


def test_a_number_that_is_no_code_of_ours_is_a_failure() -> None:
    assert report(RpcError(-1, "why")) == ("p2pchat: why", 1)


def test_an_error_stays_one_harmless_line() -> None:
    line, _ = report(errors.UsageError("one\ntwo\x1b[2J\x9b31m\u202e" + "x" * 9999))
    assert "\n" not in line
    assert not set("\x1b\x9b\u202e") & set(line)
    assert len(line) <= exits.MESSAGE_MAX_CHARS + len("p2pchat: ")


def test_a_defect_tells_its_place_and_not_its_text() -> None:
    try:
        raise ValueError("a secret word")
    except ValueError as error:
        line, code = report(error)
    assert code == 1
    assert "secret" not in line
    assert "ValueError" in line
    assert "test_exits.py:" in line


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ExceptionGroup("g", [ExceptionGroup("h", [errors.TrustError("w")])]), 5),
        (BaseExceptionGroup("g", [KeyboardInterrupt()]), 130),
        (KeyboardInterrupt(), 130),
        (MemoryError(), 1),
        (RecursionError(), 1),
    ],
    ids=repr,
)
def test_whatever_a_command_raises_ends_in_a_code(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(args: Namespace) -> int:
        raise error

    monkeypatch.setattr(main, "_run", fail)
    assert main.main(["whoami"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == (0 if code == 130 else 1)
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["completion", "bash"], ["--help"]])
def test_a_reader_that_has_gone_is_no_complaint(arguments: list[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as closed:
        result = subprocess.run(
            [sys.executable, "-m", "p2pchat", *arguments],
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert result.stderr == b""
    assert result.returncode in (141, 0)  # argparse itself passes over it


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_lacks_letters_is_no_failure(encoding: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "p2pchat", "--profile", f"{tmp_path}/✓/", "whoami"],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert b"Traceback" not in result.stderr
    assert b"there is no profile" in result.stderr
