"""Whole screens at three sizes, looked at by a person and kept as text.

To change one on purpose: delete its file, run the test, look at what it wrote.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pchat.tui.host import Needed
from tests.tui.dataset import NOON, NUMBER, DataSet, ScriptedHost, contact, message
from tests.tui.terminal import Terminal, terminal

GOLDEN = Path(__file__).parent / "golden"
SIZES = [(80, 24), (120, 40), (50, 20)]
DAY_MS = 24 * 3600 * 1000
VERIFIED = {"verified_at_ms": NOON - 430 * DAY_MS, "verified_by": "number"}


def people() -> DataSet:
    """A contact of each kind, and a conversation with a message of each kind."""
    lines = [
        message(1, "Are you there?"),
        message(2, "Yes. Nobody in between?", out=True),
        message(3, "Compare the number with me, then we both know. It takes a minute by phone."),
        message(4, "First line\nand a second one", out=True, state="read"),
        message(5, "日本語も大丈夫 \U0001f44d", out=True, state="sent"),
        message(6, "This one is too long for you", out=True, state="failed", reason="refused"),
        message(7, "See you", out=True, state="queued"),
    ]
    lines[0]["sent_at_ms"] -= DAY_MS
    return DataSet(
        [
            contact("Bob", "verified", online=True, pq=True, **VERIFIED),
            contact("Carol", unread=3),
            contact("Dave", "changed"),
            contact("Erin", "request", note="Erin from work; we spoke on Monday."),
            contact("Mallory", "blocked"),
        ],
        {"Bob": lines, "Dave": lines[:2]},
    )


def check(app: Terminal, name: str, columns: int) -> None:
    """Compare with the kept screen."""
    path = GOLDEN / f"{name}-{columns}.txt"
    shown = app.text() + "\n"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
        pytest.fail(f"{path.name} was missing and is written; look at it")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("columns", "rows"), SIZES)
async def test_chat(columns: int, rows: int) -> None:
    async with terminal(people(), columns, rows) as app:
        await app.shows("Carol")
        app.press("\x1b1")
        await app.shows("See you")
        check(app, "chat", columns)


@pytest.mark.parametrize(("columns", "rows"), SIZES)
async def test_changed_key(columns: int, rows: int) -> None:
    async with terminal(people(), columns, rows) as app:
        await app.shows("Carol")
        app.press("\x1b3")
        await app.shows("KEY CHANGED", "/block", "Yes. Nobody")
        check(app, "changed", columns)


@pytest.mark.parametrize(("columns", "rows"), SIZES)
async def test_verification(columns: int, rows: int) -> None:
    async with terminal(people(), columns, rows) as app:
        await app.shows("Carol")
        app.press("/verify\r")
        await app.shows("11111  11112")
        check(app, "verify", columns)
        await app.paste(NUMBER.replace("11118", "81118"))
        app.press("\r")
        await app.shows("THE NUMBERS DIFFER", "stands between")
        check(app, "differ", columns)
        await app.paste(NUMBER)
        app.press("\r")
        await app.shows("The numbers are the same.")
        check(app, "agree", columns)


@pytest.mark.parametrize(("columns", "rows"), SIZES)
async def test_found(columns: int, rows: int) -> None:
    async with terminal(people(), columns, rows) as app:
        await app.shows("Carol")
        app.press("/searchall e\r")
        await app.shows("8 found")
        app.press("\x1b[B")
        await app.shows("▸[2026-11-23 12:06]")
        check(app, "found", columns)


@pytest.mark.parametrize(("columns", "rows"), SIZES)
async def test_first_run(columns: int, rows: int) -> None:
    async with terminal(ScriptedHost(DataSet(), Needed.PROFILE), columns, rows) as app:
        await app.shows("What is your name?")
        check(app, "first-name", columns)
        app.press("Alice\r")
        await app.shows("Choose a passphrase.")
        check(app, "first-passphrase", columns)
        app.press("words\r")
        await app.shows("again")
        app.press("words\r")
        await app.shows("Enter opens the chat.")
        check(app, "first-ready", columns)
        app.press("\r")
        await app.shows("Nobody is here yet.")
        check(app, "first-empty", columns)


@pytest.mark.parametrize(("columns", "rows"), SIZES)
async def test_help(columns: int, rows: int) -> None:
    async with terminal(people(), columns, rows) as app:
        await app.shows("Carol")
        app.press("\x1bOP")
        await app.shows("Commands")
        check(app, "help", columns)
        for _ in range(6):
            app.press("\x1b[6~")  # PgDn
        await app.shows("⊘ blocked", "they have seen it" if rows > 24 else "unread messages")
        check(app, "help-end", columns)
        app.press("\x1bOP")
        await app.lacks("Beside a contact")


async def test_a_narrow_screen_has_no_sidebar() -> None:
    async with terminal(people(), 59, 20) as app:
        await app.shows("Carol", "? 1 request")
        assert "│" not in app.text()
    async with terminal(people(), 60, 20) as app:
        await app.shows("Carol", "│", "1 ● Bob")


@pytest.mark.parametrize("rows", [7, 8, 10, 12, 16, 20])
async def test_on_a_tiny_screen_one_can_still_write(rows: int) -> None:
    async with terminal(people(), 40, rows) as app:
        await app.shows("Carol")
        app.press("\x1b3")
        await app.shows("KEY CHANGED", "F1 help")
        await app.paste("one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten")
        app.press("\r")
        await app.shows("✗ Not sent: Dave's key", "KEY CHANGED", "F1 help")
        assert "too small" not in app.text()
