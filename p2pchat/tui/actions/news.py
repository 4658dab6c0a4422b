"""What the client tells unasked: its notifications; ``wire`` makes these actions."""

from __future__ import annotations

from dataclasses import dataclass

from p2pchat.identity.trust import Trust
from p2pchat.tui.conversation import Delivery, Message


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """``message.received``."""

    handle: str
    message: Message


@dataclass(frozen=True, slots=True)
class MessageQueued:
    """``message.queued``: a message of ours, from here or from another client."""

    handle: str
    message: Message


@dataclass(frozen=True, slots=True)
class MessageChanged:
    """``message.changed``: it looks so now."""

    handle: str
    message: Message


@dataclass(frozen=True, slots=True)
class MessageRemoved:
    """``message.changed`` with ``removed``: it is not there any more."""

    handle: str
    message_id: str


@dataclass(frozen=True, slots=True)
class MessageMoved:
    """``message.state``."""

    handle: str
    message_id: str
    state: Delivery
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ContactMoved:
    """``contact.state``; reasons and new keys are asked for by ``contact.list``."""

    handle: str
    online: bool
    trust: Trust
    post_quantum: bool


@dataclass(frozen=True, slots=True)
class ContactGone:
    """``contact.removed``: by whomever, with all messages."""

    handle: str


@dataclass(frozen=True, slots=True)
class IdentityRevoked:
    """``identity.revoked``: our own key is; since when, the node is asked."""


@dataclass(frozen=True, slots=True)
class ContactWriting:
    """``contact.typing``."""

    handle: str
    writing: bool


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """``contact.request``: a stranger wants to talk."""

    name: str


@dataclass(frozen=True, slots=True)
class SessionRenewed:
    """``session.restarted``: said in the conversation, never silent (protocol.md §8.4)."""

    handle: str
    cause: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Announced:
    """News of a conversation that belong into it as a line, already in words."""

    handle: str
    text: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class KeyTold:
    """``contact.key``: what has become known of a contact's key, said once in the conversation."""

    handle: str
    news: str
    at_ms: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class AuditWarned:
    """``audit.warning``: the log of key and trust events shows something unusual."""

    text: str


@dataclass(frozen=True, slots=True)
class LockChanged:
    """``node.locked``: by whomever; whether it still is, the node is asked."""


@dataclass(frozen=True, slots=True)
class FailuresTold:
    """``unlock.failures``: so many wrong passphrases since the unlocking before this one."""

    count: int
    last_at_ms: int


@dataclass(frozen=True, slots=True)
class PhraseAsked:
    """``contact.compare_asked``: a contact has typed a phrase and waits for ours."""

    handle: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class PhraseCompared:
    """``contact.compared``: how a comparison ended."""

    handle: str
    outcome: str
    tries_left: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class NewsLost:
    """``notifications.lost``: what is remembered is out of date and is listed anew."""


@dataclass(frozen=True, slots=True)
class ClientLost:
    """The client's notifications ended without our doing."""

    text: str


News = (
    MessageArrived
    | MessageQueued
    | MessageChanged
    | MessageRemoved
    | MessageMoved
    | ContactMoved
    | ContactGone
    | IdentityRevoked
    | ContactWriting
    | RequestArrived
    | SessionRenewed
    | Announced
    | KeyTold
    | AuditWarned
    | LockChanged
    | FailuresTold
    | PhraseAsked
    | PhraseCompared
    | NewsLost
    | ClientLost
)
