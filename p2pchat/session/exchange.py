"""The phase with a proven peer: its frames and our commands (protocol.md §7.3, §8.3 to §8.5).

Moves the connection's state table by transport frames and by commands, and hands their content to
the ``Conversation``, which knows no table. How frames become readable, and how the connection
ends, is the Connection's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pchat.crypto.secret import Rng
from p2pchat.errors import DecryptionError, ErrorCode, LocalProtocolError, ProtocolError
from p2pchat.session.authentication import Authenticated
from p2pchat.session.conversation import Conversation
from p2pchat.session.events import (
    Accept,
    Attach,
    Event,
    NoticeReceived,
    PeerAuthenticated,
    SendMessage,
    SendNotice,
    SessionBroke,
)
from p2pchat.session.frames import OPTIONAL_KINDS_FROM, Kind, known_code
from p2pchat.session.greeting import Greeting, decode_greeting
from p2pchat.session.notices import decode_notice, encode_notice
from p2pchat.session.outgoing import INDEX_LEN, Outgoing
from p2pchat.session.states import Machine, State, Trigger
from p2pchat.session.timers import Timers

PING_TOKEN_LEN: Final = 8


class Exchange:
    """One connection's second phase, in either role.

    Args:
        machine: Where the connection stands; moved here once the peer is proven.
        outgoing: Takes what is to be sent.
        timers: Say what time it is, and give each step its deadline.
        emit: Takes the events, in order.
        cover_interval_s: See ``ConnectionConfig``.
        rng: For sealing and for new sessions.
    """

    def __init__(
        self,
        machine: Machine,
        outgoing: Outgoing,
        timers: Timers,
        *,
        emit: Callable[[Event], None],
        cover_interval_s: float | None,
        rng: Rng,
    ) -> None:
        self._machine = machine
        self._outgoing = outgoing
        self._timers = timers
        self._emit = emit
        self._cover_interval_s = cover_interval_s
        self._rng = rng
        self._peer_identity: bytes | None = None
        self._conversation: Conversation | None = None

    @property
    def peer_identity(self) -> bytes | None:
        """Who is at the other end; None until that is proven."""
        return self._peer_identity

    @property
    def window(self) -> int:
        """How many messages may be sealed now."""
        return self._conversing.window if self._machine.state is State.OPEN else 0

    def begin(self, peer: Authenticated) -> None:
        """Go on with a peer that has just been proven."""
        self._timers.received()
        self._peer_identity = peer.certificate.identity
        self._conversation = Conversation(peer, self._outgoing, rng=self._rng)
        self._timers.grant()
        self._emit(
            PeerAuthenticated(
                identity=peer.certificate.identity,
                certificate=peer.certificate,
                handshake_hash=peer.handshake_hash,
                version=peer.choice.version,
                suite=peer.suite,
                presented=peer.presented,
            )
        )

    # --- What the shell commands: each raises LocalProtocolError where it is not allowed ----------

    def attach(self, command: Attach) -> None:
        """Send our first HELLO."""
        following = self._machine.allowed(Trigger.ATTACH)
        self._conversing.attach(command)
        self._machine.state = following

    def accept(self, command: Accept) -> None:
        """Send a second HELLO, now accepting."""
        following = self._machine.allowed(Trigger.ACCEPT)
        self._conversing.accept(command)
        self._machine.state = following
        self._synchronise()

    def send_message(self, command: SendMessage) -> None:
        """Seal a message."""
        following = self._machine.allowed(Trigger.SEND)
        self._emit(self._conversing.send(command.message, now=self._timers.now))
        self._machine.state = following

    def send_notice(self, command: SendNotice) -> None:
        """Tell the peer something outside the ratchet."""
        self._machine.allowed(Trigger.NOTIFY)
        self._outgoing.control(*encode_notice(command.notice))

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._outgoing.control(Kind.PING, self._rng(PING_TOKEN_LEN))

    # --- What the peer says -----------------------------------------------------------------------

    def on_frame(self, number: int, body: bytes) -> ErrorCode | None:
        """Take an authenticated frame; a kind that may be unknown is passed over (R-7.3.2).

        Returns:
            What a CLOSE says, which ends the connection; None for every other frame.

        Raises:
            ProtocolError: Out of turn, malformed, of an unknown kind, or it does not decrypt.
        """
        if number not in _KINDS:
            if number >= OPTIONAL_KINDS_FROM:
                return None
            raise ProtocolError("a frame of an unknown kind came")
        kind = Kind(number)
        following = self._machine.following(_TRIGGERS[kind])
        match kind:
            case Kind.PING:
                _require_length(body, PING_TOKEN_LEN)
                self._outgoing.pong(body)
            case Kind.PONG:
                _require_length(body, PING_TOKEN_LEN)
            case Kind.REKEY:
                raise LocalProtocolError("the record layer takes REKEY", ErrorCode.INTERNAL)
            case Kind.CLOSE:
                _require_length(body, 2)
                return known_code(body)
            case Kind.HELLO:
                self._on_hello(decode_greeting(body), following)
            case Kind.RESUME | Kind.RESET:
                _require_length(body, 0)
                self._emit(self._conversing.on_verdict(resume=kind is Kind.RESUME))
                self._machine.state = following
                if self._cover_interval_s is not None:
                    self._outgoing.pace(self._cover_interval_s, now=self._timers.now)
            case Kind.RATCHET_PART | Kind.RATCHET:
                self._on_ratchet(body, last=kind is Kind.RATCHET)
            case Kind.ACK:
                _require_length(body, INDEX_LEN)
                delivered = self._conversing.on_ack(int.from_bytes(body, "big"))
                if delivered is not None:
                    self._emit(delivered)
            case Kind.CERTIFICATE | Kind.REVOKED | Kind.COMPARE | Kind.LEDGER | Kind.TYPING:
                self._emit(NoticeReceived(decode_notice(kind, body)))
        return None

    def _on_hello(self, greeting: Greeting, following: State) -> None:
        self._emit(self._conversing.on_hello(greeting))
        self._machine.state = following
        self._synchronise()

    def _synchronise(self) -> None:
        """Once both HELLOs accept, say whether our stored session fits theirs (R-8.4.1)."""
        if self._machine.state is State.PENDING and self._conversing.both_accepted:
            self._machine.state = self._machine.following(Trigger.BOTH_ACCEPTED)
            self._timers.grant()
            self._conversing.propose()

    def _on_ratchet(self, body: bytes, *, last: bool) -> None:
        try:
            event = self._conversing.on_ratchet(body, last=last)
        except DecryptionError as error:
            self._emit(SessionBroke(self._conversing.session_id))
            raise ProtocolError(str(error), ErrorCode.SESSION_BROKEN) from error
        if event is not None:
            self._emit(event)

    @property
    def _conversing(self) -> Conversation:
        if self._conversation is None:
            raise LocalProtocolError("the peer is not authenticated", ErrorCode.INTERNAL)
        return self._conversation


_KINDS: Final = frozenset(Kind) - {Kind.REKEY}
_TRIGGERS: Final[dict[Kind, Trigger]] = {
    kind: Trigger[kind.name] for kind in Kind if kind is not Kind.REKEY
}


def _require_length(body: bytes, length: int) -> None:
    if len(body) != length:
        raise ProtocolError("a frame's body has the wrong length")
