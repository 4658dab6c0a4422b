"""What can happen to the app's state, in the past tense.

Actions come from keys, from the client's answers and from its notifications; ``wire`` makes
those of the last two.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pchat.crypto.secret import Secret
from p2pchat.identity.trust import Trust
from p2pchat.tui.effects import Call
from p2pchat.tui.state import Anchor, Contact, Delivery, Identity, Message

# --- From the person --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submitted:
    """Enter was pressed in the composer."""

    text: str = field(repr=False)
    now_ms: int


@dataclass(frozen=True, slots=True)
class DraftChanged:
    """The composer's text is another."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ContactChosen:
    """Alt+digit: the contact at this place of the list, from 0."""

    index: int


@dataclass(frozen=True, slots=True)
class ContactStepped:
    """Alt+arrow: so many contacts further."""

    step: int


@dataclass(frozen=True, slots=True)
class NextUnreadWanted:
    """Alt+a."""


@dataclass(frozen=True, slots=True)
class HistoryScrolled:
    """The history was scrolled to ``anchor``; ``at_top`` asks for older messages."""

    anchor: Anchor | None
    at_top: bool


@dataclass(frozen=True, slots=True)
class MessageChosen:
    """Alt+↑ (-1) or Alt+↓ (1): the next message in that direction, for the next command."""

    step: int


@dataclass(frozen=True, slots=True)
class PanelScrolled:
    """The panel's first visible line is now this one."""

    first_line: int


@dataclass(frozen=True, slots=True)
class HelpToggled:
    """F1."""


@dataclass(frozen=True, slots=True)
class Escaped:
    """Esc: closes what is open, question before panel."""


@dataclass(frozen=True, slots=True)
class Answered:
    """y or n to the open question."""

    yes: bool


@dataclass(frozen=True, slots=True)
class LeaveWanted:
    """Ctrl+C, or Ctrl+D in an empty composer."""


@dataclass(frozen=True, slots=True)
class LockWanted:
    """Ctrl+L, or nobody has touched a key for long."""


@dataclass(frozen=True, slots=True)
class EntrySubmitted:
    """Enter on the setup screen; a Secret, since it may be a passphrase."""

    entry: Secret


@dataclass(frozen=True, slots=True)
class KeychainChosen:
    """F2 on the setup screen: the system's keychain instead of a passphrase."""


# --- From the profile -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProfileOpened:
    """The client is there."""


@dataclass(frozen=True, slots=True)
class SetupFailed:
    """Creating or opening failed in a way that another try can mend."""

    text: str


# --- From the client --------------------------------------------------------------------------


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
class SearchDone:
    """Answer of ``message.list`` with words, or from a time on."""

    handle: str
    wanted: str | int
    found: tuple[Message, ...]


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


# --- Notifications ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """``message.received``."""

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


Action = (
    Submitted
    | DraftChanged
    | ContactChosen
    | ContactStepped
    | NextUnreadWanted
    | HistoryScrolled
    | MessageChosen
    | PanelScrolled
    | HelpToggled
    | Escaped
    | Answered
    | LeaveWanted
    | LockWanted
    | EntrySubmitted
    | KeychainChosen
    | ProfileOpened
    | SetupFailed
    | IdentityShown
    | StatusShown
    | WarningsListed
    | ContactsListed
    | ContactAdded
    | ContactSettled
    | HistoryLoaded
    | SearchDone
    | Exported
    | MessageStored
    | NumberShown
    | NumberAgreed
    | PhraseOffered
    | PhraseSettled
    | RecordChanged
    | MessageHandled
    | WritingTold
    | Retried
    | MarkedRead
    | CallFailed
    | MessageArrived
    | MessageChanged
    | MessageRemoved
    | MessageMoved
    | ContactMoved
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
