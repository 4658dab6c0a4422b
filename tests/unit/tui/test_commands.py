"""Slash commands: a mistake is never sent as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pchat.tui.commands import (
    COMMANDS,
    Command,
    Mistake,
    Text,
    completions,
    looks_like_link,
    parse,
    split_link,
)


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        ("hello", Text("hello")),
        (" /quit", Text(" /quit")),
        ("//etc/hosts", Text("/etc/hosts")),
        ("two\n/lines", Text("two\n/lines")),
        ("/help", Command("help", "")),
        ("/HELP ", Command("help", "")),
        ("/msg Anna Maria", Command("msg", "Anna Maria")),
        ("/verify 11111 22222", Command("verify", "11111 22222")),
        ("/verify\n11111\n22222", Command("verify", "11111\n22222")),
    ],
)
def test_lines_mean_what_they_should(line: str, parsed: object) -> None:
    assert parse(line) == parsed


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("/foo", "was not sent"),
        ("/verfy", "Did you mean /verify?"),
        ("/", "was not sent"),
        ("/add", "/add needs LINK [NAME]"),
        ("/quit now", "/quit takes nothing after it"),
        ("/\x1b]52;c;x\x07", "That is not a command"),
    ],
)
def test_a_mistake_is_explained(line: str, hint: str) -> None:
    parsed = parse(line)
    assert isinstance(parsed, Mistake)
    assert hint in parsed.hint


@given(st.text())
def test_what_begins_with_one_slash_is_never_a_text(rest: str) -> None:
    parsed = parse("/" + rest)
    assert isinstance(parsed, Text) == rest.startswith("/")
    if isinstance(parsed, Text):
        assert parsed.body == rest


def test_a_link_may_be_broken_over_lines_as_terminals_copy_it() -> None:
    assert split_link("p2pchat:abc  \n  def Anna Maria") == ("p2pchat:abcdef", "Anna Maria")
    assert split_link("p2pchat:abc") == ("p2pchat:abc", "")
    assert looks_like_link(" p2pchat:abc\n")
    assert not looks_like_link("look: p2pchat:abc")


def test_tab_completes_commands_and_names() -> None:
    names = ["Bob", "Bertha", "Carol"]
    assert completions("/ve", names) == ["/verify "]
    assert completions("/", names) == [
        f"/{each.name} " if each.arguments else f"/{each.name}" for each in COMMANDS
    ]
    assert completions("/msg b", names) == ["/msg Bob", "/msg Bertha"]
    assert completions("/accept Car", names) == ["/accept Carol"]
    for nothing in ("hello", "//x", "/search Bo", "/foo Bo", "/msg Bob\nx"):
        assert completions(nothing, names) == []
