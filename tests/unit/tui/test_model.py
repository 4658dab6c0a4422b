"""``reduce``: what keys, answers and news do to the state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.constants import TEXT_MAX_BYTES
from p2pchat.identity.trust import Trust
from p2pchat.tui import view
from p2pchat.tui.actions import Action, answer, news, person
from p2pchat.tui.conversation import Anchor, Delivery, Message, Notice
from p2pchat.tui.effects import Call, Effect, Leave, SetComposer
from p2pchat.tui.model import reduce
from p2pchat.tui.panel_state import Comparison, HelpPanel, VerifyPanel
from p2pchat.tui.state import PAGE_MESSAGES, AppState, Contact

NOW = 1_795_435_200_000
NUMBER = " ".join(["12345"] * 12)


def contact(name: str, trust: Trust = Trust.UNVERIFIED, **more: object) -> Contact:
    return replace(Contact(name, name, f"{name}-id", trust), **more)  # type: ignore[arg-type]  # fields by name


def incoming(key: str, text: str = "hi") -> Message:
    return Message(key, False, text, NOW, Delivery.DELIVERED)


def outgoing(key: str, state: Delivery) -> Message:
    return Message(key, True, "hi", NOW, state)


def run(state: AppState, *actions: Action) -> tuple[AppState, list[Effect]]:
    """Reduce the actions; returns the last state and all effects."""
    done: list[Effect] = []
    for action in actions:
        state, effects = reduce(state, action)
        done += effects
    return state, done


def chatting(*contacts: Contact) -> AppState:
    """The contacts are listed and the first one's history is there."""
    listed = answer.ContactsListed(contacts or (contact("Bob"),))
    state, effects = run(AppState(), listed)
    handle = next(each.handle for each in effects if isinstance(each, Call))
    return run(state, answer.HistoryLoaded(handle, "", ()))[0]


def calls(effects: list[Effect], method: str) -> list[Call]:
    return [each for each in effects if isinstance(each, Call) and each.method == method]


def flash(state: AppState) -> str:
    return state.flash.text if state.flash else ""


def texts(state: AppState, handle: str) -> list[str]:
    return [
        each.text if isinstance(each, Message) else f"· {each.text}"
        for each in state.conversation(handle).entries
    ]


# --- Sending ----------------------------------------------------------------------------------


def test_a_message_is_shown_at_once_and_gets_its_id_later() -> None:
    state, effects = run(chatting(), person.Submitted("hello\n", NOW))
    assert effects == [
        SetComposer(""),
        Call("message.send", (("contact", "Bob"), ("text", "hello")), "Bob", "local-0"),
    ]
    assert state.conversation("Bob").entries == (
        Message("local-0", True, "hello", NOW, Delivery.QUEUED),
    )
    state, _ = run(state, answer.MessageStored("Bob", "local-0", "id1", Delivery.QUEUED))
    state, _ = run(state, news.MessageMoved("Bob", "id1", Delivery.DELIVERED))
    assert state.conversation("Bob").entries == (
        Message("id1", True, "hello", NOW, Delivery.DELIVERED),
    )


def test_a_message_of_ours_shows_once_whoever_sent_it_and_whatever_comes_first() -> None:
    listed = chatting()
    ours, other = outgoing("id1", Delivery.QUEUED), outgoing("id2", Delivery.QUEUED)
    stored = answer.MessageStored("Bob", "local-0", "id1", Delivery.QUEUED)
    told, elsewhere = news.MessageQueued("Bob", ours), news.MessageQueued("Bob", other)
    for actions in (
        (told, stored, elsewhere),
        (stored, told, elsewhere),
        (elsewhere, told, stored),  # of the same words
    ):
        state, _ = run(listed, person.Submitted("hi", NOW), *actions)
        assert {entry.key for entry in state.conversation("Bob").entries} == {"id1", "id2"}
        assert len(state.conversation("Bob").entries) == 2
    assert run(AppState(), told)[0] == AppState()  # a history that is not listed yet


def test_delivery_news_may_come_before_the_message_id() -> None:
    state, _ = run(
        chatting(),
        person.Submitted("hello", NOW),
        news.MessageMoved("Bob", "id1", Delivery.SENT),
        answer.MessageStored("Bob", "local-0", "id1", Delivery.QUEUED),
    )
    (message,) = state.conversation("Bob").entries
    assert isinstance(message, Message)
    assert (message.key, message.state) == ("id1", Delivery.SENT)
    assert state.conversation("Bob").early == ()


def test_a_message_that_a_page_brought_meanwhile_is_not_doubled() -> None:
    state, _ = run(
        chatting(),
        person.Submitted("hello", NOW),
        answer.HistoryLoaded("Bob", "", (outgoing("id1", Delivery.QUEUED),)),
        answer.MessageStored("Bob", "local-0", "id1", Delivery.QUEUED),
    )
    assert [each.key for each in state.conversation("Bob").entries] == ["id1"]


@pytest.mark.parametrize(
    ("trust", "why"),
    [
        (Trust.CHANGED, "key has changed"),
        (Trust.REQUEST, "not accepted yet"),
        (Trust.BLOCKED, "is blocked"),
    ],
)
def test_nothing_is_sent_where_trust_forbids_it(trust: Trust, why: str) -> None:
    """R-3.6.6"""
    state, effects = run(chatting(contact("Bob", trust)), person.Submitted("secret", NOW))
    assert effects == []
    assert why in flash(state)
    assert state.conversation("Bob").entries == ()


def test_a_text_that_is_too_long_is_refused_and_stays() -> None:
    state, effects = run(chatting(), person.Submitted("é" * (TEXT_MAX_BYTES // 2), NOW))
    assert calls(effects, "message.send")
    state, effects = run(chatting(), person.Submitted("é" * (TEXT_MAX_BYTES // 2) + "x", NOW))
    assert effects == []  # no SetComposer: the text is still there
    assert "64 KiB" in flash(state)


def test_a_mistyped_command_is_not_sent() -> None:
    state, effects = run(chatting(), person.Submitted("/foo bar", NOW))
    assert effects == []
    assert "was not sent" in flash(state)
    _, effects = run(chatting(), person.Submitted("//foo bar", NOW))
    assert calls(effects, "message.send")[0].params[1] == ("text", "/foo bar")


def test_bytes_that_are_no_text_are_sent_as_text() -> None:
    _, effects = run(chatting(), person.Submitted("a\udcffb", NOW))
    assert calls(effects, "message.send")[0].params[1] == ("text", "a?b")


@pytest.mark.parametrize("text", ["", "   ", "\n\n"])
def test_nothing_is_nothing(text: str) -> None:
    state = chatting()
    assert run(state, person.Submitted(text, NOW)) == (state, [])


def test_a_refused_message_goes_back_to_the_composer() -> None:
    state, effects = run(chatting(), person.Submitted("a\x1bb", NOW))
    refused = answer.CallFailed(calls(effects, "message.send")[0], "the key changed", trust=True)
    state, effects = run(state, refused)
    assert effects == [SetComposer("a\x1bb")]
    assert state.conversation("Bob").entries == ()
    assert flash(state) == "Not sent: The key changed."


def test_a_refused_message_does_not_overwrite_a_new_draft() -> None:
    state, effects = run(chatting(), person.Submitted("one", NOW), person.DraftChanged("two"))
    refused = answer.CallFailed(calls(effects, "message.send")[0], "the disk is full")
    state, effects = run(state, refused)
    assert effects == []
    (message,) = state.conversation("Bob").entries
    assert isinstance(message, Message)
    assert (message.state, message.reason) == (Delivery.FAILED, "The disk is full.")


def test_a_failure_without_a_reason_is_asked_for() -> None:
    state, _ = run(chatting(), answer.HistoryLoaded("Bob", "", (outgoing("1", Delivery.SENT),)))
    state, effects = run(state, news.MessageMoved("Bob", "1", Delivery.FAILED))
    assert len(calls(effects, "message.list")) == 1
    listed = replace(outgoing("1", Delivery.FAILED), reason="refused")
    state, _ = run(state, answer.HistoryLoaded("Bob", "", (listed,)))
    assert state.conversation("Bob").entries == (listed,)


def test_an_answer_that_was_overtaken_does_not_set_a_message_back() -> None:
    state, _ = run(
        chatting(), answer.HistoryLoaded("Bob", "", (outgoing("1", Delivery.DELIVERED),))
    )
    state, _ = run(state, answer.HistoryLoaded("Bob", "", (outgoing("1", Delivery.SENT),)))
    assert state.conversation("Bob").entries == (outgoing("1", Delivery.DELIVERED),)


# --- Drafts, switching, unread ----------------------------------------------------------------


def test_each_contact_keeps_its_draft() -> None:
    state = chatting(contact("Bob"), contact("Carol"))
    state, effects = run(state, person.DraftChanged("for Bob"), person.ContactChosen(1))
    assert SetComposer("") in effects
    state, effects = run(state, person.DraftChanged("for Carol"), person.ContactStepped(-1))
    assert SetComposer("for Bob") in effects
    _, effects = run(state, person.ContactStepped(-1))
    assert SetComposer("for Carol") in effects


def test_opening_a_chat_marks_it_read_once_its_messages_are_there() -> None:
    state = chatting(contact("Bob"), contact("Carol"))
    state, _ = run(state, answer.ContactsListed((contact("Bob"), contact("Carol", unread=1))))
    state, effects = run(state, person.NextUnreadWanted())
    assert state.active == "Carol"
    assert not calls(effects, "message.mark_read")
    page = (incoming("1"), incoming("2"))
    state, effects = run(state, answer.HistoryLoaded("Carol", "", page))
    assert calls(effects, "message.mark_read")
    assert state.conversation("Carol").first_new == "2"
    assert state.contacts[1].unread == 0
    state, _ = run(state, person.ContactChosen(0))
    assert state.conversation("Carol").first_new == ""


def test_a_message_in_the_watched_chat_is_read_and_elsewhere_counted_by_the_node() -> None:
    state = chatting(contact("Bob"), contact("Carol"))
    state, effects = run(state, news.MessageArrived("Bob", incoming("1")))
    assert effects == [Call("message.mark_read", (("contact", "Bob"),), "Bob")]
    state, effects = run(state, news.MessageArrived("Carol", incoming("2")))
    assert effects == [Call("contact.list")]
    assert texts(state, "Bob") == ["hi"]
    assert texts(state, "Carol") == []  # comes with its page


def test_a_message_below_a_scrolled_window_is_not_read_until_one_is_there() -> None:
    state, _ = run(
        chatting(),
        person.HistoryScrolled(Anchor(3, 0), at_top=False),
        news.MessageArrived("Bob", incoming("1")),
        answer.ContactsListed((contact("Bob", unread=1),)),
    )
    assert state.conversation("Bob").anchor == Anchor(4, 0)
    assert state.contacts[0].unread == 1
    state, effects = run(state, person.Escaped())
    assert state.conversation("Bob").anchor is None
    assert calls(effects, "message.mark_read")
    assert state.conversation("Bob").first_new == "1"


def test_scrolling_to_the_top_loads_older_messages_once() -> None:
    page = tuple(incoming(str(index)) for index in range(PAGE_MESSAGES))
    state, _ = run(chatting(), person.HistoryScrolled(Anchor(9, 0), at_top=True))
    state = run(AppState(), answer.ContactsListed((contact("Bob"),)))[0]
    state, _ = run(state, answer.HistoryLoaded("Bob", "", page))
    state, effects = run(
        state,
        person.HistoryScrolled(Anchor(9, 0), at_top=True),
        person.HistoryScrolled(Anchor(9, 0), at_top=True),
    )
    (load,) = calls(effects, "message.list")
    assert dict(load.params)["before"] == "0"
    state, _ = run(state, answer.HistoryLoaded("Bob", "0", (incoming("older"),)))
    assert texts(state, "Bob")[0] == "hi"
    assert state.conversation("Bob").complete
    _, effects = run(state, person.HistoryScrolled(Anchor(9, 0), at_top=True))
    assert effects == []


def test_what_arrives_while_the_first_page_is_on_its_way_is_kept() -> None:
    state, _ = run(AppState(), answer.ContactsListed((contact("Bob"),)))
    state, _ = run(
        state,
        news.MessageArrived("Bob", incoming("2")),
        news.MessageArrived("Bob", incoming("3")),
        answer.HistoryLoaded("Bob", "", (incoming("1"), incoming("2"))),
    )
    assert [each.key for each in state.conversation("Bob").entries] == ["1", "2", "3"]


def test_requests_stand_last_and_are_found_by_next_unread() -> None:
    state = chatting(contact("Bob"), contact("Ann", Trust.REQUEST), contact("Zoe"))
    assert [each.name for each in state.contacts] == ["Bob", "Zoe", "Ann"]
    state, _ = run(state, person.NextUnreadWanted())
    assert state.active == "Ann"
    state, _ = run(state, person.NextUnreadWanted())
    assert state.active == "Ann"
    assert flash(state) == "No unread messages."


def test_a_renewed_session_is_said_in_the_chat() -> None:
    state, _ = run(chatting(), news.SessionRenewed("Bob", "their data was restored", NOW))
    (notice,) = state.conversation("Bob").entries
    assert isinstance(notice, Notice)
    assert "their data was restored" in notice.text
    assert "What waited is sent again" in notice.text


def test_news_of_a_key_is_said_in_the_chat_once_and_only_if_known() -> None:
    state, effects = run(chatting(), news.KeyTold("Bob", "revoked", 7, NOW))
    assert texts(state, "Bob") == [
        "· Bob has revoked this key. Nothing is sent to it or taken from it any more."
    ]
    assert calls(effects, "contact.list")
    state, _ = run(chatting(), news.KeyTold("Bob", "recovered", NOW, NOW))
    assert "Bob has moved to another computer" in texts(state, "Bob")[0]
    assert "2026-11-23" in texts(state, "Bob")[0]
    for action in (
        news.KeyTold("Bob", "of later", 7, NOW),
        news.KeyTold("Nobody", "revoked", 7, NOW),
    ):
        assert run(state, action) == (state, [])


def test_to_a_revoked_key_nothing_is_written_and_it_is_not_accepted_again() -> None:
    """R-3.7.4."""
    state = chatting(replace(contact("Bob", Trust.BLOCKED), revoked_at_ms=7))
    for text in ("a secret", "/accept"):
        after, effects = run(state, person.Submitted(text, NOW))
        assert "has revoked this key" in flash(after)
        assert not effects


# --- Contacts ---------------------------------------------------------------------------------


def test_adding_keeps_the_command_until_it_succeeds() -> None:
    state, effects = run(
        chatting(),
        person.DraftChanged("/add p2pchat:x Zoe"),
        person.Submitted("/add p2pchat:x Zoe", NOW),
    )
    (add,) = effects
    assert add == Call("contact.add", (("link", "p2pchat:x"), ("name", "Zoe")))
    refused, effects = run(state, answer.CallFailed(add, "the link is damaged"))
    assert (flash(refused), effects) == ("The link is damaged.", [])
    state, effects = run(state, answer.ContactAdded("Zoe"))
    assert SetComposer("") in effects
    assert state.conversation("Bob").draft == ""
    state, effects = run(state, answer.ContactsListed((contact("Bob"), contact("Zoe"))))
    assert state.active == "Zoe"
    assert calls(effects, "message.list")[0].handle == "Zoe"


@pytest.mark.parametrize(
    ("command", "trust", "method"),
    [
        ("/accept", Trust.REQUEST, "contact.accept"),
        ("/accept", Trust.CHANGED, "contact.accept"),
        ("/accept", Trust.BLOCKED, "contact.accept"),
        ("/keep", Trust.CHANGED, "contact.keep"),
        ("/block", Trust.CHANGED, "contact.block"),
        ("/block", Trust.VERIFIED, "contact.block"),
    ],
)
def test_decisions_about_a_contact(command: str, trust: Trust, method: str) -> None:
    state, effects = run(chatting(contact("Bob", trust)), person.Submitted(command, NOW))
    assert effects == [SetComposer(""), Call(method, (("contact", "Bob"),), "Bob")]
    state, effects = run(state, answer.ContactSettled("Bob", method))
    assert effects == [Call("contact.list")]
    assert "Bob" in flash(state)


@pytest.mark.parametrize(
    ("command", "trust", "objection"),
    [
        ("/accept", Trust.VERIFIED, "accepted already"),
        ("/keep", Trust.VERIFIED, "has not changed"),
        ("/block", Trust.BLOCKED, "blocked already"),
        ("/block Nobody", Trust.VERIFIED, "No contact is called Nobody"),
        ("/msg Nobody", Trust.VERIFIED, "No contact is called Nobody"),
    ],
)
def test_decisions_that_make_no_sense(command: str, trust: Trust, objection: str) -> None:
    state, effects = run(chatting(contact("Bob", trust)), person.Submitted(command, NOW))
    assert effects == []
    assert objection in flash(state)


def test_removing_asks_first() -> None:
    state, effects = run(chatting(), person.Submitted("/remove", NOW))
    assert not calls(effects, "contact.remove")
    assert run(state, person.Answered(yes=False))[1] == []
    assert run(state, person.Submitted("text", NOW))[1] == []  # not while the question is open
    state, effects = run(state, person.Answered(yes=True))
    assert calls(effects, "contact.remove")
    state, _ = run(state, answer.ContactSettled("Bob", "contact.remove"), answer.ContactsListed(()))
    assert state.active == ""
    assert state.conversations == {}


def test_names_may_be_shortened_where_they_are_clear() -> None:
    state = chatting(contact("Bob"), contact("Bert"), contact("Carol"))
    assert run(state, person.Submitted("/msg car", NOW))[0].active == "Carol"
    state, _ = run(state, person.Submitted("/msg B", NOW))
    assert flash(state) == "No contact is called B."


def test_a_request_is_announced() -> None:
    state, effects = run(chatting(), news.RequestArrived("Erin"))
    assert flash(state) == "Erin asks to talk with you. Alt+a shows the request."
    assert effects == [Call("contact.list")]


def test_what_a_person_typed_cannot_reach_the_screen_raw() -> None:
    state, _ = run(chatting(), person.Submitted("/block \x1b]52;c;x\x07\u202e", NOW))
    assert "␛]52;c;x␇\ufffd" in flash(state)


# --- Comparing safety numbers -----------------------------------------------------------------


def comparing() -> AppState:
    state, effects = run(
        chatting(), person.DraftChanged("/verify"), person.Submitted("/verify", NOW)
    )
    assert effects == [
        SetComposer(""),
        Call("contact.safety_number", (("contact", "Bob"),), "Bob"),
    ]
    return run(state, answer.NumberShown("Bob", NUMBER))[0]


def panel(state: AppState) -> VerifyPanel:
    assert isinstance(state.panel, VerifyPanel)
    return state.panel


def test_a_pasted_number_that_agrees_verifies_and_stays_on_the_screen() -> None:
    """R-3.5.2, R-3.6.5"""
    state, effects = run(comparing(), person.Submitted(NUMBER.replace(" ", "\n"), NOW))
    assert calls(effects, "contact.verify")[0].params[1] == ("number", "12345" * 12)
    assert panel(state).comparison is Comparison.RUNNING
    state, effects = run(state, answer.NumberAgreed("Bob"))
    assert panel(state).comparison is Comparison.AGREED
    state, _ = run(state, answer.ContactsListed((contact("Bob", Trust.VERIFIED),)))
    state, _ = run(state, news.MessageArrived("Bob", incoming("1")))
    assert panel(state).comparison is Comparison.AGREED


def test_a_number_that_differs_warns_and_stays_on_the_screen() -> None:
    state, effects = run(comparing(), person.Submitted("54321" * 12, NOW))
    state, _ = run(
        state, answer.CallFailed(calls(effects, "contact.verify")[0], "differ", trust=True)
    )
    assert panel(state).comparison is Comparison.DIFFERED
    state, _ = run(state, answer.ContactsListed((contact("Bob"),)))
    assert panel(state).comparison is Comparison.DIFFERED


def test_a_failure_is_no_mismatch() -> None:
    state, effects = run(comparing(), person.Submitted("54321" * 12, NOW))
    state, _ = run(
        state, answer.CallFailed(calls(effects, "contact.verify")[0], "the disk is full")
    )
    assert panel(state).comparison is Comparison.NONE
    assert panel(state).problem == "The disk is full."


def test_a_refusal_for_another_reason_is_no_mismatch() -> None:
    state, effects = run(comparing(), person.Submitted(NUMBER, NOW))
    call = calls(effects, "contact.verify")[0]
    state, _ = run(state, answer.CallFailed(call, "the contact is blocked", trust=True))
    assert panel(state).comparison is Comparison.NONE
    assert panel(state).problem == "The contact is blocked."


@pytest.mark.parametrize("pasted", ["12345", "12345 " * 13, "hello", "１" * 60])
def test_what_is_no_number_is_not_compared(pasted: str) -> None:
    state, effects = run(comparing(), person.Submitted(pasted, NOW))
    assert effects == []
    assert "60 digits" in panel(state).problem


def test_people_who_compared_by_voice_type_same() -> None:
    _, effects = run(comparing(), person.Submitted("Same", NOW))
    assert calls(effects, "contact.verify")[0].params[1] == ("number", "12345" * 12)
    waiting, _ = run(chatting(), person.Submitted("/verify", NOW))
    state, effects = run(waiting, person.Submitted("same", NOW))
    assert effects == []
    assert panel(state).problem == "The number is not there yet."


def test_a_number_may_follow_the_command() -> None:
    state, effects = run(chatting(), person.Submitted(f"/verify {NUMBER}", NOW))
    assert [each.method for each in effects if isinstance(each, Call)] == [
        "contact.safety_number",
        "contact.verify",
    ]
    assert panel(state).comparison is Comparison.RUNNING


def test_the_draft_survives_a_comparison() -> None:
    state, _ = run(chatting(), person.Submitted("/verify", NOW))
    state = run(chatting(), person.DraftChanged("dear Bob"))[0]
    state, effects = run(state, person.Submitted("/verify", NOW), person.DraftChanged("12345"))
    assert SetComposer("") in effects
    state, effects = run(state, person.Escaped())
    assert (state.panel, effects[0]) == (None, SetComposer(""))


# --- Panels, leaving --------------------------------------------------------------------------


def test_help_opens_and_closes_and_keeps_the_draft() -> None:
    state, _ = run(chatting(), person.DraftChanged("dear Bob"))
    state, effects = run(state, person.HelpToggled())
    assert isinstance(state.panel, HelpPanel)
    state, effects = run(state, person.HelpToggled())
    assert (state.panel, effects) == (None, [SetComposer("dear Bob")])


def test_sending_closes_a_panel() -> None:
    state, _ = run(chatting(), person.HelpToggled(), person.Submitted("hello", NOW))
    assert state.panel is None


def test_leaving_asks_only_if_a_draft_would_be_lost() -> None:
    assert run(chatting(), person.LeaveWanted())[1] == [Leave()]
    assert run(chatting(), person.Submitted("/quit", NOW))[1] == [Leave()]
    drafted = run(chatting(), person.DraftChanged("dear Bob"))[0]
    state, effects = run(drafted, person.LeaveWanted())
    assert effects == []
    assert run(state, person.LeaveWanted())[1] == [Leave()]
    assert run(state, person.Answered(yes=True))[1] == [Leave()]
    assert run(state, person.Escaped())[0].confirm is None
    commanding = run(chatting(), person.DraftChanged("/quit"))[0]
    assert run(commanding, person.LeaveWanted())[1] == [Leave()]


def test_lost_news_lead_to_listing_anew_without_losing_what_was_typed() -> None:
    page = tuple(incoming(str(index)) for index in range(PAGE_MESSAGES))
    state, _ = run(AppState(), answer.ContactsListed((contact("Bob"), contact("Carol"))))
    state, _ = run(
        state,
        answer.HistoryLoaded("Bob", "", page),
        person.HistoryScrolled(Anchor(9, 0), at_top=True),
        person.Submitted("on its way", NOW),
        person.DraftChanged("a draft"),
    )
    state, effects = run(state, news.NewsLost())
    assert [each.method for each in effects if isinstance(each, Call)] == [
        "contact.list",
        "message.list",
    ]
    chat = state.conversation("Bob")
    assert (texts(state, "Bob"), chat.draft) == (["on its way"], "a draft")
    # The older page that was asked for before belongs to no list any more.
    state, _ = run(state, answer.HistoryLoaded("Bob", "0", (incoming("older"),)))
    assert texts(state, "Bob") == ["on its way"]
    state, _ = run(state, answer.HistoryLoaded("Bob", "", (incoming("new"),)))
    assert [each.key for each in state.conversation("Bob").entries] == ["new", "local-0"]


def test_what_another_client_has_removed_or_revoked_is_asked_for() -> None:
    state, effects = run(chatting(), news.MessageArrived("Bob", incoming("1")))
    assert texts(state, "Bob") == ["hi"]
    state, effects = run(state, news.ContactGone("Bob"))
    assert (texts(state, "Bob"), effects) == ([], [Call("contact.list")])
    assert run(state, news.IdentityRevoked())[1] == [Call("identity.show")]


def test_a_lost_node_is_said() -> None:
    state, _ = run(chatting(), news.ClientLost("gone"))
    assert state.lost == "gone"


# --- requests, and the rule to write to verified contacts only -----------------------------------


def test_a_request_can_be_declined_and_nothing_else_can() -> None:
    state, effects = run(chatting(contact("Bob", Trust.REQUEST)), person.Submitted("/decline", NOW))
    assert Call("contact.decline", (("contact", "Bob"),), "Bob") in effects
    state, _ = run(state, answer.ContactSettled("Bob", "contact.decline"))
    assert state.flash is not None
    assert "declined" in state.flash.text
    state, effects = run(chatting(contact("Bob")), person.Submitted("/decline", NOW))
    assert effects == []
    assert state.flash is not None
    assert "no request" in state.flash.text


def test_the_composer_says_why_an_unverified_contact_gets_nothing() -> None:
    bob = contact("Bob", verify_first=True)
    state, effects = run(chatting(bob), person.Submitted("hello", NOW))
    assert effects == []
    assert state.flash is not None
    assert "verified contacts only" in state.flash.text
    assert "/verify or /secret" in state.flash.text
    said = " ".join(text for row in view.banner(state, 80) for _, text in row)
    assert "verified contacts only" in said


def test_a_chat_is_exported_in_the_form_that_the_name_says() -> None:
    for file, form in (("out.json", "json"), ("out", "text")):
        state, effects = run(chatting(), person.Submitted(f"/export {file}", 0))
        (call,) = [each for each in effects if isinstance(each, Call)]
        assert call.method == "message.export"
        assert dict(call.params) == {"contact": "Bob", "path": file, "format": form}
        state, _ = run(state, answer.Exported(file, 3))
        assert state.flash is not None
        assert state.flash.text == f"Wrote 3 messages to {file}, not encrypted."
