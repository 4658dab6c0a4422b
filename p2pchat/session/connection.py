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
from p2pchat.errors import CryptoError, ErrorCode, LocalProtocolError, ProtocolError
from p2pchat.session.authentication import Authenticated
from p2pchat.session.credentials import ConnectionConfig
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
    SendMessage,
    SendNotice,
)
from p2pchat.session.exchange import Exchange
from p2pchat.session.frames import FrameBuffer
from p2pchat.session.opening import Opening, Refused
from p2pchat.session.outgoing import Outgoing
from p2pchat.session.records import FrameOpener
from p2pchat.session.states import Machine, State, Trigger
from p2pchat.session.timers import Due, Timers


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
        self._timers = Timers(now)
        self._incoming = FrameBuffer()
        self._ended = False
        self._events: deque[Event] = deque()
        self._outgoing = Outgoing()
        self._machine = Machine(State.AWAIT_MESSAGE_2 if initiator else State.AWAIT_PREAMBLE)
        self._opening = Opening(
            config, self._machine, self._outgoing, initiator=initiator, now_ms=now_ms, rng=rng
        )
        self._exchange = Exchange(
            self._machine,
            self._outgoing,
            self._timers,
            emit=self._events.append,
            cover_interval_s=config.cover_interval_s,
            rng=rng,
        )
        self._peer: Authenticated | None = None
        self._opener: FrameOpener | None = None
        self._held: tuple[int, bytes] | None = None

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
        return self._exchange.peer_identity or self._opening.answering_identity

    @property
    def send_window(self) -> int:
        """How many ``SendMessage`` are allowed now."""
        return self._exchange.window

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
                self._exchange.attach(command)
            case Accept():
                self._exchange.accept(command)
            case SendMessage():
                self._exchange.send_message(command)
            case SendNotice():
                self._exchange.send_notice(command)
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
                self._exchange.ping()

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
                self._exchange.begin(peer)

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
            self._exchange.begin(self._peer)
            self._machine.state = following
        else:
            self._on_frame(kind, body)

    def _on_frame(self, kind: int, body: bytes) -> None:
        goodbye = self._exchange.on_frame(kind, body)
        if goodbye is not None:
            self._finish(goodbye, by_peer=True, clean=True, reason="the peer said goodbye")

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
