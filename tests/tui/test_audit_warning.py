"""What the audit log warns of is said once in full, and the status bar goes on pointing to it."""

from __future__ import annotations

from tests.tui.dataset import DataSet, contact
from tests.tui.terminal import terminal


async def test_a_warning_is_shown_while_chatting_and_esc_leaves_the_sign() -> None:
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("Bob")
        data.stream.put("audit.warning", pattern="many_failed_handshakes", count=77, at_ms=0)
        await app.shows("⚠ 77 connections in an hour failed", "p2pchat audit show", "⚠ audit")
        app.press("\x1b")
        await app.lacks("77 connections")
        await app.shows("⚠ audit")


async def test_a_warning_from_before_the_app_began_is_shown_at_once() -> None:
    data = DataSet([contact("Bob")])
    data.warnings = [{"pattern": "many_failed_unlocks", "count": 9, "at_ms": 0}]
    async with terminal(data) as app:
        await app.shows("⚠ 9 wrong passphrases were tried within a day", "⚠ audit")


async def test_a_pattern_of_a_later_version_is_said_in_general_words() -> None:
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("Bob")
        data.stream.put("audit.warning", pattern="\x1b[2J", count=1, at_ms=0)
        await app.shows("The audit log shows something unusual")
