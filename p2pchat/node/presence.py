"""Why a contact is not reachable, in words that a person can act on.

"Offline" with no reason is what users of comparable systems complain about, so every state that
is not ``online`` has its sentence. Pure: what is known goes in, a sentence comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import assert_never

from p2pchat.errors import ErrorCode
from p2pchat.identity.trust import Trust
from p2pchat.session.events import ConnectionClosed


class Absence(Enum):
    """Kinds of not being reachable."""

    NOT_TRIED = auto()
    """The node has only just started, or does not dial."""
    UNREACHABLE = auto()
    """Dialled in vain; ``detail`` says where and why."""
    FAILED = auto()
    """Something answered, but no connection came of it; ``detail`` says where and why."""
    WRONG_IDENTITY = auto()
    """Somebody else answered at ``detail``."""
    LOST = auto()
    """The connection ended; ``detail`` says how."""
    WAITING = auto()
    """Connected, but the contact has not accepted us yet."""
    OPENING = auto()
    """Connected; the encrypted session is being set up."""
    REFUSED_AS_REVOKED = auto()
    """The contact refuses our key: somebody has revoked it."""
    CAME_REVOKED = auto()
    """Somebody came with this contact's revoked key; ``detail`` says from where."""
    STORE_FAILED = auto()
    """Our own disk refused; ``detail`` says how."""
    TOO_MANY_RESETS = auto()
    """The session was made anew too often."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What is known of a contact's absence."""

    absence: Absence
    detail: str = ""


def ending(closed: ConnectionClosed, now_ms: int) -> str:
    """Return how a connection ended.

    Everybody presents a certificate that is valid on his own day, so a peer that refuses ours has
    another date, or has seen a later key of ours, from before an old copy of the profile was put
    back. It does not tell which; so we say our date, and the person can compare. A new key, which
    they take again, is never made by itself: the old copy may be somebody else's.
    """
    if not (closed.by_peer and closed.code is ErrorCode.CERTIFICATE_INVALID):
        return closed.reason
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    return (
        "they do not accept this computer's certificate: is a clock wrong, theirs or ours "
        f"(here it is {today}), or was an old copy of this profile put back (`key rotate` helps)?"
    )


NOT_TRIED = Reason(Absence.NOT_TRIED)


def explain(
    reason: Reason,
    *,
    trust: Trust,
    has_addresses: bool,
    dials: bool,
    revoked: bool = False,
) -> str:
    """Return the sentence for a contact that is not online.

    It says nothing that becomes untrue by itself, such as when the next attempt is: it stands on
    a screen until something happens.
    """
    if revoked:
        came = reason.absence is Absence.CAME_REVOKED
        return "they have revoked this key" + (f"; {_happened(reason)}" if came else "")
    if trust is Trust.BLOCKED:
        return "blocked"
    if trust is Trust.REQUEST:
        return "asks to be accepted"
    words = _happened(reason)
    if reason.absence in (Absence.WAITING, Absence.OPENING):
        return words
    if not dials:
        follow_up = "this process does not dial"
    elif not has_addresses:
        follow_up = "no address known; waiting for them to connect"
        if reason.absence is Absence.NOT_TRIED:
            return follow_up
    elif reason.absence is Absence.NOT_TRIED:
        return words
    else:
        follow_up = "trying again"
    return f"{words}; {follow_up}"


def _happened(reason: Reason) -> str:
    match reason.absence:
        case Absence.NOT_TRIED:
            return "not tried yet"
        case Absence.UNREACHABLE:
            return f"nobody answers at {reason.detail}"
        case Absence.FAILED:
            return f"no connection with {reason.detail}"
        case Absence.WRONG_IDENTITY:
            return f"another identity answered at {reason.detail}"
        case Absence.LOST:
            return f"the connection ended: {reason.detail}"
        case Absence.WAITING:
            return "waiting for them to accept you"
        case Absence.OPENING:
            return "setting up the encrypted session"
        case Absence.REFUSED_AS_REVOKED:
            return "they refuse your key, since it was revoked"
        case Absence.CAME_REVOKED:
            return f"somebody came with it from {reason.detail} and was refused"
        case Absence.STORE_FAILED:
            return f"the profile could not be written: {reason.detail}"
        case Absence.TOO_MANY_RESETS:
            return "the encrypted session was made anew too often within an hour"
        case _ as unreachable:
            assert_never(unreachable)
