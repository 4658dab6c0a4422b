"""What a Connection reports, and what it can be told (protocol.md §8).

Events are past tense, commands imperative. Every ``SessionChanged`` carries a ``revision``: the
bytes that depend on it leave ``data_to_send`` only after ``Connection.committed(revision)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pchat.errors import ErrorCode
from p2pchat.identity.certificate import Certificate
from p2pchat.session.delivery import Envelope, SessionState
from p2pchat.session.greeting import NOTHING_ANNOUNCED, Announcement
from p2pchat.session.ledger import LedgerSummary
from p2pchat.session.messages import Message
from p2pchat.session.negotiation import Suite
from p2pchat.session.notices import Notice

# --- Events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FirstMessageRead:
    """Someone who knows our static key says who he is; it may be a replay (§5.6).

    Nothing is answered until the shell says ``Answer``, ``AskAgain`` or ``Close``: it answers
    only if ``time_ms`` is later than every earlier one of that identity, and has stored it.
    """

    certificate: Certificate
    time_ms: int


@dataclass(frozen=True, slots=True)
class PeerAuthenticated:
    """The handshake is complete and the peer's certificate verified.

    Nothing more is parsed until the shell answers with ``Attach`` or ``Close``. ``presented`` is
    our own certificate, as the peer saw it.
    """

    identity: bytes
    certificate: Certificate
    handshake_hash: bytes
    version: tuple[int, int]
    suite: Suite
    presented: Certificate

    @property
    def post_quantum(self) -> bool:
        """Whether recorded traffic stays closed to a later quantum computer."""
        return self.suite.post_quantum


@dataclass(frozen=True, slots=True)
class PeerGreeted:
    """The peer's HELLO arrived; ``name`` and ``note`` are sanitised and bounded.

    ``accepted`` tells whether the peer has accepted us; comes again when that changes.
    ``ledger`` is the peer's account of the conversation, if it gave one (§8.6); ``kinds`` are
    the kinds of messages that its program understands, as far as it says.
    """

    accepted: bool
    name: str | None
    note: str | None = field(repr=False)
    ledger: LedgerSummary | None = None
    announcement: Announcement = NOTHING_ANNOUNCED
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """Base of events that the store must commit, in one transaction with what they carry.

    Attributes:
        revision: Grows by one with each such event of this connection.
        state: The session after the event; of a batch only the last need be encoded.
    """

    revision: int
    state: SessionState


@dataclass(frozen=True, slots=True)
class SessionStarted(SessionChanged):
    """A new ratchet session from this connection's handshake replaces any older one.

    The shell deletes the old session's envelopes, stores ``envelopes`` (the initiator's empty
    first frame, or none), and seals every undelivered message again, in order, by ``SendMessage``.

    Attributes:
        replaced: This side held an older session that could not be resumed; the person is told.
    """

    envelopes: tuple[Envelope, ...]
    replaced: bool


@dataclass(frozen=True, slots=True)
class SessionResumed(SessionChanged):
    """Both sides agreed on the stored session; ``delivered`` were received before.

    Unacknowledged envelopes are sent again, byte for byte.
    """

    delivered: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class MessageSealed(SessionChanged):
    """A message was encrypted; its envelope waits for the commit."""

    envelope: Envelope


@dataclass(frozen=True, slots=True)
class MessageReceived(SessionChanged):
    """An envelope was decrypted. ``message`` is None for an empty ratchet frame.

    The shell ignores a message id that it has stored already (R-8.5.4).
    """

    message: Message | None


@dataclass(frozen=True, slots=True)
class MessagesDelivered(SessionChanged):
    """The peer acknowledged: it has stored these message ids durably."""

    delivered: tuple[bytes, ...]
    acknowledged: int


@dataclass(frozen=True, slots=True)
class NoticeReceived:
    """The proven peer told something outside the ratchet; within its bounds, not yet verified."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class SessionBroke:
    """An authentic peer's envelope did not decrypt: the stored session is of no more use.

    The shell marks it broken, so that the next connection makes a new one. The connection ends.
    """

    session_id: bytes


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The connection is over; no event follows.

    Attributes:
        code: What the peer's authenticated CLOSE said, or why we closed.
        by_peer: The peer closed it.
        clean: An authenticated CLOSE was seen; False means truncation, timeout or an error.
        reason: For the local person or log; never sent.
    """

    code: ErrorCode
    by_peer: bool
    clean: bool
    reason: str


Event = (
    FirstMessageRead
    | PeerAuthenticated
    | PeerGreeted
    | SessionStarted
    | SessionResumed
    | MessageSealed
    | MessageReceived
    | MessagesDelivered
    | NoticeReceived
    | SessionBroke
    | ConnectionClosed
)

# --- Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """The first message of a known peer is fresh: go on."""


@dataclass(frozen=True, slots=True)
class AskAgain:
    """The first message may be a replay: ask for a handshake that cannot be (RETRY)."""


@dataclass(frozen=True, slots=True)
class Attach:
    """Continue with this authenticated peer.

    Attributes:
        accepted: The person accepted this peer; False holds it as a request.
        name: Our name for it to see; only sent if ``accepted``.
        note: With our first request; at most ``NOTE_MAX_CHARS``.
        session: The stored session with its unacknowledged envelopes, if there is one.
        ledger: Our account of the conversation (§8.6); only sent if ``accepted``.
        announcement: Only sent if ``accepted``.
        kinds: The kinds of messages that we understand (§8.3); only sent if ``accepted``.
    """

    accepted: bool
    name: str
    note: str = field(default="", repr=False)
    session: SessionState | None = None
    ledger: LedgerSummary | None = None
    announcement: Announcement = NOTHING_ANNOUNCED
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Accept:
    """The person accepted the peer of a pending connection; greet it again, with our name."""

    name: str
    session: SessionState | None = None
    ledger: LedgerSummary | None = None
    announcement: Announcement = NOTHING_ANNOUNCED
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Encrypt one application message; allowed while ``Connection.send_window`` is positive."""

    message: Message


@dataclass(frozen=True, slots=True)
class SendNotice:
    """Tell the peer something outside the ratchet; allowed once attached."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class Close:
    """Say goodbye with an authenticated CLOSE (before authentication: a REFUSE) and end."""

    code: ErrorCode = ErrorCode.NORMAL
    reason: str = "closed"


Command = Answer | AskAgain | Attach | Accept | SendMessage | SendNotice | Close
