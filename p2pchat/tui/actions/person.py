"""What the person does in the chat."""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pchat.tui.conversation import Anchor


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
    """Alt+↑ (-1) or Alt+↓ (1): the next message in that direction, for the next command.

    Where messages are listed that were found, the arrow keys alone do, and a page key does more.
    """

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


Person = (
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
)
