"""``p2pchat interop``: arguments that belong together, and whole processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from p2pchat.cli.main import main

BAD = [
    ["vectors", "--listen", "127.0.0.1:0"],
    ["vectors", "--check", "x", "--write", "y"],
    ["vectors", "x"],
    ["peer"],
    ["peer", "127.0.0.1:1"],
    ["peer", "--listen", "127.0.0.1:0", "--dial", "127.0.0.1:1"],
    ["peer", "--listen", "127.0.0.1:0", "--expect", "x"],
    ["peer", "--dial", "127.0.0.1:1", "--json"],
    ["check"],
    ["check", "127.0.0.1:1", "127.0.0.1:2"],
    ["check", "127.0.0.1:1", "--listen", "127.0.0.1:2"],
    ["check", "127.0.0.1:1", "--patience", "-1"],
    ["check", "127.0.0.1:1", "--expect", "x"],
    ["noise-vectors", "--seed", "1", "file"],
]


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_what_does_not_belong_together(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["interop", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("p2pchat: ")
    assert err.count("\n") == 1


def test_nobody_at_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["interop", "check", "127.0.0.1:1"]) == 4
    assert "127.0.0.1:1: connection refused" in capsys.readouterr().err


def test_vectors_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["interop", "vectors"]) == 0
    assert capsys.readouterr().out.endswith(" passed, 0 failed\n")


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "p2pchat", "interop", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


def test_the_scripted_peer_says_who_it_is_and_ends_on_a_signal() -> None:
    ids = set()
    for seed in ("1", "1", "2"):
        with running("peer", "--listen", "127.0.0.1:0", "--seed", seed) as process:
            ready = first_line(process)
            assert ready["event"] == "ready"
            assert ready["link"].startswith("p2pchat:")
            ids.add(ready["peer_id"])
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
    assert len(ids) == 2


@pytest.mark.slow
def test_two_processes_each_way() -> None:
    """The kit's peer and the kit's checker over TCP, in both roles."""
    quick = ("--patience", "2", "--json")
    with (
        running("peer", "--listen", "127.0.0.1:0") as peer,
        running("check", first_line(peer)["address"], *quick) as checker,
    ):
        lines = checker.communicate(timeout=60)[0].splitlines()
        assert checker.returncode == 0, [line for line in lines if "failed" in line]
    assert json.loads(lines[-1])["failed"] == 0
    assert json.loads(lines[-1])["passed"] > 90
    with running("check", "--listen", "127.0.0.1:0", *quick) as checker:
        told = first_line(checker)
        with running("peer", "--dial", told["listening"], "--expect", told["peer_id"]):
            lines = checker.communicate(timeout=60)[0].splitlines()
            assert checker.returncode == 0, [line for line in lines if "failed" in line]
    assert json.loads(lines[-1])["failed"] == 0
    assert json.loads(lines[-1])["passed"] > 70
