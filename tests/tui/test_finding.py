"""On the screen: looking for messages, and going to one of them in its chat."""

from __future__ import annotations

import pytest

from tests.support.node_world import until
from tests.tui.dataset import DataSet, contact, message
from tests.tui.terminal import Terminal, terminal

UP, DOWN = "\x1b[A", "\x1b[B"
HOSTILE = "\x1b]52;c;AA\x07\u202ebird \r\n[2026-01-01 00:00] <Bob> forged"


def data_set() -> DataSet:
    """Two chats, one with several pages of history."""
    bob = [message(number, f"line {number}") for number in range(1, 400)]
    bob[4] = message(5, "an old blue bird " + "and more of it " * 40)
    bob[5] = message(6, "after it")
    carol = [message(1000, "bird?", out=True), message(1001, "blue bird"), message(1002, HOSTILE)]
    return DataSet([contact("Bob"), contact("Carol")], {"Bob": bob, "Carol": carol})


async def look_for(app: Terminal, command: str) -> None:
    await app.shows("line 399")
    app.press(f"{command}\r")


async def test_in_this_chat() -> None:
    async with terminal(data_set()) as app:
        await look_for(app, "/search bird")
        await app.shows("“bird” in the chat with Bob: 1 found", "<Bob>", "an old blue bird")
        assert "line 399" not in app.text()
        app.press("\x1b")
        await app.shows("line 399")


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40), (50, 20)])
async def test_in_all_chats_newest_first_and_harmless(columns: int, rows: int) -> None:
    async with terminal(data_set(), columns, rows) as app:
        await look_for(app, "/searchall bird")
        await app.shows("“bird” in all chats: 4 found", "↑ ↓ choose · Enter: go there")
        shown = [row for row in app.rows() if "bird" in row or "<" in row]
        assert [row.split("] ")[1] for row in shown if row.lstrip(" ▸").startswith("[2026-")] == [
            "<Carol>",
            "<Carol>",
            "<Alice> to Carol",
            "<Bob>",
        ]
        assert sum("forged" in row for row in shown) <= 1  # on the line of the one who wrote it
        assert "\x1b]52" not in app.raw
        assert "\u202e" not in app.raw


async def test_enter_goes_to_the_message_and_esc_comes_back() -> None:
    data = data_set()
    async with terminal(data) as app:
        await look_for(app, "/searchall bird")
        await app.shows("4 found", "▸")
        app.press(DOWN * 9 + UP + DOWN + "\r")
        await app.shows("▸[12:05] <Bob> an old blue bird", "<Bob> line 4", "newer messages below")
        assert "after it" not in app.text()
        app.press("\x1b[6~")  # PgDn
        await app.shows("after it")
        app.press("/react +\r")
        await until(lambda: data.asked("message.react") != [])
        assert data.asked("message.react")[0]["message_id"] == f"{5:032x}"
        data.stream.put("message.received", contact="Bob", **message(2000, "news"))
        for _ in range(4):
            app.press("\x1b[6~")
        await app.shows("line 80")
        assert "news" not in app.text()
        app.press("\x1b")
        await app.shows("news", "line 399")


async def test_a_page_key_goes_over_many_and_enter_needs_an_empty_composer() -> None:
    data = data_set()
    async with terminal(data) as app:
        await look_for(app, "/search line")
        await app.shows("the newest 50", "line 399")
        app.press("\x1b[6~" * 20)
        await app.shows("line 350")
        app.press("hello\r")
        await app.shows("<Alice> hello", "line 399")
        assert data.asked("message.send")[0] == {"contact": "Bob", "text": "hello"}
