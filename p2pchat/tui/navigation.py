"""Where the person is: which conversation, which panel, how far scrolled; pure and total.

Opening a conversation loads its history once, and marks it as read only when its messages are
there to be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from p2pchat.sanitize import clean_line
from p2pchat.tui import chats
from p2pchat.tui.conversation import Conversation, Notice, Tone, Visit
from p2pchat.tui.effects import Call, Effect, SetComposer
from p2pchat.tui.panel_state import Panel, PhrasePanel, VerifyPanel
from p2pchat.tui.state import PAGE_MESSAGES, AppState, Contact, Flash

FLASH_MAX_CHARS: Final = 300
"""A few lines on a narrow screen."""

Step = tuple[AppState, tuple[Effect, ...]]


def with_chat(state: AppState, handle: str, chat: Conversation) -> AppState:
    """Return the state with one conversation replaced."""
    return replace(state, conversations=MappingProxyType({**state.conversations, handle: chat}))


def without_chat(state: AppState, handle: str) -> AppState:
    """Return the state with one conversation forgotten."""
    left = {key: chat for key, chat in state.conversations.items() if key != handle}
    return replace(state, conversations=MappingProxyType(left))


def with_shown(state: AppState, chat: Conversation) -> AppState:
    """Return the state with what is on the screen of the history replaced."""
    if state.visit is None:
        return with_chat(state, state.active, chat)
    return replace(state, visit=replace(state.visit, chat=chat))


def with_news(
    state: AppState, handle: str, change: Callable[[Conversation], Conversation]
) -> AppState:
    """Return the state with a contact's messages changed wherever they are looked at."""
    if state.visit is not None and state.visit.handle == handle:
        state = replace(state, visit=replace(state.visit, chat=change(state.visit.chat)))
    return with_chat(state, handle, change(state.conversation(handle)))


def with_flash(state: AppState, text: str, tone: Tone = Tone.INFO) -> AppState:
    """Return the state with a line above the composer; it may quote what somebody typed."""
    return replace(state, flash=Flash(clean_line(text, FLASH_MAX_CHARS), tone))


def with_notice(
    state: AppState, handle: str, text: str, at_ms: int, tone: Tone = Tone.INFO
) -> AppState:
    """Return the state with a line of ours in a conversation."""
    key = f"{chats.LOCAL_PREFIX}{state.local_keys}"
    chat = chats.append(state.conversation(handle), Notice(key, text, at_ms, tone))
    return replace(with_chat(state, handle, chat), local_keys=state.local_keys + 1)


def with_contact(state: AppState, contact: Contact) -> AppState:
    """Return the state with one contact replaced."""
    contacts = tuple(contact if c.handle == contact.handle else c for c in state.contacts)
    return replace(state, contacts=contacts)


def list_contacts() -> Call:
    """Order a fresh contact list."""
    return Call("contact.list")


def load(state: AppState, handle: str, before: str = "") -> Step:
    """Order a page of history."""
    chat = state.conversation(handle)
    params: tuple[tuple[str, object], ...] = (("contact", handle), ("limit", PAGE_MESSAGES))
    if before:
        params += (("before", before),)
    state = with_chat(state, handle, replace(chat, loading=True))
    return state, (Call("message.list", params, handle),)


def open_chat(state: AppState, handle: str, visit: Visit | None = None) -> Step:
    """Show a conversation, or a part of it; the one left behind loses its "new messages" rule."""
    if state.contact(handle) is None:
        return state, ()
    leaving = state.conversation(state.active)
    if state.active and state.active != handle and leaving.first_new:
        state = with_chat(state, state.active, replace(leaving, first_new=""))
    state = replace(state, active=handle, visit=visit, panel=None, panel_scroll=0)
    state = replace(state, confirm=None, flash=None)
    chat = state.conversation(handle)
    effects: tuple[Effect, ...] = (SetComposer(chat.draft),)
    if not chat.loaded:
        if not chat.loading:
            state, more = load(state, handle)
            effects += more
        return state, effects
    state, more = see(state, handle)
    return state, effects + more


def see(state: AppState, handle: str) -> Step:
    """The newest messages of a loaded, shown conversation are before the person's eyes."""
    contact, chat = state.contact(handle), state.conversation(handle)
    if contact is None or not contact.unread or not is_watched(state, handle):
        return state, ()
    if not chat.first_new:
        rule = chats.first_unread(chat, contact.unread)
        state = with_chat(state, handle, replace(chat, first_new=rule))
    state = with_contact(state, replace(contact, unread=0))
    return state, (mark_read(handle),)


def is_watched(state: AppState, handle: str) -> bool:
    """Tell whether new messages of this contact appear on the screen at once."""
    chat = state.conversation(handle)
    return (
        state.active == handle
        and chat.loaded
        and state.visit is None
        and chat.anchor is None
        and state.panel is None
        and state.setup is None
    )


def mark_read(handle: str) -> Call:
    """Tell the node that all of this contact's messages were seen."""
    return Call("message.mark_read", (("contact", handle),), handle)


def open_panel(state: AppState, panel: Panel, *calls: Call) -> Step:
    """Show a panel; for a comparison the composer becomes the field to type into."""
    state = replace(state, panel=panel, panel_scroll=0, confirm=None, flash=None)
    takes_input = isinstance(panel, VerifyPanel | PhrasePanel)
    draft = "" if takes_input else state.conversation(state.active).draft
    return state, (SetComposer(draft), *calls)


def close_panel(state: AppState) -> Step:
    """Go back to the chat, with its draft."""
    state = replace(state, panel=None, panel_scroll=0, flash=None)
    state, effects = see(state, state.active)
    return state, (SetComposer(state.conversation(state.active).draft), *effects)


def sentence(text: str) -> str:
    """Make a line for people of an error's message."""
    text = text.strip()
    if not text:
        return "Something went wrong."
    if text[-1] not in ".!?…":
        text += "."
    return text[0].upper() + text[1:]


def warned(state: AppState, text: str) -> AppState:
    """Say it once in full; the status bar goes on pointing to it."""
    text = f"{sentence(text)} p2pchat audit show tells what happened."
    return replace(with_flash(state, text, Tone.WARNING), warned=True)
