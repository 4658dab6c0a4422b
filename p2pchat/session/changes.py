"""Messages about messages: edit, delete, reaction, read receipt, timer (protocol.md §9.5, §9.6).

Here they get their form and their bounds. Whether the message that one is about exists, and
whether its sender may change it, is judged by whoever stores it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, assert_never

import msgspec

from p2pchat.constants import (
    MESSAGE_ID_LEN,
    REACTION_MAX_BYTES,
    TEXT_MAX_BYTES,
    TIMER_MAX_S,
    TIMER_MIN_S,
)
from p2pchat.errors import LocalProtocolError, ProtocolError
from p2pchat.session.codec import MessageId, TimeMs, convert
from p2pchat.session.vanishing import TimerStep


@dataclass(frozen=True, slots=True)
class Edit:
    """The message ``of`` of the same sender reads so from now on."""

    message_id: bytes
    sent_at_ms: int
    of: bytes
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delete:
    """The message ``of`` of the same sender is gone, for both.

    With its own id as ``of`` it takes the place of a message that was deleted before it arrived.
    """

    message_id: bytes
    sent_at_ms: int
    of: bytes


@dataclass(frozen=True, slots=True)
class Reaction:
    """The sender's one reaction to ``of``; an empty one takes it back."""

    message_id: bytes
    sent_at_ms: int
    of: bytes
    emoji: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReadUpTo:
    """The sender's person has seen everything up to the message ``of``."""

    message_id: bytes
    sent_at_ms: int
    of: bytes


@dataclass(frozen=True, slots=True)
class Timer:
    """A word about disappearing messages.

    Attributes:
        seconds: What is proposed; 0 in every other step.
        of: The proposal that is accepted or declined; None in every other step.
    """

    message_id: bytes
    sent_at_ms: int
    step: TimerStep
    seconds: int = 0
    of: bytes | None = None


Change = Edit | Delete | Reaction | ReadUpTo
"""What has no line of its own in a conversation."""

Seconds = Annotated[int, msgspec.Meta(ge=TIMER_MIN_S, le=TIMER_MAX_S)]


class _Head(msgspec.Struct, frozen=True):
    t: str
    id: MessageId
    at: TimeMs


class _About(_Head, frozen=True):
    of: MessageId


class _EditBody(_About, frozen=True):
    body: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX_BYTES)]


class _ReactionBody(_About, frozen=True):
    emoji: Annotated[str, msgspec.Meta(max_length=REACTION_MAX_BYTES)]


class _TimerBody(_Head, frozen=True):
    state: Literal["propose", "accept", "decline", "end"]


class _ProposalBody(_Head, frozen=True):
    s: Seconds


KINDS: Final = frozenset({"edit", "delete", "reaction", "read", "timer"})


def to_fields(message: Change | Timer) -> dict[str, Any]:
    """Return the fields of a message of ours, but for its id and time.

    Raises:
        LocalProtocolError: Out of bounds; an edit's text is checked elsewhere.
    """
    match message:
        case Edit(of=of, body=body):
            fields: dict[str, Any] = {"t": "edit", "of": of, "body": body}
        case Delete(of=of):
            fields = {"t": "delete", "of": of}
        case Reaction(of=of, emoji=emoji):
            if len(emoji.encode("utf-8", "replace")) > REACTION_MAX_BYTES:
                raise LocalProtocolError(f"a reaction has at most {REACTION_MAX_BYTES} bytes")
            fields = {"t": "reaction", "of": of, "emoji": emoji}
        case ReadUpTo(of=of):
            fields = {"t": "read", "of": of}
        case Timer(step=step, seconds=seconds, of=proposal):
            return {"t": "timer", "state": step.value, **_timer_fields(step, seconds, proposal)}
        case _ as unreachable:
            assert_never(unreachable)
    if len(of) != MESSAGE_ID_LEN:
        raise LocalProtocolError("a message id has another length")
    return fields


def _timer_fields(step: TimerStep, seconds: int, of: bytes | None) -> dict[str, Any]:
    match step:
        case TimerStep.PROPOSE:
            if not TIMER_MIN_S <= seconds <= TIMER_MAX_S:
                raise LocalProtocolError("the time until messages disappear is out of bounds")
            return {"s": seconds}
        case TimerStep.ACCEPT | TimerStep.DECLINE:
            if of is None or len(of) != MESSAGE_ID_LEN:
                raise LocalProtocolError("a proposal is named by its message id")
            return {"of": of}
        case TimerStep.END:
            return {}


def from_fields(fields: dict[str, Any]) -> Change | Timer:
    """Read a message of one of ``KINDS`` (R-9.5.1).

    Raises:
        ProtocolError: Malformed or out of bounds.
    """
    match fields["t"]:
        case "edit":
            edit = convert(fields, _EditBody)
            if len(edit.body.encode()) > TEXT_MAX_BYTES:
                raise ProtocolError("an edited text exceeds its limit")
            return Edit(edit.id, edit.at, edit.of, edit.body)
        case "reaction":
            reaction = convert(fields, _ReactionBody)
            if len(reaction.emoji.encode()) > REACTION_MAX_BYTES:
                raise ProtocolError("a reaction exceeds its limit")
            return Reaction(reaction.id, reaction.at, reaction.of, reaction.emoji)
        case "timer":
            return _timer(fields)
        case kind:
            about = convert(fields, _About)
            made = Delete if kind == "delete" else ReadUpTo
            return made(about.id, about.at, about.of)


def _timer(fields: dict[str, Any]) -> Timer:
    timer = convert(fields, _TimerBody)
    match step := TimerStep(timer.state):
        case TimerStep.PROPOSE:
            return Timer(timer.id, timer.at, step, seconds=convert(fields, _ProposalBody).s)
        case TimerStep.ACCEPT | TimerStep.DECLINE:
            return Timer(timer.id, timer.at, step, of=convert(fields, _About).of)
        case TimerStep.END:
            return Timer(timer.id, timer.at, step)
