"""Writing, reading and moving about, through keys and screens."""

from __future__ import annotations

import asyncio

import pytest

from p2pchat.rpc.protocol import RpcCode, RpcError
from tests.tui.dataset import LINK, NOON, DataSet, contact, message
from tests.tui.terminal import terminal

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"


async def test_a_message_with_its_marks() -> None:
    data = DataSet([contact("Bob", online=True)])
    async with terminal(data) as app:
        await app.shows("No messages yet.")
        app.press("hello Bob\r")
        await app.shows("[12:00] <Alice> hello Bob ◌")
        sent = data.messages["Bob"][0]["message_id"]
        data.stream.put("message.state", contact="Bob", message_id=sent, state="sent")
        await app.shows("hello Bob ✓")
        data.stream.put("message.state", contact="Bob", message_id=sent, state="delivered")
        await app.shows("hello Bob ✓✓")
        data.stream.put(
            "message.received",
            contact="Bob",
            message_id="f" * 32,
            text="hello Alice",
            sent_at_ms=NOON + 60_000,
        )
        await app.shows("[12:01] <Bob> hello Alice")
        assert data.asked("message.mark_read") == [{"contact": "Bob"}]


async def test_a_pasted_paragraph_is_one_message() -> None:
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("No messages yet.")
        await app.paste("one\ntwo\nthree")
        await app.shows("3 lines, 13 bytes · Enter sends it as one message")
        app.press("\r")
        await app.shows("<Alice> one", "two", "three ◌")
        assert [each["text"] for each in data.asked("message.send")] == ["one\ntwo\nthree"]


async def test_five_thousand_pasted_lines_neither_hang_nor_break_the_screen() -> None:
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("No messages yet.")
        await app.paste("\n".join(f"line {index}" for index in range(5000)))
        screen = await app.shows("5,000 lines", "line 4999")
        assert screen.splitlines()[0].startswith(" Alice")
        app.press("\r")
        await app.shows("line 4999 ◌")
        assert data.asked("message.send")[0]["text"].count("\n") == 4999


async def test_more_than_64_kib_is_refused_with_one_line_and_kept() -> None:
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("No messages yet.")
        await app.paste("x" * 70_000)
        await app.shows("68.4 KiB: too long, the limit is 64 KiB")
        app.press("\r")
        await app.shows("✗ Not sent: 68.4 KiB, and the limit is 64 KiB.")
        assert data.asked("message.send") == []
        assert "xxxxxxxx" in app.text()


async def test_new_lines_by_hand() -> None:
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("No messages yet.")
        app.press("one\x1b\rtwo\nthree")
        await app.shows("3 lines")
        app.press("\r")
        await app.shows("three ◌")
        assert data.asked("message.send")[0]["text"] == "one\ntwo\nthree"


async def test_editing_keys_are_the_shells() -> None:
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("No messages yet.")
        app.press("one two\x17three\x01zero \x05!\r")  # Ctrl+W, Ctrl+A, Ctrl+E
        await app.shows("zero one three! ◌")
        app.press("gone\x15kept\x01\x0b")  # Ctrl+U, Ctrl+A, Ctrl+K
        app.press("left\r")
        await app.shows("<Alice> left")


async def test_a_mistyped_command_is_not_sent() -> None:
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("No messages yet.")
        app.press("/verfy\r")
        await app.shows(
            "/verfy is not a command and was not sent. Did you mean /verify?", "> /verfy"
        )
        app.press("\x15//slash\r")
        await app.shows("<Alice> /slash")
        assert [each["text"] for each in data.asked("message.send")] == ["/slash"]


async def test_tab_completes_commands_and_names() -> None:
    data = DataSet([contact("Bob"), contact("Carol")])
    async with terminal(data) as app:
        await app.shows("Carol", "No messages yet.")
        app.press("/ms\t")
        await app.shows("> /msg")
        app.press("Ca\t")
        await app.shows("> /msg Carol")
        app.press("\r")
        await app.shows("Carol                                      ~ unverified")
        app.press("/\t")
        await app.shows("/accept", "/block")


async def test_switching_by_keys_and_unread() -> None:
    data = DataSet(
        [contact("Bob"), contact("Carol", unread=2), contact("Dave")],
        {"Carol": [message(index, f"text {index}") for index in range(4)]},
    )
    async with terminal(data) as app:
        await app.shows("text 3", "─ new messages ─")  # the unread one is opened first
        rows = [row.strip("│ ") for row in app.rows()]
        rule = next(index for index, row in enumerate(rows) if "new messages" in row)
        assert rows[rule + 1].endswith("text 2")
        app.press("\x1b3")
        await app.lacks("text 3")
        data.contacts[0]["unread"] = 3
        data.stream.put("contact.state", contact="Bob", online=False, trust="unverified", pq=False)
        await app.shows("○ • Bob (3)", "• 3 unread")
        app.press("\x1ba")
        await app.lacks("(3)")
        app.press("\x1b[1;3C")  # Alt+right
        await app.shows("text 3")
        assert "new messages" not in app.text()


async def test_scrolling_loads_older_messages_and_keeps_the_place() -> None:
    data = DataSet(
        [contact("Bob")], {"Bob": [message(index, f"text {index}.") for index in range(250)]}
    )
    async with terminal(data) as app:
        await app.shows("text 249.")
        while len(data.asked("message.list")) < 2:
            app.press("\x1b[5~")  # PgUp
            await asyncio.sleep(0.02)
        await app.lacks("Monday, 23 November 2026")  # it stands above the oldest that is loaded
        await app.shows("↓ newer messages below")
        assert [each.get("before") for each in data.asked("message.list")][:2] == [
            None,
            f"{150:032x}",
        ]
        before = app.text()
        data.stream.put(
            "message.received", contact="Bob", message_id="f" * 32, text="new", sent_at_ms=NOON
        )
        await asyncio.sleep(0.1)
        assert app.text() == before
        app.press("\x1b")
        await app.shows("<Bob> new")


async def test_wide_signs_keep_the_grid() -> None:
    text = f"{FAMILY} \U0001f44d\U0001f3fd 日本語のとても長いメッセージがここに 한국어 ❤\ufe0f end"
    data = DataSet(
        [contact("日本語"), contact("Bob")], {"Bob": [message(1, text), message(2, "x")]}
    )
    async with terminal(data) as app:
        await app.shows("end")
        assert app.column(22)[:-1] == "││┼" + "│" * 20
        # Each sequence is one cell write: saved, drawn, restored, moved by its true width.
        assert f"\x1b7{FAMILY}\x1b8\x1b[2C" in app.raw


async def test_why_a_contact_is_offline_and_trying_again() -> None:
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("○ offline: no answer at 192.0.2.7:4000")
        app.press("/retry\r")
        await app.shows("Trying to reach Bob now.")
        assert data.asked("contact.retry") == [{"contact": "Bob"}]
        data.contacts[0].update(online=True, pq=True)
        data.stream.put("contact.state", contact="Bob", online=True, trust="unverified", pq=True)
        await app.shows("● online · post-quantum", "1 of 1 online")


async def test_adding_somebody() -> None:
    data = DataSet()
    async with terminal(data) as app:
        await app.shows("Nobody is here yet.", "/myid", "/add LINK")
        app.press("hello\r")
        await app.shows("Nobody to send this to.")
        app.press("\x15")
        data.refuse["contact.add"] = RpcError(RpcCode.INVALID_PARAMS, "the link is damaged")
        await app.paste(f"/add {LINK[:40]}\n{LINK[40:]} Zoe")
        app.press("\r")
        await app.shows("✗ The link is damaged.")
        del data.refuse["contact.add"]
        app.press("\r")
        await app.shows("Added. Compare safety numbers with /verify", "Zoe")
        assert data.asked("contact.add") == [{"link": LINK, "name": "Zoe"}] * 2


async def test_own_link_stands_from_the_first_column_on() -> None:
    async with terminal(DataSet([contact("Bob")])) as app:
        await app.shows("Bob")
        app.press("/myid\r")
        await app.shows("Alice's contact link")
        rows = app.rows()
        first = next(index for index, row in enumerate(rows) if row.startswith("p2pchat:"))
        assert rows[first] + rows[first + 1] == LINK


async def test_a_request_is_shown_and_accepted() -> None:
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("Bob")
        data.contacts.append(contact("Erin", "request", note="It is me"))
        data.stream.put("contact.request", contact="Erin", name="Erin", peer_id="", note="It is me")
        await app.shows("Erin asks to talk with you. Alt+a shows the request.", "? 1 request")
        app.press("\x1ba")
        await app.shows("? Erin asks to talk with you", "“It is me”", "? request")
        app.press("hello\r")
        await app.shows("Not sent: Erin is not accepted yet.")
        app.press("\x15/accept\r")
        await app.shows("Erin is accepted.", "~ unverified")
        assert data.asked("message.send") == []


async def test_removing_asks() -> None:
    data = DataSet([contact("Bob"), contact("Carol")])
    async with terminal(data) as app:
        await app.shows("Carol")
        app.press("/remove\r")
        await app.shows("Remove Bob, and all messages with them? y / n")
        app.press("xyz"[0])  # anything else is not typed either
        app.press("n")
        await app.lacks("y / n")
        app.press("/remove\ry")
        await app.shows("Bob is removed.")
        assert data.asked("contact.remove") == [{"contact": "Bob"}]


@pytest.mark.parametrize("keys", ["\x03", "\x04", "/quit\r"], ids=["Ctrl+C", "Ctrl+D", "/quit"])
async def test_leaving(keys: str) -> None:
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("Bob")
        app.press(keys)
        await app.until_ended()
    assert data.closed


async def test_leaving_with_a_draft_asks() -> None:
    async with terminal(DataSet([contact("Bob")])) as app:
        await app.shows("Bob")
        app.press("dear Bob\x03")
        await app.shows("A message is written but not sent, and would be lost. Leave? y / n")
        app.press("n\x03y")
        await app.until_ended()


async def test_the_node_may_end_first() -> None:
    data = DataSet([contact("Bob")])
    async with terminal(data) as app:
        await app.shows("Bob")
        data.stream.end()
        await app.shows("The p2pchat process that holds this profile has ended.")
        app.press("\x03")
        await app.until_ended()


async def test_a_node_that_answers_nonsense() -> None:
    data = DataSet([contact("Bob") | {"trust": "adored"}])
    async with terminal(data) as app:
        await app.shows("The node gave an answer that this version does not understand.")


async def test_undoing_never_brings_one_contacts_text_to_another() -> None:
    async with terminal(DataSet([contact("Bob"), contact("Carol")])) as app:
        await app.shows("Carol")
        app.press("only for Bob")
        await app.shows("> only for Bob")
        app.press("\x1b2")
        await app.lacks("only for Bob")
        app.press("\x1f\x1f\x1fx")  # Ctrl+_
        await app.shows("> x")
        assert "only for Bob" not in app.text()
