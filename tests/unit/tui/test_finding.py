"""Looking for messages and going to one of them, as the state changes by it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.tui.actions import answer, news, person
from p2pchat.tui.conversation import Anchor, Delivery, Message
from p2pchat.tui.dates import day_span_ms
from p2pchat.tui.effects import Call
from p2pchat.tui.finding import SEARCH_LIMIT, SNIPPET_MAX_CHARS, snippet
from p2pchat.tui.hits import found_lines
from p2pchat.tui.panel_state import Hit, SearchPanel
from p2pchat.tui.state import PAGE_MESSAGES, AppState
from p2pchat.tui.text import line_width
from tests.unit.tui.test_model import NOW, calls, chatting, contact, flash, incoming, run, texts


def panel(state: AppState) -> SearchPanel:
    assert isinstance(state.panel, SearchPanel)
    return state.panel


def keys(state: AppState) -> list[str]:
    """The keys of what is on the screen."""
    return [entry.key for entry in state.shown.entries]


def found(*messages: Message, handle: str = "Bob") -> answer.SearchDone:
    return answer.SearchDone("", "x", tuple(Hit(handle, message) for message in messages))


def visiting() -> AppState:
    """Bob's newest messages are loaded, and the person has gone to an older one of Zoe's."""
    state = chatting(contact("Bob"), contact("Zoe"))
    state, _ = run(state, answer.ContactsListed((contact("Bob"), contact("Zoe", unread=1))))
    state, _ = run(state, person.Submitted("/searchall x", NOW), found(incoming("5"), handle="Zoe"))
    state, effects = run(state, person.Submitted("", NOW))
    assert [dict(call.params) for call in calls(effects, "message.list")] == [
        {"contact": "Zoe", "limit": PAGE_MESSAGES},  # to come back to
        {"contact": "Zoe", "limit": PAGE_MESSAGES, "before": "5"},
        {"contact": "Zoe", "limit": PAGE_MESSAGES, "after": "5"},
    ]
    assert not calls(effects, "message.mark_read")
    assert (state.active, state.panel, state.shown.selected) == ("Zoe", None, "5")
    return state


def test_search_shows_what_it_asked_for_only() -> None:
    state, effects = run(chatting(), person.Submitted("/search blue bird", NOW))
    assert dict(calls(effects, "message.list")[0].params)["search"] == "blue bird"
    state, _ = run(state, answer.SearchDone("Bob", "other", (Hit("Bob", incoming("1")),)))
    assert panel(state).found is None
    state, _ = run(state, answer.SearchDone("", "blue bird", (Hit("Bob", incoming("1")),)))
    assert panel(state).found is None
    hits = tuple(Hit("Bob", incoming(key)) for key in "12")
    state, _ = run(state, answer.SearchDone("Bob", "blue bird", hits))
    assert [hit.message.key for hit in panel(state).found or ()] == ["2", "1"]


def test_all_chats_are_searched_at_once_even_without_a_chat() -> None:
    state, effects = run(AppState(), person.Submitted("/searchall x", NOW))
    assert effects[1:] == [Call("message.search", (("words", "x"), ("limit", SEARCH_LIMIT)))]
    state, effects = run(state, found(incoming("1"), handle="nobody"), person.Submitted("", NOW))
    assert effects == []
    assert flash(state) == "That contact is gone."
    state, _ = run(AppState(), person.Submitted("/search x", NOW))
    assert "no chat here" in flash(state)


def test_a_refused_search_closes_its_panel() -> None:
    state, effects = run(chatting(), person.Submitted("/searchall x", NOW))
    (call,) = calls(effects, "message.search")
    state, _ = run(state, answer.CallFailed(call, "search for at most 32 words"))
    assert state.panel is None
    assert flash(state) == "Search for at most 32 words."


def test_a_day_is_shown_from_its_beginning_on() -> None:
    state, effects = run(chatting(), person.Submitted("/date 2026-03-02", 0))
    first_ms, _ = day_span_ms("2026-03-02")
    (call,) = calls(effects, "message.list")
    assert dict(call.params) == {
        "contact": "Bob",
        "after_ms": first_ms,
        "oldest": True,
        "limit": SEARCH_LIMIT,
    }
    hits = tuple(Hit("Bob", incoming(key)) for key in "12")
    state, _ = run(state, answer.SearchDone("Bob", first_ms + 1, hits))
    assert panel(state).found is None
    state, _ = run(state, answer.SearchDone("Bob", first_ms, hits))
    assert [hit.message.key for hit in panel(state).found or ()] == ["1", "2"]


def test_what_is_no_day_is_said_and_stays_in_the_composer() -> None:
    state, effects = run(
        chatting(), person.DraftChanged("/date soon"), person.Submitted("/date soon", 0)
    )
    assert "is not a day" in flash(state)
    assert (effects, state.conversation("Bob").draft) == ([], "/date soon")


def test_the_choice_stays_among_what_was_found() -> None:
    state, _ = run(chatting(), person.Submitted("/searchall x", NOW), person.MessageChosen(1))
    assert panel(state).chosen == 0
    state, _ = run(state, found(incoming("1"), incoming("2"), incoming("3")))
    for step, chosen in ((1, 1), (9, 2), (-1, 1), (-9, 0)):
        state, _ = run(state, person.MessageChosen(step))
        assert panel(state).chosen == chosen


def test_going_to_a_loaded_message_chooses_it_in_its_chat() -> None:
    page = tuple(incoming(str(number)) for number in range(9))
    state = run(chatting(contact("Bob", unread=1)), answer.HistoryLoaded("Bob", "", page))[0]
    state, effects = run(
        state, person.Submitted("/searchall x", NOW), found(page[4]), person.Submitted("", NOW)
    )
    assert state.visit is None
    assert (state.shown.selected, state.shown.anchor) == ("4", Anchor(4, 0))
    assert not calls(effects, "message.list")
    state, _ = run(state, person.Escaped())
    assert (state.shown.selected, state.shown.anchor) == ("", None)


def test_a_visit_loads_both_sides_and_stays_on_the_same_line() -> None:
    state, _ = run(
        visiting(),
        answer.NewerLoaded("Zoe", "5", (incoming("6"), incoming("7"))),
        answer.HistoryLoaded("Zoe", "5", (incoming("4"),)),
    )
    assert keys(state) == ["4", "5", "6", "7"]
    assert state.shown.anchor == Anchor(2, 0)
    assert state.shown.complete
    # Answers to what was asked for before that change nothing.
    assert run(state, answer.NewerLoaded("Zoe", "5", (incoming("9"),)))[0] == state
    assert run(state, answer.HistoryLoaded("Zoe", "5", (incoming("3"),)))[0] == state
    assert keys(run(state, answer.HistoryLoaded("Bob", "4", (incoming("3"),)))[0]) == keys(state)


def test_scrolling_a_visit_asks_for_more_at_both_ends_and_ends_it_at_the_newest() -> None:
    older = tuple(incoming(f"a{number}") for number in range(PAGE_MESSAGES))
    newer = tuple(incoming(f"b{number}") for number in range(PAGE_MESSAGES))
    state, _ = run(
        visiting(),
        answer.HistoryLoaded("Zoe", "", (incoming("8"), incoming("9"))),
        answer.HistoryLoaded("Zoe", "5", older),
        answer.NewerLoaded("Zoe", "5", newer),
    )
    state, effects = run(state, person.HistoryScrolled(Anchor(150, 0), at_top=True))
    assert [dict(call.params)["before"] for call in calls(effects, "message.list")] == ["a0"]
    assert run(state, person.HistoryScrolled(Anchor(150, 0), at_top=True))[1] == []
    state, _ = run(state, answer.HistoryLoaded("Zoe", "a0", ()))
    state, effects = run(state, person.HistoryScrolled(None, at_top=False))
    assert [dict(call.params)["after"] for call in calls(effects, "message.list")] == ["b99"]
    state, effects = run(
        state, answer.NewerLoaded("Zoe", "b99", ()), person.HistoryScrolled(None, at_top=False)
    )
    assert state.visit is None
    assert keys(state) == ["8", "9"]
    assert calls(effects, "message.mark_read")


def test_a_page_that_was_refused_is_asked_for_again() -> None:
    state = visiting()
    assert run(state, person.HistoryScrolled(None, at_top=False))[1] == []  # on its way
    call = Call("message.list", (("contact", "Zoe"), ("after", "5")), "Zoe")
    state, _ = run(state, answer.CallFailed(call, "the disk is full"))
    assert calls(run(state, person.HistoryScrolled(None, at_top=False))[1], "message.list")


def test_news_reach_a_visit_and_the_newest_end_but_new_messages_only_that() -> None:
    edited = replace(incoming("5", "other"), edited=True)
    state, effects = run(
        visiting(),
        answer.HistoryLoaded("Zoe", "", (incoming("5"), incoming("8"))),
        news.MessageArrived("Zoe", incoming("9")),
        news.MessageChanged("Zoe", edited),
    )
    assert state.shown.entries == (edited,)
    assert [entry.key for entry in state.conversation("Zoe").entries] == ["5", "8", "9"]
    assert texts(state, "Zoe")[0] == "other"
    assert not calls(effects, "message.mark_read")
    state, _ = run(state, news.MessageRemoved("Zoe", "5"))
    assert keys(state) == []
    state, effects = run(state, person.Escaped())
    assert keys(state) == ["8", "9"]
    assert calls(effects, "message.mark_read")


@pytest.mark.parametrize(
    "action",
    [
        person.Submitted("hello", NOW),
        person.ContactChosen(0),
        person.Escaped(),
        news.NewsLost(),
        answer.RecordChanged("Zoe"),
        answer.ContactAdded("Yan"),
        answer.ContactsListed((contact("Bob"),)),
        answer.ContactsListed(()),
    ],
)
def test_a_visit_ends(action: person.Person | answer.Answer | news.News) -> None:
    assert run(visiting(), action)[0].visit is None


def test_a_command_is_about_the_message_that_was_gone_to() -> None:
    state, effects = run(visiting(), person.Submitted("/react +", NOW))
    (call,) = calls(effects, "message.react")
    assert dict(call.params)["message_id"] == "5"
    assert (state.visit is not None, state.shown.selected) == (True, "")


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        ("short", "short", "short"),
        ("a\nb\x1b[2J", "b", "a b␛[2J"),
        ("start " * 20 + "The NEEDLE is here", "needle", "…start start start The NEEDLE is here"),
        ("x" * 300, "nowhere", "x" * (SNIPPET_MAX_CHARS - 2) + "…"),
        ("y" * 100 + "needle", "needle", "…" + "y" * 24 + "needle"),
    ],
)
def test_a_snippet_begins_before_the_first_word(text: str, words: str, expected: str) -> None:
    message = Message("1", False, text, NOW, Delivery.DELIVERED)
    assert snippet(Hit("Bob", message), words) == expected
    assert len(expected) <= SNIPPET_MAX_CHARS
    assert snippet(Hit("Bob", replace(message, deleted=True)), words) == "deleted"


@pytest.mark.parametrize(("cells", "rows"), [(80, 20), (30, 4), (30, 1), (200, 60)])
def test_the_chosen_hit_is_in_sight_whatever_was_found(cells: int, rows: int) -> None:
    hits = [incoming(f"{number}", f"message {number} " + "日" * 400) for number in range(50)]
    state, _ = run(chatting(), person.Submitted("/searchall x", NOW), found(*hits))
    for step in (0, 20, 29):
        state, _ = run(state, person.MessageChosen(step))
        lines = found_lines(state, panel(state), cells, rows, None)
        assert len(lines) <= rows
        assert all(line_width(line) <= cells for line in lines)
        shown = "".join(text for line in lines for _, text in line)
        assert "▸" in shown
        assert rows < 4 or f"message {49 - panel(state).chosen} " in shown
