"""The panels: what takes the place of the chat until Esc, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from p2pchat.tui.conversation import Message, Tone


@dataclass(frozen=True, slots=True)
class HelpPanel:
    """Keys, commands and signs."""


@dataclass(frozen=True, slots=True)
class LinkPanel:
    """The own contact link."""


class Comparison(Enum):
    """Result of comparing safety numbers; it stays on the screen."""

    NONE = "none"
    RUNNING = "running"
    AGREED = "agreed"
    DIFFERED = "differed"


@dataclass(frozen=True, slots=True)
class VerifyPanel:
    """Safety-number comparison with one contact.

    Attributes:
        number: Sixty digits, or "" while they are being fetched.
        pasted: The digits that were compared last, without white space.
        problem: Why nothing could be compared.
    """

    handle: str
    number: str = ""
    pasted: str = ""
    comparison: Comparison = Comparison.NONE
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PhrasePanel:
    """A phrase is typed, unseen, to be compared with the one that a contact types.

    Attributes:
        invited: The contact has typed already.
        running: Ours is typed; the other one is awaited.
        result: How it ended, or why it did not begin; "" until then.
        tone: Of the result.
    """

    handle: str
    invited: bool = False
    running: bool = False
    result: str = ""
    tone: Tone = Tone.INFO

    @property
    def agreed(self) -> bool:
        """Both were the same: nothing is to be typed any more."""
        return bool(self.result) and self.tone is Tone.GOOD


@dataclass(frozen=True, slots=True)
class WhoPanel:
    """Who a contact is, as of ``now_ms``."""

    handle: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A message that was found, and as much of it as is shown."""

    handle: str
    message: Message
    snippet: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SearchPanel:
    """Messages that contain all words, newest first, or one contact's from a day on, oldest first.

    Attributes:
        handle: Whose, or "" for all contacts.
        words: Or the day, as typed.
        found: None while searching.
        after_ms: When the day begins.
        chosen: Which of those found Enter goes to, from 0.
    """

    handle: str
    words: str
    found: tuple[Hit, ...] | None = None
    after_ms: int | None = None
    chosen: int = 0


Panel = HelpPanel | LinkPanel | VerifyPanel | PhrasePanel | WhoPanel | SearchPanel
