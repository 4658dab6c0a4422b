"""One conversation's bookkeeping: pages, new messages, delivery news; pure and total.

Invariants: a message id stands at most once; order is the store's; a scrolled window stays on
the same lines when something is added below or above it; an answer that was overtaken by a
notification does not set a message back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from p2pchat.sanitize import clean_line
from p2pchat.tui.conversation import (
    EARLY_MOVES_MAX,
    QUOTE_MAX_CHARS,
    Anchor,
    Conversation,
    Delivery,
    Entry,
    Message,
)
from p2pchat.tui.state import PAGE_MESSAGES

LOCAL_PREFIX: Final = "local-"
"""Begins the key of what the node has not given an id."""
_PROGRESS: Final = {
    Delivery.QUEUED: 0,
    Delivery.FAILED: 1,
    Delivery.SENT: 2,
    Delivery.DELIVERED: 3,
    Delivery.READ: 4,
}


def append(chat: Conversation, entry: Entry) -> Conversation:
    """Add at the newest end; known ids are ignored."""
    if any(entry.key == each.key for each in reversed(chat.entries)):
        return chat
    anchor = chat.anchor
    if anchor is not None:
        anchor = Anchor(anchor.from_end + 1, anchor.hidden)
    return replace(chat, entries=(*chat.entries, entry), anchor=anchor)


def merge_page(chat: Conversation, before: str, page: tuple[Message, ...]) -> Conversation:
    """Take in a page: the newest one (``before`` is ""), or the one before a known message."""
    known = {entry.key for entry in chat.entries}
    fresh = tuple(message for message in page if message.key not in known)
    if before:
        if oldest_id(chat) != before:
            return chat  # of a history that was listed anew since
        return replace(
            chat,
            entries=fresh + chat.entries,
            loading=False,
            complete=len(page) < PAGE_MESSAGES,
        )
    listed = {message.key: message for message in page}
    current = tuple(_newer(entry, listed.get(entry.key)) for entry in chat.entries)
    if chat.loaded:
        return replace(chat, entries=current + fresh, loading=False)
    # The first page: what arrived while it was on its way stands below it.
    later = tuple(entry for entry in current if entry.key not in listed)
    return replace(
        chat,
        entries=page + later,
        loaded=True,
        loading=False,
        complete=len(page) < PAGE_MESSAGES,
    )


def merge_newer(chat: Conversation, page: tuple[Message, ...]) -> Conversation:
    """Take in the page after the newest message; the window stays on the same lines."""
    known = {entry.key for entry in chat.entries}
    fresh = tuple(message for message in page if message.key not in known)
    anchor = chat.anchor or Anchor(0, 0)
    moved = Anchor(anchor.from_end + len(fresh), anchor.hidden) if fresh else chat.anchor
    return replace(chat, entries=chat.entries + fresh, anchor=moved, loading=False)


def forget(chat: Conversation) -> Conversation:
    """Return the conversation as if its history had not been listed yet."""
    pending = tuple(
        entry
        for entry in chat.entries
        if isinstance(entry, Message)
        and entry.key.startswith(LOCAL_PREFIX)
        and entry.state is Delivery.QUEUED
    )
    return Conversation(entries=pending, draft=chat.draft)


def stored(chat: Conversation, local_key: str, message_id: str, state: Delivery) -> Conversation:
    """Give a message that was made here its id, with any news that came before."""
    news = [each for each in chat.early if each[0] == message_id]
    early = tuple(each for each in chat.early if each[0] != message_id)
    reason = ""
    if news:
        _, state, reason = news[-1]
    if any(entry.key == message_id for entry in chat.entries):
        return replace(remove(chat, local_key), early=early)

    def settle(message: Message) -> Message:
        return replace(message, key=message_id, state=state, reason=reason)

    return replace(update(chat, local_key, settle), early=early)


def queued_elsewhere(chat: Conversation, message: Message) -> Conversation:
    """Take in a message of ours that the node has stored.

    If one of the same words was sent here and has no id yet, it is that one: it keeps its place,
    and the answer with its id changes nothing any more. Should it be another client's after all,
    ours comes with news of its own.
    """
    for entry in chat.entries:
        if isinstance(entry, Message) and entry.key.startswith(LOCAL_PREFIX):
            waits = entry.state is Delivery.QUEUED
            if waits and (entry.text, entry.kind) == (message.text, message.kind):
                return stored(chat, entry.key, message.key, message.state)
    return append(chat, message)


def moved(chat: Conversation, message_id: str, state: Delivery, reason: str) -> Conversation:
    """Take in delivery news; for an id not known yet it is kept until ``stored``."""
    if any(entry.key == message_id for entry in chat.entries):
        return update(chat, message_id, lambda each: replace(each, state=state, reason=reason))
    if not any(entry.key.startswith(LOCAL_PREFIX) for entry in chat.entries):
        return chat  # older than what is loaded
    early = (*chat.early, (message_id, state, reason))
    return replace(chat, early=early[-EARLY_MOVES_MAX:])


def update(chat: Conversation, key: str, change: Callable[[Message], Message]) -> Conversation:
    """Replace one message; total, also if it is gone."""
    entries = tuple(
        change(entry) if entry.key == key and isinstance(entry, Message) else entry
        for entry in chat.entries
    )
    return replace(chat, entries=entries)


def changed(chat: Conversation, message: Message) -> Conversation:
    """Take in how a message looks now, and what answers to it quote."""
    quote = clean_line(message.text, QUOTE_MAX_CHARS)
    entries = tuple(
        message
        if entry.key == message.key
        else replace(entry, quote=quote)
        if isinstance(entry, Message) and entry.answers == message.key
        else entry
        for entry in chat.entries
    )
    return replace(chat, entries=entries)


def removed(chat: Conversation, key: str) -> Conversation:
    """Drop a message that is not there any more; answers to it quote nothing."""
    below = next((at for at, each in enumerate(reversed(chat.entries)) if each.key == key), None)
    anchor = chat.anchor
    if anchor is not None and below is not None and below < anchor.from_end:
        anchor = Anchor(anchor.from_end - 1, anchor.hidden)
    entries = tuple(
        replace(entry, quote="") if isinstance(entry, Message) and entry.answers == key else entry
        for entry in chat.entries
        if entry.key != key
    )
    selected = "" if chat.selected == key else chat.selected
    return replace(chat, entries=entries, anchor=anchor, selected=selected)


def remove(chat: Conversation, key: str) -> Conversation:
    """Drop one entry."""
    return replace(chat, entries=tuple(each for each in chat.entries if each.key != key))


def find(chat: Conversation, key: str) -> Message | None:
    """Return one message."""
    for entry in reversed(chat.entries):
        if entry.key == key and isinstance(entry, Message):
            return entry
    return None


def oldest_id(chat: Conversation) -> str:
    """Return the id to ask for older messages with, or ""."""
    for entry in chat.entries:
        if isinstance(entry, Message) and not entry.key.startswith(LOCAL_PREFIX):
            return entry.key
    return ""


def newest_id(chat: Conversation) -> str:
    """Return the id to ask for newer messages with, or ""."""
    for entry in reversed(chat.entries):
        if isinstance(entry, Message) and not entry.key.startswith(LOCAL_PREFIX):
            return entry.key
    return ""


def entries_below(chat: Conversation, key: str) -> int:
    """Count the entries that are newer than this one; 0 if it is not there."""
    return next((at for at, each in enumerate(reversed(chat.entries)) if each.key == key), 0)


def first_unread(chat: Conversation, unread: int) -> str:
    """Return the key of the oldest of the newest ``unread`` incoming messages, or ""."""
    found = ""
    for entry in reversed(chat.entries):
        if unread <= 0:
            break
        if isinstance(entry, Message) and not entry.outgoing:
            found = entry.key
            unread -= 1
    return found


def queued(chat: Conversation) -> int:
    """Count messages that still wait to be sent."""
    return sum(
        1
        for entry in chat.entries
        if isinstance(entry, Message) and entry.outgoing and entry.state is Delivery.QUEUED
    )


def _newer(entry: Entry, listed: Message | None) -> Entry:
    if listed is None or not isinstance(entry, Message):
        return entry
    if _PROGRESS[listed.state] < _PROGRESS[entry.state]:
        return entry  # a notification was faster than this answer
    return listed
