"""On the screen: replies, edits, deletion, reactions, disappearing (protocol.md §9.5, §9.6)."""

from __future__ import annotations

from typing import Any

import pytest

from p2pchat.rpc.protocol import RpcCode, RpcError
from p2pchat.tui.changing import chosen, shown_reaction, span, timer_text
from p2pchat.tui.conversation import Anchor, Conversation, Delivery, Message, Notice
from tests.support.node_world import until
from tests.tui.dataset import DataSet, contact, message
from tests.tui.terminal import terminal

UP = "\x1b[1;3A"
"""Alt+↑ as terminals send it."""


def key(number: int) -> str:
    return f"{number:032x}"


def data_set(*, timer_s: int = 0) -> DataSet:
    return DataSet(
        [contact("Bob", online=True, timer_s=timer_s)],
        {
            "Bob": [
                message(1, "tea or coffee?"),
                message(2, "cofee", out=True),
                message(3, "with milk?"),
            ]
        },
    )


async def asked(data: DataSet, method: str) -> dict[str, Any]:
    await until(lambda: data.asked(method) != [])
    return data.asked(method)[-1]


async def test_a_reply_quotes_what_the_node_has() -> None:
    """R-9.5.2: above the message, further left than any text begins."""
    data = data_set()
    data.messages["Bob"].append(
        message(4, "↪ not a quote\nyes", reply_to=key(2), quote="cofee \x1b[31m")
    )
    data.messages["Bob"].append(message(5, "so?", reply_to=key(77), quote=""))
    async with terminal(data) as app:
        await app.shows("│ ↪ cofee ␛[31m", "<Bob> ↪ not a quote")
        await app.shows("↪ a message that is not here any more", "<Bob> so?")
        app.press("/reply sure\r")
        params = await asked(data, "message.reply")
        assert params == {"contact": "Bob", "message_id": key(5), "text": "sure"}


async def test_a_message_is_chosen_and_the_command_is_about_it() -> None:
    data = data_set()
    async with terminal(data) as app:
        await app.shows("with milk?")
        app.press(UP)
        await app.shows("▸[12:03] <Bob> with milk?")
        app.press(UP + UP)
        await app.shows("▸[12:01] <Bob> tea or coffee?")
        app.press("/react 👍\r")
        params = await asked(data, "message.react")
        assert params == {"contact": "Bob", "message_id": key(1), "emoji": "👍"}
        await app.lacks("▸")
        app.press(UP)
        await app.shows("▸")
        app.press("\x1b")
        await app.lacks("▸")
        app.press(UP + "/delete\r")
        await app.shows("That is no message of yours that could be deleted.")


async def test_an_edit_begins_with_what_was_said_and_shows_as_one() -> None:
    """R-9.5.3"""
    data = data_set()
    async with terminal(data) as app:
        await app.shows("cofee")
        app.press("/edit\r")
        await app.shows("> /edit cofee")
        app.press("\x15/edit coffee\r")
        params = await asked(data, "message.edit")
        assert params == {"contact": "Bob", "message_id": key(2), "text": "coffee"}
        edited = message(2, "coffee", out=True, edited_at_ms=5)
        data.stream.put("message.changed", contact="Bob", removed=False, **edited)
        await app.shows("[12:02] (edited) <Alice> coffee ✓✓")
        await app.lacks("cofee")
        data.refuse["message.edit"] = RpcError(RpcCode.INVALID_PARAMS, "too late")
        app.press("/edit tea\r")
        await app.shows("✗ Not changed: Too late.", "> /edit tea")


async def test_deletion_is_asked_for_and_leaves_a_line() -> None:
    """R-9.5.4: a quote of it goes as well."""
    data = data_set()
    data.messages["Bob"].append(message(4, "why?", reply_to=key(2), quote="cofee"))
    async with terminal(data) as app:
        await app.shows("↪ cofee")
        app.press("/delete\r")
        await app.shows("Delete your message, here and on the other side? y / n")
        app.press("n")
        await app.lacks("y / n")
        assert data.asked("message.delete") == []
        app.press("/delete\r")
        await app.shows("y / n")
        app.press("y")
        params = await asked(data, "message.delete")
        assert params == {"contact": "Bob", "message_id": key(2)}
        gone = message(2, "", out=True, deleted=True)
        data.stream.put("message.changed", contact="Bob", removed=False, **gone)
        await app.shows("× deleted by Alice", "↪ a message that is not here any more")
        await app.lacks("cofee")


async def test_what_failed_says_why_and_is_sent_again() -> None:
    """The newest that failed, if none is chosen; the new one stands at the end."""
    data = data_set()
    data.messages["Bob"].insert(1, message(9, "come at five", out=True, state="queued"))
    async with terminal(data) as app:
        await app.shows("come at five ◌", "with milk?")
        app.press("/resend\r")
        await app.shows("There is no message of yours here that failed.")
        app.press("\x15")
        data.stream.put(
            "message.state", contact="Bob", message_id=key(9), state="failed", reason="it expired"
        )
        await app.shows("come at five ✗", "not delivered: it expired")
        app.press("/resend\r")
        params = await asked(data, "message.resend")
        assert params == {"contact": "Bob", "message_id": key(9)}
        await app.lacks("✗")
        await app.shows("come at five ◌")
        shown = app.text()
        assert shown.index("with milk?") < shown.index("come at five")


async def test_reactions_stand_under_the_message_and_are_cut() -> None:
    """R-9.5.5: a few signs, on a line that no text reaches."""
    data = data_set()
    async with terminal(data) as app:
        await app.shows("cofee")
        told = [
            {"direction": "in", "emoji": "👍\x1b]52;c;AA\x07\u202e"},
            {"direction": "out", "emoji": "❤️"},
        ]
        data.stream.put(
            "message.changed", contact="Bob", removed=False, **message(3, "milk", reactions=told)
        )
        await app.shows("╰ 👍␛]… Bob", "Alice")
        assert "\x1b]52" not in app.raw
        app.press("/react abcd\r")
        await app.shows("/react takes an emoji, or 3 signs at most.")
        assert data.asked("message.react") == []


async def test_what_disappears_is_marked_and_goes() -> None:
    """R-9.6.5"""
    data = data_set(timer_s=3600)
    data.messages["Bob"].append(message(4, "burn this", lifetime_s=3600))
    data.messages["Bob"].append(message(5, "60", kind="timer.propose"))
    async with terminal(data) as app:
        await app.shows("● online · ◔ 1 hour", "[12:04] ◔ <Bob> burn this")
        await app.shows("proposes that messages disappear after 1 minute")
        data.stream.put("message.changed", contact="Bob", removed=True, message_id=key(4))
        await app.lacks("burn this")
        for typed, expected in (
            ("accept", {"step": "accept"}),
            ("decline", {"step": "decline"}),
            ("off", {"step": "end"}),
            ("2w", {"step": "propose", "seconds": 14 * 24 * 3600}),
            ("30 s", {"step": "propose", "seconds": 30}),
        ):
            app.press(f"/disappearing {typed}\r")
            await until(
                lambda wanted=expected: {"contact": "Bob", **wanted} in data.asked("message.timer")  # type: ignore[misc]  # bound now
            )
        app.press("/disappearing soon\r")
        await app.shows("takes a time such as 30s, 5m, 1h, 1d or 4w")
        app.press("\x15/disappearing\r")
        await app.shows("Messages disappear after 1 hour.")


async def test_writing_is_told_until_the_settings_say_no_and_shown() -> None:
    """R-7.8.8"""
    data = data_set()
    async with terminal(data) as app:
        await app.shows("with milk?")
        data.stream.put("contact.typing", contact="Bob", writing=True)
        await app.shows("● online · is writing…")
        data.stream.put("contact.typing", contact="Bob", writing=False)
        await app.lacks("is writing")
        app.press("y")
        params = await asked(data, "message.typing")
        assert params == {"contact": "Bob", "writing": True}
        await until(lambda: not app.app.state.tells_writing)
        app.press("es")
        await app.shows("> yes")
        assert len(data.asked("message.typing")) == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (90, "90 seconds"), (3600, "1 hour"), (1209600, "2 weeks"), (0, "0 seconds")],
)
def test_a_time_in_words(seconds: int, words: str) -> None:
    assert span(seconds) == words


def test_words_about_the_timer_do_not_trust_their_text() -> None:
    for kind in ("timer.propose", "timer.accept", "timer.decline", "timer.end", "timer.x"):
        for incoming in (True, False):
            assert timer_text(kind, "not a number", incoming=incoming)
    assert "some time" in timer_text("timer.propose", "²", incoming=True)


def test_choosing_goes_over_messages_alone_and_ends_below_the_newest() -> None:
    entries = tuple(
        Message(str(number), False, "x", number, Delivery.DELIVERED)
        if number != 3
        else Notice("3", "note", 3)
        for number in range(8)
    )
    chat = Conversation(entries=entries, loaded=True)
    keys, anchors = [], []
    for _ in range(9):
        chat = chosen(chat, -1)
        keys.append(chat.selected)
        anchors.append(chat.anchor)
    assert keys == ["7", "6", "5", "4", "2", "1", "0", "0", "0"]
    assert anchors[:4] == [None, None, None, Anchor(2, 0)]
    for _ in range(6):
        chat = chosen(chat, 1)
    assert (chat.selected, chat.anchor) == ("7", None)
    assert chosen(chat, 1).selected == ""
    assert chosen(Conversation(), -1) == Conversation()


def test_long_reactions_are_cut() -> None:
    assert shown_reaction("👨‍👩‍👧‍👦") == "👨‍👩‍👧‍👦"
    assert shown_reaction("abcd") == "abc…"
