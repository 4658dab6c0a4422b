"""When a connection must act by itself (protocol.md §7.4): deadlines, keepalive, silence.

Holds figures, not a clock: every entry says what time it is.
"""

from __future__ import annotations

from enum import Enum, auto

from p2pchat.constants import HANDSHAKE_TIMEOUT_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_TIMEOUT_S
from p2pchat.session.states import State

_BEFORE_TRANSPORT = (
    State.AWAIT_PREAMBLE,
    State.AWAIT_MESSAGE_1,
    State.AWAIT_MESSAGE_1_AGAIN,
    State.CONSIDERING,
    State.AWAIT_MESSAGE_2,
    State.AWAIT_MESSAGE_2_AGAIN,
    State.AWAIT_MESSAGE_3,
    State.AWAIT_CONFIRMATION,
    State.AUTHENTICATED,
)
_UNDER_DEADLINE = (*_BEFORE_TRANSPORT, State.GREETING, State.SYNCING)


class Due(Enum):
    """What the time asks for."""

    NOTHING = auto()
    TOO_SLOW = auto()
    SILENT = auto()
    KEEPALIVE = auto()


class Timers:
    """The three times of one connection, in the caller's monotonic seconds."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._received = self._sent = now
        self._deadline = now + HANDSHAKE_TIMEOUT_S

    def received(self) -> None:
        """Note that a frame of the peer has authenticated: it is alive (R-7.4.3)."""
        self._received = self.now

    def sent(self) -> None:
        """Note that no keepalive is needed for a while."""
        self._sent = self.now

    def grant(self) -> None:
        """Give the next step of opening its ten seconds (R-7.4.4)."""
        self._deadline = self.now + HANDSHAKE_TIMEOUT_S

    def next(self, state: State) -> float | None:
        """Return when ``due`` has to be asked next."""
        if state is State.CLOSED:
            return None
        deadline = self._received + KEEPALIVE_TIMEOUT_S
        if state in _UNDER_DEADLINE:
            deadline = min(deadline, self._deadline)
        if state not in _BEFORE_TRANSPORT:
            deadline = min(deadline, self._sent + KEEPALIVE_INTERVAL_S)
        return deadline

    def due(self, state: State) -> Due:
        """Return what is due now (R-7.4.1, R-7.4.3, R-7.4.4)."""
        if state is State.CLOSED:
            return Due.NOTHING
        if state in _UNDER_DEADLINE and self.now >= self._deadline:
            return Due.TOO_SLOW
        if self.now >= self._received + KEEPALIVE_TIMEOUT_S:
            return Due.SILENT
        if state not in _BEFORE_TRANSPORT and self.now >= self._sent + KEEPALIVE_INTERVAL_S:
            return Due.KEEPALIVE
        return Due.NOTHING
