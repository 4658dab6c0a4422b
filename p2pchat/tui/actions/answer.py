"""What the client answers to calls, and its refusals; ``wire`` makes these actions."""

from __future__ import annotations

from dataclasses import dataclass

from p2pchat.tui.conversation import Delivery, Message
from p2pchat.tui.effects import Call
from p2pchat.tui.panel_state import Hit
from p2pchat.tui.state import Contact, Identity


@dataclass(frozen=True, slots=True)
class IdentityShown:
    """Answer of ``identity.show``."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class StatusShown:
    """Answer of ``node.status``."""

    listen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WarningsListed:
    """Answer of ``audit.warnings``, as sentences, oldest first."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContactsListed:
    """Answer of ``contact.list``."""

    contacts: tuple[Contact, ...]


@dataclass(frozen=True, slots=True)
class ContactAdded:
    """Answer of ``contact.add``."""

    handle: str


@dataclass(frozen=True, slots=True)
class ContactSettled:
    """Accept, block, keep or remove is done; ``method`` tells which."""

    handle: str
    method: str


@dataclass(frozen=True, slots=True)
class HistoryLoaded:
    """Answer of ``message.list``: the newest page, or the one before message ``before``."""

    handle: str
    before: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class NewerLoaded:
    """Answer of ``message.list``: the page after message ``after``."""

    handle: str
    after: str
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class SearchDone:
    """Answer of ``message.list`` with words or from a time on, or of ``message.search``.

    Attributes:
        handle: Whose messages, or "" for all.
        wanted: The words, or the time.
        found: Oldest first.
    """

    handle: str
    wanted: str | int
    found: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Exported:
    """Answer of ``message.export``."""

    file: str
    messages: int


@dataclass(frozen=True, slots=True)
class MessageStored:
    """Answer of ``message.send``: the message is durably queued under this id."""

    handle: str
    local_key: str
    message_id: str
    state: Delivery


@dataclass(frozen=True, slots=True)
class NumberShown:
    """Answer of ``contact.safety_number``."""

    handle: str
    number: str


@dataclass(frozen=True, slots=True)
class NumberAgreed:
    """Answer of ``contact.verify``: the digits agree and the contact is verified."""

    handle: str


@dataclass(frozen=True, slots=True)
class PhraseOffered:
    """Answer of ``contact.compare``; ``asked`` if the other person has to type now."""

    handle: str
    asked: bool


@dataclass(frozen=True, slots=True)
class PhraseSettled:
    """Answer of ``contact.compare_cancel`` and ``contact.compare_again``."""

    handle: str
    method: str


@dataclass(frozen=True, slots=True)
class RecordChanged:
    """The conversation has a line more: of ``record.…``, ``message.reply``, ``message.timer``."""

    handle: str


@dataclass(frozen=True, slots=True)
class MessageResent:
    """Answer of ``message.resend``: a new message stands at the end, in place of this one."""

    handle: str
    message_id: str


@dataclass(frozen=True, slots=True)
class MessageHandled:
    """Answer of ``message.edit``, ``…delete`` and ``…react``; a notification shows what it did."""

    handle: str


@dataclass(frozen=True, slots=True)
class WritingTold:
    """Answer of ``message.typing``: whether the settings let it be told."""

    told: bool


@dataclass(frozen=True, slots=True)
class Retried:
    """Answer of ``contact.retry``."""

    handle: str


@dataclass(frozen=True, slots=True)
class MarkedRead:
    """Answer of ``message.mark_read``."""

    handle: str


@dataclass(frozen=True, slots=True)
class CallFailed:
    """The client refused a call.

    Attributes:
        trust: Because of the contact's trust state.
        locked: Because the profile is locked.
    """

    call: Call
    text: str
    trust: bool = False
    locked: bool = False


Answer = (
    IdentityShown
    | StatusShown
    | WarningsListed
    | ContactsListed
    | ContactAdded
    | ContactSettled
    | HistoryLoaded
    | NewerLoaded
    | SearchDone
    | Exported
    | MessageStored
    | NumberShown
    | NumberAgreed
    | PhraseOffered
    | PhraseSettled
    | RecordChanged
    | MessageResent
    | MessageHandled
    | WritingTold
    | Retried
    | MarkedRead
)
