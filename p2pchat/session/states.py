"""The connection's state table (protocol.md §8.1), one source for code, tests and text.

A pair that is missing is a protocol error. ``markdown`` draws the table that protocol.md prints;
a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from p2pchat.errors import LocalProtocolError, ProtocolError


class State(Enum):
    """Where a connection stands; the same names on both sides unless said otherwise."""

    AWAIT_PREAMBLE = "AWAIT_PREAMBLE"
    """Responder, from the start."""
    AWAIT_MESSAGE_1 = "AWAIT_MESSAGE_1"
    """Responder, after the preamble."""
    AWAIT_MESSAGE_1_AGAIN = "AWAIT_MESSAGE_1_AGAIN"
    """Responder, after its RETRY."""
    CONSIDERING = "CONSIDERING"
    """Responder, with an IK message that the local side has to judge."""
    AWAIT_CONFIRMATION = "AWAIT_CONFIRMATION"
    """Responder, after its answer to IK: only a transport frame proves that it was no replay."""
    AWAIT_MESSAGE_2 = "AWAIT_MESSAGE_2"
    """Initiator, from the start."""
    AWAIT_MESSAGE_2_AGAIN = "AWAIT_MESSAGE_2_AGAIN"
    """Initiator, after the peer's RETRY."""
    AWAIT_MESSAGE_3 = "AWAIT_MESSAGE_3"
    """Responder, after its answer to XX."""
    AUTHENTICATED = "AUTHENTICATED"
    """The peer is proven; nothing is read until the local side attaches."""
    GREETING = "GREETING"
    """Our HELLO is sent, theirs awaited."""
    PENDING = "PENDING"
    """Both HELLOs are out; one side has not accepted the other."""
    SYNCING = "SYNCING"
    """Both accepted; our RESUME or RESET is sent, theirs awaited."""
    OPEN = "OPEN"
    """Messages flow."""
    CLOSED = "CLOSED"
    """Over."""


class Trigger(Enum):
    """What moves a connection: a frame received, or a local command."""

    PREAMBLE = "preamble received"
    MESSAGE_1_XX = "NOISE received, of XX"
    MESSAGE_1_IK = "NOISE received, of IK"
    NOISE = "NOISE received"
    RETRY = "RETRY received"
    MESSAGE_1_OF_NO_USE = "NOISE received, needs RETRY"
    ASK_AGAIN = "local: retry"
    ANSWER = "local: answer"
    CONFIRMED = "first transport frame authenticates"
    REFUSE = "REFUSE received"
    ATTACH = "local: attach"
    ACCEPT = "local: accept"
    SEND = "local: send message"
    HELLO = "HELLO received"
    BOTH_ACCEPTED = "both HELLOs accept"
    RESUME = "RESUME received"
    RESET = "RESET received"
    RATCHET_PART = "RATCHET_PART received"
    RATCHET = "RATCHET received"
    ACK = "ACK received"
    CERTIFICATE = "CERTIFICATE received"
    REVOKED = "REVOKED received"
    COMPARE = "COMPARE received"
    LEDGER = "LEDGER received"
    TYPING = "TYPING received"
    NOTIFY = "local: send notice"
    PING = "PING received"
    PONG = "PONG received"
    CLOSE = "CLOSE received"


_S, _T = State, Trigger
_LIVE: Final = (_S.GREETING, _S.PENDING, _S.SYNCING, _S.OPEN)

TRANSITIONS: Final[Mapping[tuple[State, Trigger], State]] = MappingProxyType(
    {
        (_S.AWAIT_PREAMBLE, _T.PREAMBLE): _S.AWAIT_MESSAGE_1,
        (_S.AWAIT_MESSAGE_1, _T.MESSAGE_1_XX): _S.AWAIT_MESSAGE_3,
        (_S.AWAIT_MESSAGE_1, _T.MESSAGE_1_IK): _S.CONSIDERING,
        (_S.AWAIT_MESSAGE_1, _T.MESSAGE_1_OF_NO_USE): _S.AWAIT_MESSAGE_1_AGAIN,
        (_S.CONSIDERING, _T.ANSWER): _S.AWAIT_CONFIRMATION,
        (_S.CONSIDERING, _T.ASK_AGAIN): _S.AWAIT_MESSAGE_1_AGAIN,
        (_S.AWAIT_CONFIRMATION, _T.CONFIRMED): _S.AUTHENTICATED,
        (_S.AWAIT_CONFIRMATION, _T.REFUSE): _S.CLOSED,
        (_S.AWAIT_MESSAGE_1_AGAIN, _T.MESSAGE_1_XX): _S.AWAIT_MESSAGE_3,
        (_S.AWAIT_MESSAGE_1_AGAIN, _T.REFUSE): _S.CLOSED,
        (_S.AWAIT_MESSAGE_2, _T.NOISE): _S.AUTHENTICATED,
        (_S.AWAIT_MESSAGE_2, _T.RETRY): _S.AWAIT_MESSAGE_2_AGAIN,
        (_S.AWAIT_MESSAGE_2, _T.REFUSE): _S.CLOSED,
        (_S.AWAIT_MESSAGE_2_AGAIN, _T.NOISE): _S.AUTHENTICATED,
        (_S.AWAIT_MESSAGE_2_AGAIN, _T.REFUSE): _S.CLOSED,
        (_S.AWAIT_MESSAGE_3, _T.NOISE): _S.AUTHENTICATED,
        (_S.AWAIT_MESSAGE_3, _T.REFUSE): _S.CLOSED,
        (_S.AUTHENTICATED, _T.ATTACH): _S.GREETING,
        (_S.GREETING, _T.ACCEPT): _S.GREETING,
        (_S.GREETING, _T.HELLO): _S.PENDING,
        (_S.PENDING, _T.HELLO): _S.PENDING,
        (_S.PENDING, _T.ACCEPT): _S.PENDING,
        (_S.PENDING, _T.BOTH_ACCEPTED): _S.SYNCING,
        (_S.SYNCING, _T.RESUME): _S.OPEN,
        (_S.SYNCING, _T.RESET): _S.OPEN,
        (_S.OPEN, _T.RATCHET_PART): _S.OPEN,
        (_S.OPEN, _T.RATCHET): _S.OPEN,
        (_S.OPEN, _T.ACK): _S.OPEN,
        (_S.OPEN, _T.SEND): _S.OPEN,
        **{(state, _T.PING): state for state in _LIVE},
        **{(state, _T.PONG): state for state in _LIVE},
        **{(state, _T.CLOSE): _S.CLOSED for state in _LIVE},
        **{(state, _T.CERTIFICATE): state for state in _LIVE},
        **{(state, _T.REVOKED): state for state in _LIVE},
        **{(state, _T.COMPARE): state for state in _LIVE},
        **{(state, _T.LEDGER): state for state in _LIVE},
        **{(state, _T.TYPING): state for state in _LIVE},
        **{(state, _T.NOTIFY): state for state in _LIVE},
    }
)


class Machine:
    """Where one connection stands; it moves by the table and by nothing else, except to its end."""

    __slots__ = ("state",)

    def __init__(self, state: State) -> None:
        self.state = state

    def following(self, trigger: Trigger) -> State:
        """Return where something that the peer did leads.

        Raises:
            ProtocolError: The peer must not do that now.
        """
        following = TRANSITIONS.get((self.state, trigger))
        if following is None:
            raise ProtocolError(f"{trigger.value} in state {self.state.value}")
        return following

    def allowed(self, trigger: Trigger) -> State:
        """Return where a command of our own leads.

        Raises:
            LocalProtocolError: It is not allowed now.
        """
        following = TRANSITIONS.get((self.state, trigger))
        if following is None:
            raise LocalProtocolError(f"{trigger.value} in state {self.state.value}")
        return following


def markdown() -> str:
    """Return the table as protocol.md §8.1 prints it."""
    rows = ["| state | on | next state |", "|---|---|---|"]
    rows += [
        f"| {state.value} | {trigger.value} | {following.value} |"
        for (state, trigger), following in TRANSITIONS.items()
    ]
    return "\n".join(rows)
