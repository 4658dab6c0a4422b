"""One conversation as it is looked at: its messages, and how far it is scrolled; frozen values.

Invariant: texts and quotes have passed ``p2pchat.sanitize`` (``wire`` sees to it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

EARLY_MOVES_MAX: Final = 64
"""Delivery news kept for messages whose id the node has not told us yet."""
QUOTE_MAX_CHARS: Final = 60
"""Of a message above an answer to it."""


class Delivery(StrEnum):
    """How far a message came; the words of ``message.list``."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class Tone(StrEnum):
    """How a line of ours is meant."""

    INFO = "info"
    GOOD = "good"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; ``key`` is the node's message id once it is known.

    Attributes:
        answers: Key of the message that it answers, or "".
        quote: The beginning of that message, or "" if it is gone.
        deleted: Its author deleted it.
        reactions: Whether it is ours, and the reaction.
        vanishes: It disappears after some time.
    """

    key: str
    outgoing: bool
    text: str = field(repr=False)
    sent_at_ms: int
    state: Delivery
    reason: str = ""
    kind: str = "text"
    answers: str = ""
    quote: str = ""
    edited: bool = False
    deleted: bool = False
    reactions: tuple[tuple[bool, str], ...] = ()
    vanishes: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """A line of ours inside a conversation, such as a renewed session."""

    key: str
    text: str
    at_ms: int
    tone: Tone = Tone.INFO


Entry = Message | Notice


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a conversation is scrolled to, counted from its newest end.

    Attributes:
        from_end: Entries wholly below the window.
        hidden: Lines of the next entry that are below the window too.
    """

    from_end: int
    hidden: int


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is loaded of one contact's history, and how it is being looked at.

    Attributes:
        entries: Oldest first.
        loaded: The newest page has come.
        loading: A page is on its way.
        complete: Nothing older exists.
        draft: Text in the composer that was not sent.
        anchor: Scroll position; None follows the newest line.
        selected: Key of the message that was chosen for the next command, or "".
        first_new: Key of the message above which the "new messages" rule stands.
        early: Delivery news that came before the message's id did.
    """

    entries: tuple[Entry, ...] = ()
    loaded: bool = False
    loading: bool = False
    complete: bool = False
    draft: str = field(default="", repr=False)
    anchor: Anchor | None = None
    first_new: str = ""
    selected: str = ""
    early: tuple[tuple[str, Delivery, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """The part of a history around a message that was found, looked at in place of its newest end.

    It stands beside the conversation, which goes on taking in news meanwhile.

    Attributes:
        handle: Whose history.
        chat: What is loaded of that part, and how it is being looked at.
        to_end: It reaches as far as the newest message there was.
    """

    handle: str
    chat: Conversation
    to_end: bool = False
