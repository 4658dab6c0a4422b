"""What ``key`` asks a person, and what it leaves on a terminal."""

from __future__ import annotations

import sys
from argparse import Namespace

import pytest

from p2pchat.cli import key_commands, recovery
from p2pchat.crypto.secret import Secret
from p2pchat.errors import UsageError
from p2pchat.store.recovery import to_words

WORDS = to_words(Secret(bytes(range(32))))


def pretend_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)


def test_the_words_are_shown_on_the_terminals_other_screen_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_a_terminal(monkeypatch)

    def enter(shown: str) -> str:
        sys.stdout.write(shown)
        raise EOFError

    monkeypatch.setattr("builtins.input", enter)
    recovery._show(WORDS)
    before, rest = capsys.readouterr().out.split("\x1b[?1049h")
    shown, after = rest.split("\x1b[?1049l")
    assert all(word in shown for word in WORDS)
    assert shown.endswith("\x1b[2J")
    assert before == ""
    assert after == ""


@pytest.mark.parametrize("answer", ["", "y", "no", "yes please"])
def test_only_yes_revokes(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_a_terminal(monkeypatch)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    asked = Namespace(action="revoke", print=False, certificate=None, yes=False)
    with pytest.raises(UsageError, match="nothing was revoked"):
        key_commands.run(asked)


def test_yes_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_a_terminal(monkeypatch)
    monkeypatch.setattr("builtins.input", lambda _: " Yes ")
    key_commands._confirm("Really?", "no")
