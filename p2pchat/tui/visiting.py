"""Going to a message of the past: the part of its history around it is shown, page by page.

The conversation itself stays as it was, goes on taking in news, and comes back with Esc or with
the next message that is sent. Nothing counts as read meanwhile. Pure and total.
"""

from __future__ import annotations

from dataclasses import replace

from p2pchat.tui import chats
from p2pchat.tui.conversation import Anchor, Conversation, Message, Visit
from p2pchat.tui.effects import Call
from p2pchat.tui.navigation import Step, open_chat, see, with_chat
from p2pchat.tui.state import PAGE_MESSAGES, AppState


def go_to(state: AppState, handle: str, message: Message) -> Step:
    """Show a message in its conversation, chosen for the next command."""
    chat = state.conversation(handle)
    if chats.find(chat, message.key) is not None:  # newer ones are loaded already
        below = chats.entries_below(chat, message.key)
        anchor = Anchor(below, 0) if below else None
        state = with_chat(state, handle, replace(chat, selected=message.key, anchor=anchor))
        return open_chat(state, handle)
    around = Conversation((message,), loaded=True, loading=True, selected=message.key)
    state, effects = open_chat(state, handle, Visit(handle, around))
    if state.visit is None:
        return state, effects  # the contact is gone
    pages = (_page(handle, "before", message.key), _page(handle, "after", message.key))
    return state, (*effects, *pages)


def leave(state: AppState) -> Step:
    """Go back to the newest messages."""
    state = replace(state, visit=None)
    chat = replace(state.conversation(state.active), anchor=None, selected="")
    return see(with_chat(state, state.active, chat), state.active)


def scrolled(state: AppState, visit: Visit, anchor: Anchor | None, *, at_top: bool) -> Step:
    """Scroll in the part shown; at its ends more is asked for."""
    chat = replace(visit.chat, anchor=anchor)
    oldest, newest = chats.oldest_id(chat), chats.newest_id(chat)
    if anchor is None and visit.to_end:
        return leave(state)
    order: tuple[Call, ...] = ()
    if anchor is None and newest and not chat.loading:
        order = (_page(visit.handle, "after", newest),)
    elif at_top and oldest and not chat.loading and not chat.complete:
        order = (_page(visit.handle, "before", oldest),)
    chat = replace(chat, loading=chat.loading or bool(order))
    return replace(state, visit=replace(visit, chat=chat)), order


def older_loaded(state: AppState, handle: str, before: str, page: tuple[Message, ...]) -> AppState:
    """Take in the page before the part shown; the newest page, before "", is none of it."""
    visit = state.visit
    if visit is None or visit.handle != handle or not before:
        return state
    return replace(state, visit=replace(visit, chat=chats.merge_page(visit.chat, before, page)))


def newer_loaded(state: AppState, handle: str, after: str, page: tuple[Message, ...]) -> AppState:
    """Take in the page after the part shown; what is on the screen stays there."""
    visit = state.visit
    if visit is None or visit.handle != handle or chats.newest_id(visit.chat) != after:
        return state
    chat = chats.merge_newer(visit.chat, page)
    return replace(state, visit=Visit(handle, chat, to_end=len(page) < PAGE_MESSAGES))


def refused(state: AppState, handle: str) -> AppState:
    """A page could not be had; scrolling asks for it again."""
    visit = state.visit
    if visit is None or visit.handle != handle:
        return state
    return replace(state, visit=replace(visit, chat=replace(visit.chat, loading=False)))


def _page(handle: str, side: str, key: str) -> Call:
    params = (("contact", handle), ("limit", PAGE_MESSAGES), (side, key))
    return Call("message.list", params, handle)
