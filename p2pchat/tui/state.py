"""What the terminal app knows at one moment, as frozen values.

Invariants: every string that somebody else wrote has passed ``p2pchat.sanitize`` before it
becomes part of a state (``wire`` sees to it); ``handle`` is the one exception, since it names a
contact in calls and is never drawn. Secrets appear only as ``Secret``.

What it deliberately does not do: change. ``model.reduce`` is the only place that makes new states.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from p2pchat.crypto.secret import Secret
from p2pchat.identity.trust import Trust
from p2pchat.tui.conversation import Conversation, Tone, Visit
from p2pchat.tui.panel_state import Panel

PAGE_MESSAGES: Final = 100
"""History is fetched in pages of this size; one page fills several screens."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact as ``contact.list`` tells it; ``name`` and the texts are safe to draw."""

    handle: str
    name: str
    peer_id: str
    trust: Trust
    online: bool = False
    post_quantum: bool = False
    unread: int = 0
    note: str = field(default="", repr=False)
    offline_reason: str = ""
    offered_peer_id: str = ""
    verified_at_ms: int | None = None
    verified_by: str = ""
    verify_first: bool = False
    record: str = "off"
    revoked_at_ms: int | None = None
    announced: bool = False
    timer_s: int = 0
    timer_asked_s: int = 0

    @property
    def is_revoked(self) -> bool:
        """Its owner has revoked the pinned key."""
        return self.revoked_at_ms is not None

    @property
    def may_receive(self) -> bool:
        """Messages may be composed to this contact."""
        return self.trust in (Trust.UNVERIFIED, Trust.VERIFIED) and not self.is_revoked


@dataclass(frozen=True, slots=True)
class Identity:
    """Ourselves."""

    name: str
    peer_id: str
    link: str
    revoked_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Flash:
    """One line above the composer: the answer to what was just tried."""

    text: str
    tone: Tone = Tone.INFO


class Question(Enum):
    """Asked with a yes-or-no line; nothing happens before the answer."""

    REMOVE = "remove"
    LEAVE = "leave"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Confirm:
    """An open question, about a contact if ``handle``, a message if ``key`` is not empty."""

    question: Question
    handle: str = ""
    key: str = ""


# --- First run and unlocking ------------------------------------------------------------------


class Step(Enum):
    """Where the first-run steps or the unlock prompt stand."""

    NAME = "name"
    PASSPHRASE = "passphrase"  # noqa: S105 - the name of a step
    REPEAT = "repeat"
    CREATING = "creating"
    UNLOCK = "unlock"
    OPENING = "opening"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Setup:
    """The screen before the chat.

    Attributes:
        first_run: A new profile is made; otherwise one is unlocked.
        passphrase: The first of the two times that it is typed, or what the command line gave.
        error: Why the last input did not do.
        locked: It was open before and is to be unlocked again.
    """

    step: Step
    first_run: bool
    name: str = ""
    passphrase: Secret | None = None
    error: str = ""
    locked: bool = False


@dataclass(frozen=True, slots=True)
class AppState:
    """Everything that is drawn.

    Attributes:
        setup: The screen before the chat, or None once chatting.
        listen: The listening addresses, "host:port".
        active: Handle of the shown contact, or "".
        visit: An older part of the shown contact's history, if that is looked at.
        panel_scroll: First visible line of the panel.
        phrases_asked: Handles of contacts that wait for a phrase to be typed.
        writing: Handles of contacts who are writing just now.
        tells_writing: The settings let contacts know that the person writes, as far as we know.
        local_keys: Counts messages and notices made here, for their keys.
        warned: The audit log has warned of something since the app began.
        lost: Why the node cannot be reached any more, or "".
        warning: What the person should know whatever is on the screen, until Esc.
    """

    setup: Setup | None = None
    identity: Identity | None = None
    listen: tuple[str, ...] = ()
    contacts: tuple[Contact, ...] = ()
    contacts_loaded: bool = False
    conversations: MappingProxyType[str, Conversation] = field(
        default_factory=lambda: MappingProxyType({})
    )
    active: str = ""
    visit: Visit | None = None
    panel: Panel | None = None
    panel_scroll: int = 0
    confirm: Confirm | None = None
    flash: Flash | None = None
    phrases_asked: frozenset[str] = frozenset()
    writing: frozenset[str] = frozenset()
    tells_writing: bool = True
    local_keys: int = 0
    warned: bool = False
    lost: str = ""
    warning: str = ""

    def contact(self, handle: str) -> Contact | None:
        """Return a contact by its handle."""
        return next((each for each in self.contacts if each.handle == handle), None)

    @property
    def active_contact(self) -> Contact | None:
        """The contact whose conversation is shown."""
        return self.contact(self.active)

    @property
    def shown(self) -> Conversation:
        """What is on the screen of the shown contact's history."""
        return self.conversation(self.active) if self.visit is None else self.visit.chat

    def conversation(self, handle: str) -> Conversation:
        """Return what is known of a conversation; empty if nothing is."""
        return self.conversations.get(handle, _EMPTY)


_EMPTY: Final = Conversation()
