"""One connection with one peer, sans-IO (protocol.md §8).

``receive_data`` only buffers, ``next_event`` parses, ``send`` takes commands, ``data_to_send``
gives what may leave. Internals raise; this border turns every fault of the peer into a
``ConnectionClosed`` event and one error code on the wire. After that the connection is poisoned:
further input is discarded.

Deliberately absent: sockets, clocks, storage, retries, words for people. Nothing of a stored
session changes before both sides are authenticated and have agreed to it.
"""

from __future__ import annotations

from collections import deque

from p2pchat.constants import (
    FRAME_PREFIX_LEN,
    HANDSHAKE_TIMEOUT_S,
    KEEPALIVE_INTERVAL_S,
    KEEPALIVE_TIMEOUT_S,
    NOISE_MESSAGE_MAX_BYTES,
)
from p2pchat.crypto.secret import Rng
from p2pchat.errors import (
    CryptoError,
    DecryptionError,
    ErrorCode,
    LocalProtocolError,
    ProtocolError,
)
from p2pchat.session.authentication import Authenticated, Authentication, ConnectionConfig
from p2pchat.session.conversation import Conversation
from p2pchat.session.events import (
    Accept,
    Attach,
    Close,
    Command,
    ConnectionClosed,
    Event,
    PeerAuthenticated,
    SendMessage,
    SessionBroke,
)
from p2pchat.session.frames import (
    OPTIONAL_KINDS_FROM,
    ClearKind,
    FrameBuffer,
    Kind,
    decode_inner,
    encode_clear,
    encode_refusal,
)
from p2pchat.session.greeting import Greeting, decode_greeting
from p2pchat.session.negotiation import decode_preamble
from p2pchat.session.outgoing import INDEX_LEN, Outgoing
from p2pchat.session.states import TRANSITIONS, State, Trigger

PING_TOKEN_LEN = 8
_BEFORE_AUTHENTICATION = (
    State.AWAIT_PREAMBLE,
    State.AWAIT_MESSAGE_1,
    State.AWAIT_MESSAGE_2,
    State.AWAIT_MESSAGE_3,
)
_UNDER_DEADLINE = (*_BEFORE_AUTHENTICATION, State.AUTHENTICATED, State.GREETING, State.SYNCING)


class Connection:
    """Either end of one transport connection."""

    def __init__(
        self,
        config: ConnectionConfig,
        *,
        initiator: bool,
        now: float,
        now_ms: int,
        rng: Rng,
    ) -> None:
        self._initiator = initiator
        self._rng = rng
        self._now = self._last_received = self._last_sent = now
        self._deadline = now + HANDSHAKE_TIMEOUT_S
        self._incoming = FrameBuffer()
        self._ended = False
        self._events: deque[Event] = deque()
        self._outgoing = Outgoing()
        self._authentication = Authentication(config, initiator=initiator, now_ms=now_ms, rng=rng)
        self._peer: Authenticated | None = None
        self._conversation: Conversation | None = None
        self._state = State.AWAIT_MESSAGE_2 if initiator else State.AWAIT_PREAMBLE
        if initiator:
            preamble, message = self._authentication.begin()
            self._outgoing.clear_bytes(preamble)
            self._outgoing.clear_bytes(encode_clear(ClearKind.NOISE, message))

    # --- What the shell may ask -------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the connection stands (§8.1)."""
        return self._state

    @property
    def is_open(self) -> bool:
        """Messages flow."""
        return self._state is State.OPEN

    @property
    def is_closed(self) -> bool:
        """Over; at most a goodbye is left in ``data_to_send``."""
        return self._state is State.CLOSED

    @property
    def peer_identity(self) -> bytes | None:
        """Who proved to be at the other end, wanted or not."""
        certificate = self._authentication.peer_certificate
        return None if certificate is None else certificate.identity

    @property
    def send_window(self) -> int:
        """How many ``SendMessage`` are allowed now."""
        return self._conversing.window if self._state is State.OPEN else 0

    # --- Bytes, events, commands, time ---------------------------------------------------------

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Buffer bytes of the peer; ``b""`` says that there will be no more."""
        self._now = now
        if self._state is State.CLOSED:
            return
        if data:
            self._last_received = now
            self._incoming.append(data)
        else:
            self._ended = True

    def next_event(self) -> Event | None:
        """Parse until there is an event; None when more bytes or a command are needed."""
        while not self._events and self._state is not State.CLOSED:
            try:
                if not self._parse_one():
                    break
            except ProtocolError as error:
                self._fail(error.code, str(error))
            except CryptoError as error:
                self._fail(self._crypto_code(), str(error))
        return self._events.popleft() if self._events else None

    def send(self, command: Command, *, now: float) -> None:
        """Carry out a command.

        Raises:
            LocalProtocolError: It is not allowed in this state; nothing has changed.
        """
        self._now = now
        match command:
            case Attach():
                self._attach(command)
            case Accept():
                self._accept(command)
            case SendMessage():
                self._send_message(command)
            case Close(code, reason):
                self._close(code, reason)

    def committed(self, revision: int) -> None:
        """The store holds every change up to ``revision``."""
        self._outgoing.committed(revision)

    def data_to_send(self) -> bytes:
        """Return what may leave now; withholds what depends on uncommitted changes."""
        data = self._outgoing.take()
        if data:
            self._last_sent = self._now
        return data

    def next_deadline(self) -> float | None:
        """Return when ``handle_timeout`` is due, in the caller's monotonic seconds."""
        if self._state is State.CLOSED:
            return None
        deadline = self._last_received + KEEPALIVE_TIMEOUT_S
        if self._state in _UNDER_DEADLINE:
            deadline = min(deadline, self._deadline)
        if self._state not in (*_BEFORE_AUTHENTICATION, State.AUTHENTICATED):
            deadline = min(deadline, self._last_sent + KEEPALIVE_INTERVAL_S)
        return deadline

    def handle_timeout(self, now: float) -> None:
        """Act on whatever is due: a keepalive, a silent peer, a slow handshake (R-7.4.1-3)."""
        self._now = now
        if self._state is State.CLOSED:
            return
        if self._state in _UNDER_DEADLINE and now >= self._deadline:
            self._fail(ErrorCode.TIMEOUT, "the handshake took too long")
        elif now >= self._last_received + KEEPALIVE_TIMEOUT_S:
            self._fail(ErrorCode.TIMEOUT, "the peer fell silent")
        elif (
            self._state not in (*_BEFORE_AUTHENTICATION, State.AUTHENTICATED)
            and now >= self._last_sent + KEEPALIVE_INTERVAL_S
        ):
            self._outgoing.control(Kind.PING, self._rng(PING_TOKEN_LEN))

    # --- Parsing ----------------------------------------------------------------------------------

    def _parse_one(self) -> bool:
        """Handle one preamble or frame; False if there is none to handle."""
        if self._state is State.AUTHENTICATED:
            # Nobody may send more than a greeting before ours, so this much is no honest peer's.
            if len(self._incoming) > FRAME_PREFIX_LEN + NOISE_MESSAGE_MAX_BYTES:
                raise ProtocolError("the peer does not wait for us", ErrorCode.LIMIT_EXCEEDED)
            return False
        if self._state is State.AWAIT_PREAMBLE:
            encoded = self._incoming.take_preamble()
            if encoded is not None:
                preamble = decode_preamble(encoded)
                # Valid, so from here on the peer is told why it is refused.
                self._state = self._following(Trigger.PREAMBLE)
                self._authentication.read_preamble(preamble)
                return True
        else:
            frame = self._incoming.take_frame()
            if frame is not None:
                if self._peer is None:
                    self._on_clear_frame(frame[0], frame[1:])
                else:
                    plaintext = self._peer.receive.decrypt_with_ad(b"", frame)
                    self._on_frame(*decode_inner(plaintext))
                return True
        if self._ended:
            self._finish(
                ErrorCode.TRUNCATED,
                by_peer=True,
                clean=False,
                reason="the connection ended without a goodbye",
            )
        return False

    def _on_clear_frame(self, kind: int, body: bytes) -> None:
        if kind == ClearKind.REFUSE:
            self._following(Trigger.REFUSE)
            if len(body) != 2:
                raise ProtocolError("a refusal has the wrong length")
            # Not authenticated: whoever is on the path could have sent it. It ends this attempt
            # and nothing else.
            self._finish(_known_code(body), by_peer=True, clean=False, reason="the peer refused us")
            return
        if kind != ClearKind.NOISE:
            raise ProtocolError("a frame of an unknown kind came during the handshake")
        following = self._following(Trigger.NOISE)
        if self._state is State.AWAIT_MESSAGE_1:
            self._send_noise(self._authentication.read_message_1(body))
        elif self._state is State.AWAIT_MESSAGE_2:
            message, peer = self._authentication.read_message_2(body)
            self._send_noise(message)
            self._authenticated(peer)
        else:
            self._authenticated(self._authentication.read_message_3(body))
        self._state = following

    def _send_noise(self, message: bytes) -> None:
        self._outgoing.clear_bytes(encode_clear(ClearKind.NOISE, message))

    def _authenticated(self, peer: Authenticated) -> None:
        self._peer = peer
        self._outgoing.start_transport(peer.send)
        self._conversation = Conversation(peer, self._outgoing, rng=self._rng)
        self._deadline = self._now + HANDSHAKE_TIMEOUT_S
        self._events.append(
            PeerAuthenticated(
                identity=peer.certificate.identity,
                certificate=peer.certificate,
                handshake_hash=peer.handshake_hash,
                version=peer.choice.version,
                suite=peer.choice.suite,
                post_quantum=False,
            )
        )

    def _on_frame(self, number: int, body: bytes) -> None:
        if number not in _KINDS:
            if number >= OPTIONAL_KINDS_FROM:
                return
            raise ProtocolError("a frame of an unknown kind came")
        kind = Kind(number)
        following = self._following(_TRIGGERS[kind])
        match kind:
            case Kind.PING:
                _require_length(body, PING_TOKEN_LEN)
                self._outgoing.pong(body)
            case Kind.PONG:
                _require_length(body, PING_TOKEN_LEN)
            case Kind.CLOSE:
                _require_length(body, 2)
                self._finish(
                    _known_code(body), by_peer=True, clean=True, reason="the peer said goodbye"
                )
            case Kind.HELLO:
                self._on_hello(decode_greeting(body), following)
            case Kind.RESUME | Kind.RESET:
                _require_length(body, 0)
                self._events.append(self._conversing.on_verdict(resume=kind is Kind.RESUME))
                self._state = following
            case Kind.RATCHET_PART | Kind.RATCHET:
                self._on_ratchet(body, last=kind is Kind.RATCHET)
            case Kind.ACK:
                _require_length(body, INDEX_LEN)
                delivered = self._conversing.on_ack(int.from_bytes(body, "big"))
                if delivered is not None:
                    self._events.append(delivered)

    # --- Greeting, agreement, messages: the conversation's business, moved by our table ----------

    def _attach(self, command: Attach) -> None:
        following = self._allowed(Trigger.ATTACH)
        self._conversing.attach(command)
        self._state = following

    def _accept(self, command: Accept) -> None:
        following = self._allowed(Trigger.ACCEPT)
        self._conversing.accept(command)
        self._state = following
        self._synchronise()

    def _on_hello(self, greeting: Greeting, following: State) -> None:
        self._events.append(self._conversing.on_hello(greeting))
        self._state = following
        self._synchronise()

    def _synchronise(self) -> None:
        """Once both HELLOs accept, say whether our stored session fits theirs (R-8.4.1)."""
        if self._state is State.PENDING and self._conversing.both_accepted:
            self._state = self._following(Trigger.BOTH_ACCEPTED)
            self._deadline = self._now + HANDSHAKE_TIMEOUT_S
            self._conversing.propose()

    def _send_message(self, command: SendMessage) -> None:
        following = self._allowed(Trigger.SEND)
        self._events.append(self._conversing.send(command.message))
        self._state = following

    def _on_ratchet(self, body: bytes, *, last: bool) -> None:
        try:
            event = self._conversing.on_ratchet(body, last=last)
        except DecryptionError as error:
            self._events.append(SessionBroke(self._conversing.session_id))
            raise ProtocolError(str(error), ErrorCode.SESSION_BROKEN) from error
        if event is not None:
            self._events.append(event)

    # --- Ends ---------------------------------------------------------------------------------

    def _close(self, code: ErrorCode, reason: str) -> None:
        if self._state is State.CLOSED:
            return
        self._say_goodbye(code)
        self._finish(code, by_peer=False, clean=True, reason=reason)

    def _fail(self, code: ErrorCode, reason: str) -> None:
        self._say_goodbye(code)
        self._finish(code, by_peer=False, clean=False, reason=reason)

    def _say_goodbye(self, code: ErrorCode) -> None:
        if self._peer is not None:
            self._outgoing.goodbye(code)
        elif (cipher := self._authentication.refusal_cipher()) is not None:
            self._outgoing.start_transport(cipher)
            self._outgoing.goodbye(code)
        elif self._state is not State.AWAIT_PREAMBLE:
            # Whoever has not even sent our preamble is told nothing at all.
            self._outgoing.clear_bytes(encode_refusal(code))

    def _finish(self, code: ErrorCode, *, by_peer: bool, clean: bool, reason: str) -> None:
        self._state = State.CLOSED
        self._incoming.clear()
        if by_peer:
            self._outgoing.discard()
        self._events.append(ConnectionClosed(code, by_peer, clean, reason))

    def _crypto_code(self) -> ErrorCode:
        return ErrorCode.HANDSHAKE_FAILED if self._peer is None else ErrorCode.PROTOCOL_VIOLATION

    # --- The table ---------------------------------------------------------------------------

    def _following(self, trigger: Trigger) -> State:
        following = TRANSITIONS.get((self._state, trigger))
        if following is None:
            raise ProtocolError(f"{trigger.value} in state {self._state.value}")
        return following

    def _allowed(self, trigger: Trigger) -> State:
        following = TRANSITIONS.get((self._state, trigger))
        if following is None:
            raise LocalProtocolError(f"{trigger.value} in state {self._state.value}")
        return following

    @property
    def _conversing(self) -> Conversation:
        if self._conversation is None:
            raise LocalProtocolError("the peer is not authenticated", ErrorCode.INTERNAL)
        return self._conversation


_KINDS = frozenset(Kind)
_TRIGGERS = {kind: Trigger[kind.name] for kind in Kind}


def _known_code(body: bytes) -> ErrorCode:
    """Return the peer's error code; one that we do not know counts as a plain violation."""
    number = int.from_bytes(body, "big")
    return ErrorCode(number) if number in _CODES else ErrorCode.PROTOCOL_VIOLATION


_CODES = frozenset(ErrorCode)


def _require_length(body: bytes, length: int) -> None:
    if len(body) != length:
        raise ProtocolError("a frame's body has the wrong length")
