"""The history is laid out only where the window is, and scrolls without jumping."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.sanitize import clean_text
from p2pchat.tui import chats
from p2pchat.tui.conversation import Anchor, Conversation, Delivery, Message, Notice
from p2pchat.tui.history import History, Names
from p2pchat.tui.text import Line, line_width

NAMES = Names("Alice", "Bob")
NOON = 1_795_435_200_000
DAY_MS = 24 * 3600 * 1000


def text_of(lines: list[Line]) -> list[str]:
    return ["".join(part for _, part in each) for each in lines]


def message(index: int, text: str = "", **more: object) -> Message:
    plain = Message(str(index), False, text or f"text {index}", NOON, Delivery.DELIVERED)
    return replace(plain, **more)  # type: ignore[arg-type]  # fields by name


def chat_of(count: int) -> Conversation:
    return Conversation(tuple(message(index) for index in range(count)), loaded=True)


def test_a_hundred_thousand_messages_cost_one_screen() -> None:
    """Layouts are counted, not time."""
    history, chat = History(UTC), chat_of(100_000)
    lines = history.visible(chat, NAMES, 60, 30)
    assert len(lines) == 30
    assert text_of(lines)[-1] == " [12:00] <Bob> text 99999"
    assert history.laid_out == 30
    history.visible(chat, NAMES, 60, 30)
    assert history.laid_out == 30
    chat = chats.append(chat, message(100_000))
    history.visible(chat, NAMES, 60, 30)
    assert history.laid_out == 31
    deep = replace(chat, anchor=Anchor(50_000, 0))
    history.visible(deep, NAMES, 60, 30)
    assert history.laid_out == 61
    history.scroll(deep, NAMES, 60, 30, 28)
    assert history.laid_out <= 120


def test_one_message_of_thousands_of_lines_is_laid_out_once() -> None:
    history = History(UTC)
    chat = Conversation((message(0, "\n".join(map(str, range(5000)))),), loaded=True)
    first = history.visible(chat, NAMES, 60, 20)
    assert text_of(first)[-1].strip() == "4999"
    anchor, top = history.scroll(chat, NAMES, 60, 20, 100)
    assert (anchor, top) == (Anchor(0, 100), False)
    again = history.visible(replace(chat, anchor=anchor), NAMES, 60, 20)
    assert text_of(again)[-1].strip() == "4899"
    assert history.laid_out == 1


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=12),
    st.lists(st.integers(-40, 40), max_size=12),
    st.integers(2, 15),
)
def test_scrolling_moves_by_lines_and_stops_at_both_ends(
    sizes: list[int], moves: list[int], height: int
) -> None:
    entries = tuple(
        message(index, "\n".join(f"{index}.{row}" for row in range(size)))
        for index, size in enumerate(sizes)
    )
    chat = Conversation(entries, loaded=True)
    history = History(UTC)
    everything = text_of(history.visible(chat, NAMES, 60, 10_000))
    below = 0
    for move in moves:
        anchor, top = history.scroll(chat, NAMES, 60, height, move)
        chat = replace(chat, anchor=anchor)
        below = max(0, min(below + move, len(everything) - height))
        end = len(everything) - below
        shown = text_of(history.visible(chat, NAMES, 60, height))
        assert shown == everything[max(0, end - height) : end]
        assert (anchor is None) == (below == 0)
        assert top == (end - height <= 0)


def test_a_scrolled_window_stays_when_messages_come_above_and_below() -> None:
    history, chat = History(UTC), chat_of(100)
    chat = replace(chat, anchor=Anchor(40, 0))
    before = text_of(history.visible(chat, NAMES, 60, 10))
    chat = chats.append(chat, message(100))
    older = tuple(message(-index) for index in range(1, 4))
    chat = chats.merge_page(chat, "0", older)
    assert text_of(history.visible(chat, NAMES, 60, 10)) == before


def test_days_new_messages_and_marks() -> None:
    entries = (
        message(0, sent_at_ms=NOON - DAY_MS),
        message(1),
        message(2, outgoing=True, state=Delivery.FAILED, reason="too long"),
        Notice("3", "The session was renewed.", NOON),
        message(4, outgoing=True, state=Delivery.QUEUED),
    )
    chat = Conversation(entries, loaded=True, first_new="1")
    shown = text_of(History(UTC).visible(chat, NAMES, 50, 30))
    assert [each.strip("─ ") for each in shown] == [
        "Sunday, 22 November 2026",
        "[12:00] <Bob> text 0",
        "Monday, 23 November 2026",
        "new messages",
        "[12:00] <Bob> text 1",
        "[12:00] <Alice> text 2 ✗",
        "not delivered: too long",
        "· The session was renewed.",
        "[12:00] <Alice> text 4 ◌",
    ]


@given(
    st.text(st.characters(exclude_categories=["C"]), max_size=80),
    st.integers(20, 80),
    st.booleans(),
)
def test_lines_are_never_wider_than_the_window(text: str, cells: int, outgoing: bool) -> None:
    chat = Conversation((message(0, clean_text(text), outgoing=outgoing),), loaded=True)
    for each in History(UTC).visible(chat, NAMES, cells, 100):
        assert line_width(each) <= cells


def test_an_impossible_time_is_no_crash() -> None:
    chat = Conversation((message(0, sent_at_ms=2**62), message(1, sent_at_ms=-(2**62))))
    shown = text_of(History(UTC).visible(chat, NAMES, 50, 9))
    assert "[--:--] <Bob> text 0" in shown[1]
