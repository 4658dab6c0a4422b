"""Which check judges which requirements, and how: the kit's table.

A check is a coroutine with a docstring, which says in one line how it judges. It returns if the
requirements were kept, raises ``FailedError`` if one was broken and ``NotReachedError`` if it did
not get to its point. What ordinary traffic shows by the way is noted in the report as it is seen
(``Kit.saw``), so those requirements are named here as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import Any, Final


class Role(Enum):
    """What the checker is on a connection."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


Run = Callable[[Any], Awaitable[None]]
"""Takes the role's kit; typed by the decorators' users."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: Of its function.
        role: Ours.
        requirements: What it judges.
        how: In one line.
        run: Does it.
        story: Checks of the same story share a persona and its session, and run in order; others
            run at the same time.
        seconds: It waits this long at least.
    """

    name: str
    role: Role
    requirements: tuple[str, ...]
    how: str
    run: Run
    story: str
    seconds: float


_MODULES: Final = (
    *("dial_first", "dial_clear", "dial_handshake", "dial_certificates", "dial_transport"),
    *("dial_greeting", "dial_session", "dial_notices"),
    *("answer_first", "answer_frames", "answer_bad"),
)
"""Where the checks are; within a role and a story they run in this order."""
_CHECKS: Final[list[Check]] = []


def checks_of(role: Role) -> list[Check]:
    """Return a role's checks, in the order in which they run."""
    # By name, since these modules import the decorator from here.
    places = {
        import_module(f"p2pchat.interop.check.{name}").__name__: place
        for place, name in enumerate(_MODULES)
    }
    ours = [check for check in _CHECKS if check.role is role]
    return sorted(ours, key=lambda check: places[check.run.__module__])


def check(
    role: Role, *requirements: str, story: str = "", seconds: float = 0.0
) -> Callable[[Run], Run]:
    """Register a check of ``requirements``, which are ids such as ``R-4.2.1``."""

    def register(run: Run) -> Run:
        name = getattr(run, "__name__", "?")
        how = (run.__doc__ or "").strip().splitlines()[0]
        _CHECKS.append(Check(name, role, requirements, how, run, story, seconds))
        return run

    return register


def seen_by_the_way(role: Role) -> dict[str, str]:
    """Return what ordinary traffic shows, and how."""
    return {**_BY_THE_WAY, **_BY_THE_WAY_OF[role]}


_BY_THE_WAY: Final = {
    "R-5.1.1": "whole handshakes complete",
    "R-5.1.4": "frames in both directions open under counted nonces",
    "R-5.1.7": "no ephemeral key is ever seen twice",
    "R-5.1.10": "no suite is offered that version 1.0 does not have",
    "R-5.3.1": "payloads of handshake messages are read strictly",
    "R-5.4.1": "the certificate presented is valid",
    "R-5.4.2": "the certificate presented is for the key that Noise proved",
    "R-5.5.1": "whole hybrid handshakes complete",
    "R-5.5.2": "lengths of hybrid handshake messages",
    "R-5.5.3": "no encapsulation key or ciphertext is ever seen twice",
    "R-6.1.1": "session keys agree: an envelope opens",
    "R-6.1.2": "session keys agree: an envelope opens",
    "R-6.3.1": "headers of received envelopes are read strictly",
    "R-6.3.2": "received envelopes open",
    "R-6.3.3": "no envelope's nonce is seen twice",
    "R-6.4.1": "each received envelope opens with the next key",
    "R-7.2.1": "every frame has a bucket's size and zero padding",
    "R-7.6.1": "no more than 1024 frames come under one key",
    "R-8.5.5": "acknowledgements grow and are for what was sent",
}
_BY_THE_WAY_OF: Final[dict[Role, dict[str, str]]] = {
    Role.INITIATOR: {"R-5.3.3": "no ratchet key is seen twice, or is an ephemeral key"},
    Role.RESPONDER: {
        "R-4.2.3": "the offer in the preamble is read strictly",
        "R-4.2.5": "the first suite is one of the offer",
        "R-5.3.2": "what message 1 says is nothing, or no more than it may",
    },
}
