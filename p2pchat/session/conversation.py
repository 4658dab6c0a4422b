"""With a proven peer: greet, agree on a session, exchange envelopes (protocol.md §8.3 to §8.5).

Holds the session between commits and numbers its changes; every change leaves as an event with
its revision, and what depends on it waits in ``Outgoing``. The Connection owns the state table
and calls only what the table allows.
"""

from __future__ import annotations

from dataclasses import replace

from p2pchat.constants import KEM_INTERVAL_S
from p2pchat.crypto.secret import Rng
from p2pchat.errors import ErrorCode, LocalProtocolError, ProtocolError
from p2pchat.session import delivery
from p2pchat.session.authentication import Authenticated
from p2pchat.session.delivery import SessionState, SessionSummary
from p2pchat.session.events import (
    Accept,
    Attach,
    MessageReceived,
    MessagesDelivered,
    MessageSealed,
    PeerGreeted,
    SessionResumed,
    SessionStarted,
)
from p2pchat.session.frames import Kind
from p2pchat.session.greeting import Greeting, encode_greeting
from p2pchat.session.messages import Message, decode_message, encode_message
from p2pchat.session.outgoing import INDEX_LEN, Outgoing

_STORED_BEFORE = 0
"""The revision of what was committed before this connection."""


class Conversation:
    """Our side of one authenticated connection's conversation."""

    def __init__(self, peer: Authenticated, outgoing: Outgoing, *, rng: Rng) -> None:
        self._peer = peer
        self._outgoing = outgoing
        self._rng = rng
        self._session: SessionState | None = None
        self._revision = _STORED_BEFORE
        self._accepted = False
        self._greeted: Greeting | None = None
        self._resume = False
        self._hybrid_step: tuple[int, float] | None = None
        self._parts: list[bytes] = []
        self._parts_size = 0

    @property
    def window(self) -> int:
        """How many messages may be sealed now."""
        return 0 if self._session is None else self._session.window

    @property
    def session_id(self) -> bytes:
        """Of the session in use."""
        return self._require_session().session_id

    @property
    def both_accepted(self) -> bool:
        """Whether each side's latest HELLO accepts the other."""
        return self._accepted and self._greeted is not None and self._greeted.accepted

    # --- Greeting (§8.3) ------------------------------------------------------------------------

    def attach(self, command: Attach) -> None:
        """Send our first HELLO; a session goes with it only if the peer is accepted."""
        greeting = Greeting(
            command.accepted,
            command.name,
            command.note,
            ledger=command.ledger,
            announcement=command.announcement,
            kinds=command.kinds,
        )
        self._greet(greeting, command.session)

    def accept(self, command: Accept) -> None:
        """Send a second HELLO, now accepting.

        Raises:
            LocalProtocolError: The first one did already.
        """
        if self._accepted:
            raise LocalProtocolError("the peer is accepted already")
        greeting = Greeting(
            True,
            command.name,
            ledger=command.ledger,
            announcement=command.announcement,
            kinds=command.kinds,
        )
        self._greet(greeting, command.session)

    def on_hello(self, greeting: Greeting) -> PeerGreeted:
        """Take the peer's HELLO; a second one may only turn refusal into acceptance (R-8.3.4).

        Raises:
            ProtocolError: It changes nothing, or announces another identity than its own (R-3.7.9).
        """
        if self._greeted is not None and (self._greeted.accepted or not greeting.accepted):
            raise ProtocolError("a second HELLO that changes nothing came")
        succession = greeting.announcement.succession
        if succession is not None and succession.new != self._peer.certificate.identity:
            raise ProtocolError("the succession is to another identity")
        self._greeted = greeting
        return PeerGreeted(
            greeting.accepted,
            greeting.name or None,
            greeting.note or None,
            greeting.ledger,
            greeting.announcement,
            greeting.kinds,
        )

    def _greet(self, greeting: Greeting, session: SessionState | None) -> None:
        accepted = greeting.accepted
        summary = None if session is None or not accepted else delivery.summarise(session)
        hello = encode_greeting(replace(greeting, session=summary))
        self._session = session if accepted else None
        self._accepted = accepted
        self._outgoing.control(Kind.HELLO, hello)

    # --- Agreement on a session (§8.4) ----------------------------------------------------------

    def propose(self) -> None:
        """Say RESUME if our stored session and theirs belong together, else RESET (R-8.4.2)."""
        theirs = self._their_summary
        self._resume = (
            self._session is not None
            and theirs is not None
            and delivery.can_resume(self._session, theirs)
        )
        self._outgoing.control(Kind.RESUME if self._resume else Kind.RESET)

    def on_verdict(self, *, resume: bool) -> SessionResumed | SessionStarted:
        """Resume only if both said so; otherwise this handshake seeds a new session (R-8.4.3)."""
        return self._resume_session() if resume and self._resume else self._start_session()

    @property
    def _their_summary(self) -> SessionSummary | None:
        return None if self._greeted is None else self._greeted.session

    def _resume_session(self) -> SessionResumed:
        theirs = self._their_summary
        if theirs is None:
            raise LocalProtocolError("the peer has no session", ErrorCode.INTERNAL)
        session, delivered = delivery.acknowledge(self._require_session(), theirs.received)
        for envelope in session.unacknowledged:
            self._outgoing.envelope(_STORED_BEFORE, envelope)
        return SessionResumed(self._changed(session), session, delivered)

    def _start_session(self) -> SessionStarted:
        replaced = self._session is not None
        if self._peer.remote_ratchet_key is not None:
            session, first = delivery.start_initiator(
                self._peer.seed, self._peer.remote_ratchet_key, rng=self._rng
            )
            revision = self._changed(session)
            self._outgoing.envelope(revision, first)
        elif self._peer.ratchet_pair is not None:
            session = delivery.start_responder(self._peer.seed, self._peer.ratchet_pair)
            revision = self._changed(session)
        else:
            raise LocalProtocolError("the handshake left no ratchet key", ErrorCode.INTERNAL)
        return SessionStarted(revision, session, session.unacknowledged, replaced)

    # --- Messages (§8.5) --------------------------------------------------------------------------

    def send(self, message: Message, *, now: float) -> MessageSealed:
        """Encrypt a message; its envelope leaves once the change is committed (R-8.5.1).

        An hour after the last hybrid step, or after the first message of this connection, the
        ratchet is told that the next one is due (R-6.7.3).

        Raises:
            LocalProtocolError: Out of bounds, or no window.
        """
        session = self._require_session()
        steps = session.ratchet.kem_steps
        if self._hybrid_step is None or self._hybrid_step[0] != steps:
            self._hybrid_step = steps, now
        session, envelope = delivery.seal(
            session,
            encode_message(message),
            message.message_id,
            rng=self._rng,
            kem_due=now - self._hybrid_step[1] >= KEM_INTERVAL_S,
        )
        revision = self._changed(session)
        self._outgoing.envelope(revision, envelope)
        return MessageSealed(revision, session, envelope)

    def on_ratchet(self, body: bytes, *, last: bool) -> MessageReceived | None:
        """Collect an envelope's parts and open it; None while parts or news are missing.

        Raises:
            ProtocolError: An empty part, too large, a gap, or malformed content.
            DecryptionError: The envelope does not authenticate.
        """
        if not body:  # parts are bounded by their size alone, so each must have one
            raise ProtocolError("a part of an envelope is empty")
        self._parts_size += len(body)
        delivery.check_envelope_size(self._parts_size - INDEX_LEN)
        self._parts.append(body)
        if not last:
            return None
        whole = b"".join(self._parts)
        self._parts, self._parts_size = [], 0
        if len(whole) <= INDEX_LEN:
            raise ProtocolError("an envelope is cut short")
        session = self._require_session()
        opened = delivery.open_envelope(
            session, int.from_bytes(whole[:INDEX_LEN], "big"), whole[INDEX_LEN:]
        )
        if opened is None:
            self._outgoing.receipt(self._revision, session.received)
            return None
        successor, content = opened
        message = decode_message(content) if content else None
        revision = self._changed(successor)
        self._outgoing.receipt(revision, successor.received)
        return MessageReceived(revision, successor, message)

    def on_ack(self, index: int) -> MessagesDelivered | None:
        """Take the peer's acknowledgement; None if it says nothing new (R-8.5.5).

        Raises:
            ProtocolError: It acknowledges what was not sent.
        """
        session = self._require_session()
        successor, delivered = delivery.acknowledge(session, index)
        if successor is session:
            return None
        return MessagesDelivered(self._changed(successor), successor, delivered, index)

    def _changed(self, session: SessionState) -> int:
        self._session = session
        self._revision += 1
        return self._revision

    def _require_session(self) -> SessionState:
        if self._session is None:
            raise LocalProtocolError("there is no session", ErrorCode.INTERNAL)
        return self._session
