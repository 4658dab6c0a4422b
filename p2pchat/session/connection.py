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
from collections.abc import Callable

from p2pchat.constants import FRAME_PREFIX_LEN, NOISE_MESSAGE_MAX_BYTES
from p2pchat.crypto.secret import Rng
from p2pchat.errors import (
    CryptoError,
    DecryptionError,
    ErrorCode,
    LocalProtocolError,
    ProtocolError,
)
from p2pchat.session.authentication import Authenticated, ConnectionConfig
from p2pchat.session.conversation import Conversation
from p2pchat.session.events import (
    Accept,
    Answer,
    AskAgain,
    Attach,
    Close,
    Command,
    ConnectionClosed,
    Event,
    FirstMessageRead,
    NoticeReceived,
    PeerAuthenticated,
    SendMessage,
    SendNotice,
    SessionBroke,
)
from p2pchat.session.frames import (
    OPTIONAL_KINDS_FROM,
    FrameBuffer,
    Kind,
    known_code,
)
from p2pchat.session.greeting import Greeting, decode_greeting
from p2pchat.session.notices import decode_notice, encode_notice
from p2pchat.session.opening import Opening, Refused
from p2pchat.session.outgoing import INDEX_LEN, Outgoing
from p2pchat.session.records import FrameOpener
from p2pchat.session.states import Machine, State, Trigger
from p2pchat.session.timers import Due, Timers

PING_TOKEN_LEN = 8


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
        self._rng = rng
        self._timers = Timers(now)
        self._incoming = FrameBuffer()
        self._ended = False
        self._cover_interval_s = config.cover_interval_s
        self._events: deque[Event] = deque()
        self._outgoing = Outgoing()
        self._machine = Machine(State.AWAIT_MESSAGE_2 if initiator else State.AWAIT_PREAMBLE)
        self._opening = Opening(
            config, self._machine, self._outgoing, initiator=initiator, now_ms=now_ms, rng=rng
        )
        self._peer: Authenticated | None = None
        self._opener: FrameOpener | None = None
        self._held: tuple[int, bytes] | None = None
        self._conversation: Conversation | None = None

    # --- What the shell may ask -------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the connection stands (§8.1)."""
        return self._machine.state

    @property
    def is_open(self) -> bool:
        """Messages flow."""
        return self._machine.state is State.OPEN

    @property
    def is_closed(self) -> bool:
        """Over; at most a goodbye is left in ``data_to_send``."""
        return self._machine.state is State.CLOSED

    @property
    def peer_identity(self) -> bytes | None:
        """Who proved to be at the other end, wanted or not."""
        if self._conversation is not None and self._peer is not None:
            return self._peer.certificate.identity
        return self._opening.answering_identity

    @property
    def send_window(self) -> int:
        """How many ``SendMessage`` are allowed now."""
        return self._conversing.window if self._machine.state is State.OPEN else 0

    # --- Bytes, events, commands, time ---------------------------------------------------------

    def receive_data(self, data: bytes, *, now: float) -> None:
        """Buffer bytes of the peer; ``b""`` says that there will be no more."""
        self._timers.now = now
        if self._machine.state is State.CLOSED:
            return
        if data:
            self._incoming.append(data)
        else:
            self._ended = True

    def next_event(self) -> Event | None:
        """Parse until there is an event; None when more bytes or a command are needed."""
        while not self._events and self._machine.state is not State.CLOSED:
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
        self._timers.now = now
        match command:
            case Answer():
                self._judged(lambda: self._start_transport(self._opening.answer()))
            case AskAgain():
                self._judged(self._opening.ask_again)
            case Attach():
                self._attach(command)
            case Accept():
                self._accept(command)
            case SendMessage():
                self._send_message(command)
            case SendNotice(notice):
                self._machine.allowed(Trigger.NOTIFY)
                self._outgoing.control(*encode_notice(notice))
            case Close(code, reason):
                self._close(code, reason)

    def committed(self, revision: int) -> None:
        """The store holds every change up to ``revision``."""
        self._outgoing.committed(revision)

    def data_to_send(self) -> bytes:
        """Return what may leave now; withholds what depends on uncommitted changes."""
        data = self._outgoing.take(now=self._timers.now)
        if data:
            self._timers.sent()
        return data

    def next_deadline(self) -> float | None:
        """Return when ``handle_timeout`` is due, in the caller's monotonic seconds."""
        deadline, tick = self._timers.next(self._machine.state), self._outgoing.next_tick
        return deadline if deadline is None or tick is None else min(deadline, tick)

    def handle_timeout(self, now: float) -> None:
        """Act on whatever is due: a keepalive, a silent peer, a slow handshake (R-7.4.1-4)."""
        self._timers.now = now
        match self._timers.due(self._machine.state):
            case Due.NOTHING:
                pass
            case Due.TOO_SLOW:
                self._fail(ErrorCode.TIMEOUT, "the handshake took too long")
            case Due.SILENT:
                self._fail(ErrorCode.TIMEOUT, "the peer fell silent")
            case Due.KEEPALIVE:
                self._outgoing.control(Kind.PING, self._rng(PING_TOKEN_LEN))

    # --- Parsing ----------------------------------------------------------------------------------

    def _parse_one(self) -> bool:
        """Handle one preamble or frame; False if there is none to handle."""
        if self._machine.state in (State.AUTHENTICATED, State.CONSIDERING):
            # Nobody may send more than a greeting before ours, so this much is no honest peer's.
            if len(self._incoming) > FRAME_PREFIX_LEN + NOISE_MESSAGE_MAX_BYTES:
                raise ProtocolError("the peer does not wait for us", ErrorCode.LIMIT_EXCEEDED)
            return False
        if self._held is not None:
            held, self._held = self._held, None
            self._on_frame(*held)
            return True
        if self._machine.state is State.AWAIT_PREAMBLE:
            encoded = self._incoming.take_preamble()
            if encoded is not None:
                self._opening.on_preamble(encoded)
                return True
        else:
            frame = self._incoming.take_frame()
            if frame is not None:
                if self._opener is None or self._opening.takes(frame):
                    self._on_clear_frame(frame)
                else:
                    opened = self._opener.open(frame)
                    self._timers.received()
                    if opened is not None:
                        self._on_opened(*opened)
                return True
        if self._ended:
            self._finish(
                ErrorCode.TRUNCATED,
                by_peer=True,
                clean=False,
                reason="the connection ended without a goodbye",
            )
        return False

    def _on_clear_frame(self, frame: bytes) -> None:
        match self._opening.on_frame(frame):
            case None:
                pass
            case FirstMessageRead() as event:
                self._events.append(event)
            case Refused(code):
                # It ends this attempt and nothing else.
                self._finish(code, by_peer=True, clean=False, reason="the peer refused us")
            case Authenticated() as peer:
                self._start_transport(peer)
                self._authenticated(peer)

    def _judged(self, step: Callable[[], None]) -> None:
        """Go on as the shell has decided about a first message; it may still be no good."""
        try:
            step()
        except LocalProtocolError:
            raise
        except ProtocolError as error:
            self._fail(error.code, str(error))
        except CryptoError as error:
            self._fail(self._crypto_code(), str(error))

    def _start_transport(self, peer: Authenticated) -> None:
        self._peer = peer
        self._opener = FrameOpener(peer.receive)
        self._outgoing.start_transport(peer.send, now=self._timers.now)

    def _on_opened(self, kind: int, body: bytes) -> None:
        """Take a frame that authenticated; the first one after IK is the peer's proof."""
        if self._machine.state is State.AWAIT_CONFIRMATION and self._peer is not None:
            following = self._machine.following(Trigger.CONFIRMED)
            self._held = kind, body
            self._authenticated(self._peer)
            self._machine.state = following
        else:
            self._on_frame(kind, body)

    def _authenticated(self, peer: Authenticated) -> None:
        self._timers.received()
        self._conversation = Conversation(peer, self._outgoing, rng=self._rng)
        self._timers.grant()
        self._events.append(
            PeerAuthenticated(
                identity=peer.certificate.identity,
                certificate=peer.certificate,
                handshake_hash=peer.handshake_hash,
                version=peer.choice.version,
                suite=peer.suite,
                presented=peer.presented,
            )
        )

    def _on_frame(self, number: int, body: bytes) -> None:
        if number not in _KINDS:
            if number >= OPTIONAL_KINDS_FROM:
                return
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
                self._finish(
                    known_code(body), by_peer=True, clean=True, reason="the peer said goodbye"
                )
            case Kind.HELLO:
                self._on_hello(decode_greeting(body), following)
            case Kind.RESUME | Kind.RESET:
                _require_length(body, 0)
                self._events.append(self._conversing.on_verdict(resume=kind is Kind.RESUME))
                self._machine.state = following
                if self._cover_interval_s is not None:
                    self._outgoing.pace(self._cover_interval_s, now=self._timers.now)
            case Kind.RATCHET_PART | Kind.RATCHET:
                self._on_ratchet(body, last=kind is Kind.RATCHET)
            case Kind.ACK:
                _require_length(body, INDEX_LEN)
                delivered = self._conversing.on_ack(int.from_bytes(body, "big"))
                if delivered is not None:
                    self._events.append(delivered)
            case Kind.CERTIFICATE | Kind.REVOKED | Kind.COMPARE | Kind.LEDGER | Kind.TYPING:
                self._events.append(NoticeReceived(decode_notice(kind, body)))

    # --- Greeting, agreement, messages: the conversation's business, moved by our table ----------

    def _attach(self, command: Attach) -> None:
        following = self._machine.allowed(Trigger.ATTACH)
        self._conversing.attach(command)
        self._machine.state = following

    def _accept(self, command: Accept) -> None:
        following = self._machine.allowed(Trigger.ACCEPT)
        self._conversing.accept(command)
        self._machine.state = following
        self._synchronise()

    def _on_hello(self, greeting: Greeting, following: State) -> None:
        self._events.append(self._conversing.on_hello(greeting))
        self._machine.state = following
        self._synchronise()

    def _synchronise(self) -> None:
        """Once both HELLOs accept, say whether our stored session fits theirs (R-8.4.1)."""
        if self._machine.state is State.PENDING and self._conversing.both_accepted:
            self._machine.state = self._machine.following(Trigger.BOTH_ACCEPTED)
            self._timers.grant()
            self._conversing.propose()

    def _send_message(self, command: SendMessage) -> None:
        following = self._machine.allowed(Trigger.SEND)
        self._events.append(self._conversing.send(command.message, now=self._timers.now))
        self._machine.state = following

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
        if self._machine.state is State.CLOSED:
            return
        self._say_goodbye(code)
        self._finish(code, by_peer=False, clean=True, reason=reason)

    def _fail(self, code: ErrorCode, reason: str) -> None:
        self._say_goodbye(code)
        self._finish(code, by_peer=False, clean=False, reason=reason)

    def _say_goodbye(self, code: ErrorCode) -> None:
        if self._peer is not None:
            self._outgoing.goodbye(code)
        else:
            self._opening.refuse(code, now=self._timers.now)

    def _finish(self, code: ErrorCode, *, by_peer: bool, clean: bool, reason: str) -> None:
        self._machine.state = State.CLOSED
        self._incoming.clear()
        if by_peer:
            self._outgoing.discard()
        self._events.append(ConnectionClosed(code, by_peer, clean, reason))

    def _crypto_code(self) -> ErrorCode:
        if self._opener is None:
            return ErrorCode.HANDSHAKE_FAILED
        return ErrorCode.PROTOCOL_VIOLATION

    @property
    def _conversing(self) -> Conversation:
        if self._conversation is None:
            raise LocalProtocolError("the peer is not authenticated", ErrorCode.INTERNAL)
        return self._conversation


_KINDS = frozenset(Kind) - {Kind.REKEY}
_TRIGGERS: dict[Kind, Trigger] = {
    kind: Trigger[kind.name] for kind in Kind if kind is not Kind.REKEY
}


def _require_length(body: bytes, length: int) -> None:
    if len(body) != length:
        raise ProtocolError("a frame's body has the wrong length")
