"""What the client tells unasked does to the state; pure and total.

Counts and reasons are the node's to know: after most news the contact list is asked for again,
instead of being guessed here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from types import MappingProxyType
from typing import assert_never

from p2pchat.tui import chats, phrase
from p2pchat.tui.actions import news
from p2pchat.tui.conversation import Delivery, Tone
from p2pchat.tui.effects import Call, Effect
from p2pchat.tui.navigation import (
    Step,
    is_watched,
    list_contacts,
    load,
    mark_read,
    warned,
    with_chat,
    with_contact,
    with_flash,
    with_news,
    with_notice,
    without_chat,
)
from p2pchat.tui.state import AppState
from p2pchat.tui.words import KEY_NEWS, failures, short_date


def notified(state: AppState, action: news.News) -> Step:
    """Take in a notification."""
    match action:
        case news.MessageArrived(handle, message):
            chat = state.conversation(handle)
            if chat.loaded or chat.loading:
                state = with_chat(state, handle, chats.append(chat, message))
            if is_watched(state, handle):
                return state, (mark_read(handle),)
            return state, (list_contacts(),)
        case news.MessageQueued(handle, message):
            chat = state.conversation(handle)
            if not chat.loaded and not chat.loading:
                return state, ()
            return with_chat(state, handle, chats.queued_elsewhere(chat, message)), ()
        case news.ContactWriting(handle, writing):
            others = state.writing - {handle}
            return replace(state, writing=others | {handle} if writing else others), ()
        case news.MessageChanged(handle, message):
            return with_news(state, handle, lambda chat: chats.changed(chat, message)), ()
        case news.MessageRemoved(handle, message_id):
            return with_news(state, handle, lambda chat: chats.removed(chat, message_id)), ()
        case news.MessageMoved(handle, message_id, delivery, reason):
            state = with_news(
                state, handle, lambda chat: chats.moved(chat, message_id, delivery, reason)
            )
            if delivery is Delivery.FAILED and not reason:
                return load(state, handle)  # the reason stands in the list only
            return state, ()
        case news.ContactMoved(handle, online, trust, post_quantum):
            contact = state.contact(handle)
            if contact is not None:
                contact = replace(contact, online=online, trust=trust, post_quantum=post_quantum)
                state = with_contact(state, contact)
            return state, (list_contacts(),)
        case news.ContactGone(handle):
            return without_chat(state, handle), (list_contacts(),)
        case news.IdentityRevoked():
            return state, (Call("identity.show"),)
        case news.RequestArrived(name):
            text = f"{name} asks to talk with you. Alt+a shows the request."
            return with_flash(state, text), (list_contacts(),)
        case news.SessionRenewed(handle, cause, now_ms):
            text = f"The encrypted session was renewed ({cause}). What waited is sent again."
            return with_notice(state, handle, text, now_ms), ()
        case news.Announced(handle, text, now_ms):
            return with_notice(state, handle, text, now_ms), ()
        case news.KeyTold(handle, what, at_ms, now_ms):
            contact = state.contact(handle)
            if contact is None or what not in KEY_NEWS:
                return state, ()
            text = KEY_NEWS[what].format(name=contact.name, date=short_date(at_ms, UTC))
            state = with_notice(state, handle, text, now_ms, Tone.WARNING)
            return state, (list_contacts(),)
        case news.AuditWarned(text):
            return warned(state, text), ()
        case news.PhraseAsked(handle, now_ms):
            return phrase.invited(state, handle, now_ms)
        case news.PhraseCompared():
            return phrase.compared(state, action)
        case news.NewsLost():
            return _list_anew(state)
        case news.LockChanged():
            return state, (Call("node.status"),)  # refused if it is locked, which locks the screen
        case news.FailuresTold(count, last_at_ms):
            return replace(state, warning=failures(count, last_at_ms)), ()
        case news.ClientLost(text):
            if state.setup is not None and state.setup.locked:
                return replace(state, lost=text, setup=replace(state.setup, error=text)), ()
            return replace(state, lost=text), ()
        case _ as unreachable:
            assert_never(unreachable)


def _list_anew(state: AppState) -> Step:
    """Forget what was listed; drafts and messages on their way to the node stay."""
    forgotten = {handle: chats.forget(chat) for handle, chat in state.conversations.items()}
    state = replace(state, conversations=MappingProxyType(forgotten), visit=None)
    effects: tuple[Effect, ...] = (list_contacts(),)
    if state.active_contact is not None:
        state, more = load(state, state.active)
        effects += more
    return state, effects
