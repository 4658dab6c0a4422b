"""What two people have agreed on about disappearing messages (protocol.md §9.6); pure.

Either may propose a time, both proposals may stand at once, and either may end it. The rules are
such that both sides come to the same time however their words cross on the way: a proposal is
named by its message id, and of two that were accepted at the same moment the shorter time holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class TimerStep(StrEnum):
    """What either side says about it; the words of the protocol."""

    PROPOSE = "propose"
    ACCEPT = "accept"
    DECLINE = "decline"
    END = "end"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A time that one side proposes; ``message_id`` is that of the message which says so."""

    message_id: bytes
    seconds: int


@dataclass(frozen=True, slots=True)
class Vanishing:
    """Where one side stands.

    Attributes:
        seconds: The time in force; 0 if messages stay.
        before: The time that was in force before: messages with it may still be on their way.
        ours: Our open proposal.
        theirs: Their open proposal.
        spent: Our proposals that gave way when we accepted theirs; they may have accepted one in
            the same moment.
        accepted: What we accepted last, while such an answer can still cross it; or 0.
    """

    seconds: int = 0
    before: int = 0
    ours: Proposal | None = None
    theirs: Proposal | None = None
    spent: tuple[Proposal, ...] = ()
    accepted: int = 0

    def honours(self, lifetime_s: int) -> bool:
        """Tell whether a message of theirs may disappear after this time (R-9.6.3)."""
        return lifetime_s > 0 and lifetime_s in (self.seconds, self.before)


def we_say(state: Vanishing, step: TimerStep, ours: Proposal) -> Vanishing | None:
    """Return where we stand after our person's word; None if it is no answer to where we stand.

    Args:
        state: As it is.
        step: The word.
        ours: What is proposed; of no meaning in the other steps.
    """
    match step:
        case TimerStep.PROPOSE:
            if state.ours is not None or ours.seconds == state.seconds:
                return None
            return replace(state, ours=ours)
        case TimerStep.ACCEPT:
            if state.theirs is None:
                return None
            given_way = () if state.ours is None else (state.ours,)
            return replace(
                _in_force(state, state.theirs.seconds),
                spent=(*state.spent, *given_way),
                accepted=state.theirs.seconds,
            )
        case TimerStep.DECLINE:
            return None if state.theirs is None else replace(state, theirs=None)
        case TimerStep.END:
            if not state.seconds and state.ours is None:
                return None
            return replace(_ended(state), ours=None, spent=())


def they_say(
    state: Vanishing, step: TimerStep, *, proposed: Proposal, of: bytes | None
) -> Vanishing:
    """Return where we stand after their word; what fits nothing changes nothing.

    Args:
        state: As it is.
        step: The word.
        proposed: What they propose; of no meaning in the other steps.
        of: The proposal that they accept or decline.
    """
    match step:
        case TimerStep.PROPOSE:
            return replace(state, theirs=proposed)
        case TimerStep.ACCEPT:
            if state.ours is not None and state.ours.message_id == of:
                return _in_force(state, state.ours.seconds)
            for spent in state.spent:
                if spent.message_id == of:
                    # It takes the place of their earlier answers, not of ours.
                    seconds = min(state.accepted or spent.seconds, spent.seconds)
                    others = tuple(other for other in state.spent if other != spent)
                    return replace(_changed(state, seconds), theirs=None, spent=others)
            return state
        case TimerStep.DECLINE:
            if state.ours is not None and state.ours.message_id == of:
                return replace(state, ours=None)
            return state
        case TimerStep.END:
            return replace(_ended(state), theirs=None)


def _in_force(state: Vanishing, seconds: int) -> Vanishing:
    return replace(_changed(state, seconds), ours=None, theirs=None, spent=(), accepted=0)


def _ended(state: Vanishing) -> Vanishing:
    return replace(_changed(state, 0), accepted=0)


def _changed(state: Vanishing, seconds: int) -> Vanishing:
    return replace(state, seconds=seconds, before=state.seconds or state.before)
