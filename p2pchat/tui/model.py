"""``reduce``: the one place where the app's state changes.

A pure, total function: any action in any state gives a state and the effects to carry out; what
does not apply any more (an answer about a removed contact) changes nothing. The parts live
beside it: ``entering`` before the chat, ``submit`` for Enter, ``answers`` and ``hearing`` for what
the client says, ``navigation`` and ``visiting`` for where the person is, ``finding`` for what is
looked for, ``chats`` for one conversation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from p2pchat.identity.trust import Trust
from p2pchat.tui import answers, changing, chats, entering, finding, hearing, submit, visiting
from p2pchat.tui.actions import Action, answer, news, opening, person
from p2pchat.tui.effects import Call, Effect, Leave, LockProfile
from p2pchat.tui.navigation import (
    Step,
    close_panel,
    load,
    open_chat,
    open_panel,
    see,
    with_chat,
    with_flash,
    with_shown,
)
from p2pchat.tui.panel_state import HelpPanel, PhrasePanel, SearchPanel, VerifyPanel
from p2pchat.tui.state import AppState, Question

_WHEN_LOCKED = (
    opening.EntrySubmitted,
    opening.KeychainChosen,
    opening.ProfileOpened,
    opening.SetupFailed,
    person.LeaveWanted,
    news.FailuresTold,
    news.ClientLost,
)


def reduce(state: AppState, action: Action) -> tuple[AppState, tuple[Effect, ...]]:
    """Return the next state and what is to be done outside."""
    if state.setup is not None and state.setup.locked and not isinstance(action, _WHEN_LOCKED):
        return state, ()  # an answer that was under way must not bring the chat back
    if isinstance(action, opening.Opening):
        return _enter(state, action)
    if isinstance(action, person.Person):
        return _person(state, action)
    if isinstance(action, news.News):
        return hearing.notified(state, action)
    if isinstance(action, answer.CallFailed):
        return entering.lock(state) if action.locked else answers.refused(state, action)
    return answers.answered(state, action)


def _enter(state: AppState, action: opening.Opening) -> Step:
    match action:
        case opening.EntrySubmitted(entry):
            return entering.entered(state, state.setup, entry) if state.setup else (state, ())
        case opening.KeychainChosen():
            return entering.keychain_chosen(state, state.setup) if state.setup else (state, ())
        case opening.ProfileOpened():
            return entering.opened(state)
        case opening.SetupFailed(text):
            return entering.failed(state, text)
        case _ as unreachable:
            assert_never(unreachable)


def _person(state: AppState, action: person.Person) -> Step:
    if isinstance(action, person.LeaveWanted):
        asked = state.confirm is not None and state.confirm.question is Question.LEAVE
        return (state, (Leave(),)) if asked or state.setup else submit.leave(state)
    if state.setup is not None:  # there is no chat yet
        back = isinstance(action, person.Escaped)
        return entering.went_back(state, state.setup) if back else (state, ())
    match action:
        case person.Submitted(text, now_ms):
            return submit.submitted(state, text, now_ms)
        case person.DraftChanged(text):
            return _drafted(state, text)
        case person.ContactChosen(index):
            known = 0 <= index < len(state.contacts)
            return open_chat(state, state.contacts[index].handle) if known else (state, ())
        case person.ContactStepped(step):
            return _stepped(state, step)
        case person.NextUnreadWanted():
            return _next_unread(state)
        case person.HistoryScrolled():
            return _scrolled(state, action)
        case person.MessageChosen(step):
            return _chosen(state, step)
        case person.PanelScrolled(first_line):
            return replace(state, panel_scroll=max(0, first_line)), ()
        case person.HelpToggled():
            if isinstance(state.panel, HelpPanel):
                return close_panel(state)
            return open_panel(state, HelpPanel())
        case person.Escaped():
            return _escaped(state)
        case person.LockWanted():
            return entering.lock(state, LockProfile())
        case person.Answered(yes):
            return _decided(state, yes=yes)
        case _ as unreachable:
            assert_never(unreachable)


def _drafted(state: AppState, text: str) -> Step:
    """Keep what is typed with its contact; a number or a phrase is no draft.

    The node tells the contact if the person wants that, and how often; a command is not told.
    """
    chat = state.conversation(state.active)
    if not state.active or isinstance(state.panel, VerifyPanel | PhrasePanel) or chat.draft == text:
        return state, ()
    state = with_chat(state, state.active, replace(chat, draft=text))
    writes, wrote = (bool(each) and not each.startswith("/") for each in (text, chat.draft))
    if not state.tells_writing or not (writes or wrote):
        return state, ()
    params = (("contact", state.active), ("writing", writes))
    return state, (Call("message.typing", params, state.active),)


def _stepped(state: AppState, step: int) -> Step:
    handles = [each.handle for each in state.contacts]
    if not handles:
        return state, ()
    here = handles.index(state.active) if state.active in handles else -1
    return open_chat(state, handles[(here + step) % len(handles)])


def _next_unread(state: AppState) -> Step:
    handles = [each.handle for each in state.contacts]
    here = handles.index(state.active) if state.active in handles else -1
    order = state.contacts[here + 1 :] + state.contacts[: here + 1]
    for contact in order:
        if contact.unread or (contact.trust is Trust.REQUEST and contact.handle != state.active):
            return open_chat(state, contact.handle)
    return with_flash(state, "No unread messages."), ()


def _scrolled(state: AppState, action: person.HistoryScrolled) -> Step:
    if not state.active:
        return state, ()
    if state.visit is not None:
        return visiting.scrolled(state, state.visit, action.anchor, at_top=action.at_top)
    chat = replace(state.conversation(state.active), anchor=action.anchor)
    state = with_chat(state, state.active, chat)
    if action.anchor is None:
        return see(state, state.active)
    oldest = chats.oldest_id(chat)
    if action.at_top and oldest and chat.loaded and not chat.loading and not chat.complete:
        return load(state, state.active, oldest)
    return state, ()


def _chosen(state: AppState, step: int) -> Step:
    if isinstance(state.panel, SearchPanel):
        return finding.stepped(state, state.panel, step), ()
    if not state.active or state.panel is not None:
        return state, ()
    chat = changing.chosen(state.shown, step)
    state = with_shown(state, chat)
    return see(state, state.active) if chat.anchor is None else (state, ())


def _escaped(state: AppState) -> Step:
    if state.confirm is not None:
        return replace(state, confirm=None), ()
    if state.panel is not None:
        return close_panel(state)
    if state.flash is not None:
        return replace(state, flash=None), ()
    if state.warning:
        return replace(state, warning=""), ()
    if state.visit is not None:
        return visiting.leave(state)
    chat = state.conversation(state.active)
    if chat.selected:
        state = with_chat(state, state.active, replace(chat, selected=""))
    if chat.anchor is not None:
        return _scrolled(state, person.HistoryScrolled(None, at_top=False))
    return state, ()


def _decided(state: AppState, *, yes: bool) -> Step:
    confirm = state.confirm
    state = replace(state, confirm=None)
    if confirm is None or not yes:
        return state, ()
    match confirm.question:
        case Question.LEAVE:
            return state, (Leave(),)
        case Question.REMOVE:
            params: tuple[tuple[str, object], ...] = (("contact", confirm.handle),)
            return state, (Call("contact.remove", params, confirm.handle),)
        case Question.DELETE:
            params = (("contact", confirm.handle), ("message_id", confirm.key))
            return state, (Call("message.delete", params, confirm.handle),)
        case _ as unreachable:
            assert_never(unreachable)
