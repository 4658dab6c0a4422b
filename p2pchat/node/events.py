"""What the node tells as it happens, for rpc, cli and tui (``Hub``): plain values.

What holds for names and texts of peers in ``views`` holds here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from p2pchat.node.views import ContactView, LedgerView, MessageView
from p2pchat.session.comparison import Outcome
from p2pchat.store.records import DeliveryState


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """A new message of a contact is stored."""

    message: MessageView


@dataclass(frozen=True, slots=True)
class MessageQueued:
    """A message of ours is stored and goes out, whichever client it comes from."""

    message: MessageView


@dataclass(frozen=True, slots=True)
class MessageChanged:
    """A message was edited, deleted or reacted to, by either side; it looks so now."""

    message: MessageView


@dataclass(frozen=True, slots=True)
class MessageRemoved:
    """A message is not there any more: it disappeared, or was deleted before it had left."""

    contact: str
    message_id: str


@dataclass(frozen=True, slots=True)
class MessageStateChanged:
    """An outgoing message moved on; ``reason`` says why it failed or waits."""

    contact: str
    message_id: str
    state: DeliveryState
    reason: str


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """A contact is new, or its presence, trust, address or agreements changed."""

    contact: ContactView


@dataclass(frozen=True, slots=True)
class ContactRemoved:
    """A contact is not there any more: removed, or a request that was declined."""

    contact: str


@dataclass(frozen=True, slots=True)
class ContactTyping:
    """A contact is writing, or is not any more."""

    contact: str
    writing: bool


@dataclass(frozen=True, slots=True)
class ContactRequested:
    """A stranger asks to be accepted."""

    contact: ContactView


@dataclass(frozen=True, slots=True)
class SessionRestarted:
    """The encrypted session with a contact was made anew (``cause``); nothing is lost."""

    contact: str
    cause: str


@dataclass(frozen=True, slots=True)
class LedgersDiffered:
    """The two sides' accounts of a conversation differ; told once for each difference."""

    ledger: LedgerView


class KeyNewsKind(StrEnum):
    """What has become known of a contact's key."""

    REVOKED = "revoked"
    """Its owner has revoked it; it is refused from now on."""
    RECOVERED = "recovered"
    """Its owner has brought it back on another computer."""
    ANNOUNCED = "announced"
    """Another key was announced in its place, signed with it as well; the person decides."""


@dataclass(frozen=True, slots=True)
class KeyNews:
    """Something to be told once about a contact's key; ``at_ms`` is wall clock."""

    contact: str
    kind: KeyNewsKind
    at_ms: int


@dataclass(frozen=True, slots=True)
class IdentityRevoked:
    """Our own identity is revoked: by us, or by whoever has its certificate."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class AuditWarned:
    """The audit log shows something unusual: which pattern (a name of ``store.audit_watch``)."""

    pattern: str
    count: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class ComparisonAsked:
    """A contact wants to compare a phrase: the person is to type it too."""

    contact: str


@dataclass(frozen=True, slots=True)
class ComparisonEnded:
    """A comparison of a phrase is over; ``tries_left`` wrong ones are still allowed."""

    contact: str
    outcome: Outcome
    tries_left: int


@dataclass(frozen=True, slots=True)
class HistoryCut:
    """Messages of a contact were deleted because they had been kept long enough."""

    contact: str
    count: int


NodeEvent = (
    MessageArrived
    | MessageQueued
    | MessageChanged
    | MessageRemoved
    | MessageStateChanged
    | ContactChanged
    | ContactRemoved
    | ContactTyping
    | ContactRequested
    | SessionRestarted
    | LedgersDiffered
    | KeyNews
    | IdentityRevoked
    | HistoryCut
    | AuditWarned
    | ComparisonAsked
    | ComparisonEnded
)
