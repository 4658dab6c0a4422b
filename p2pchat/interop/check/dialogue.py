"""An honest conversation: greet, agree, send and take envelopes (protocol.md §8.3 to §8.5).

Keeps the session as a store would, in the kit, by persona. Whether it acknowledges is the check's
choice; everything that comes is held to the rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from p2pchat.constants import ENVELOPE_MAX_BYTES, GREETING_MAX_BYTES
from p2pchat.crypto.secret import Rng
from p2pchat.errors import CryptoError, ErrorCode, ProtocolError
from p2pchat.interop.check.kit import Kit
from p2pchat.interop.check.report import FailedError, NotReachedError
from p2pchat.interop.check.talk import Talk, kind_name
from p2pchat.interop.check.wire import ANSWER_S, EndedError, code_name
from p2pchat.interop.personas import Persona
from p2pchat.session import delivery
from p2pchat.session.codec import decode_map
from p2pchat.session.delivery import Envelope, SessionState, SessionSummary
from p2pchat.session.frames import BODY_MAX_BYTES, Kind
from p2pchat.session.greeting import Greeting, decode_greeting, encode_greeting
from p2pchat.session.messages import Text, decode_message, encode_message

ACCEPT_S = 3.0
"""How long a person, or who stands for one, may take to accept us."""


class Dialogue:
    """Our side of one authenticated connection.

    Attributes:
        acknowledged: The greatest index that they have acknowledged.
        acks: How many ACKs came.
        texts: What came, in order.
        arrived: Index and bytes of all envelopes that came, repeated ones too.
        acknowledges: Whether we acknowledge what comes.
        ended: The connection is over.
    """

    def __init__(self, talk: Talk, who: Persona) -> None:
        self.talk = talk
        self.who = who
        self.kit: Kit = talk.kit
        self.session: SessionState | None = None
        self.greeting: Greeting | None = None
        self.hello: dict[str, Any] = {}
        self.acknowledged = 0
        self.acks = 0
        self.texts: list[Text] = []
        self.arrived: list[tuple[int, bytes]] = []
        self.acknowledges = True
        self.ended = False
        self._parts: list[bytes] = []

    @property
    def rng(self) -> Rng:
        """Our randomness."""
        return self.kit.rng

    # --- greeting -----------------------------------------------------------------------------

    def our_hello(self, session: SessionSummary | None = None, *, note: str = "") -> bytes:
        """Return a HELLO that accepts."""
        greeting = Greeting(True, self.who.name, note, session)
        return self.talk.pack(Kind.HELLO, encode_greeting(greeting))

    async def their_hello(self, within: float = ANSWER_S) -> Greeting:
        """Read a HELLO and hold it to the rules."""
        _, body = await self.talk.expect(Kind.HELLO, within=within)
        try:
            self.greeting = decode_greeting(body)
            self.hello = decode_map(body, max_bytes=GREETING_MAX_BYTES)
        except ProtocolError as error:
            raise FailedError(f"its HELLO: {error}") from None
        if not self.greeting.accepted:
            if set(self.hello) != {"accepted"}:
                self.kit.broke("a HELLO that does not accept says more than that", "R-8.3.1")
            else:
                self.kit.saw("R-8.3.1")
        return self.greeting

    async def greet(self, *, stored: SessionSummary | None = None) -> None:
        """Exchange HELLOs until both accept.

        Raises:
            NotReachedError: They do not accept us.
        """
        self.talk.send(self.our_hello(stored))
        greeting = await self.their_hello()
        if not greeting.accepted:
            try:
                greeting = await self.their_hello(ACCEPT_S)
            except FailedError:
                self.kit.target.accepts = self.kit.target.accepts or False
                raise NotReachedError(
                    f"it has not accepted {self.who.name} ({self.who.peer_id}) as a contact"
                ) from None
        self.kit.target.accepts = True

    async def agree(self, *, resume: bool) -> bool:
        """Say RESUME or RESET, read theirs, begin or go on; return whether both resume."""
        self.talk.send(self.talk.pack(Kind.RESUME if resume else Kind.RESET))
        kind, body = await self.talk.expect(Kind.RESUME, Kind.RESET)
        if body:
            raise FailedError(f"{kind_name(kind)} has a body")
        theirs = kind == Kind.RESUME
        if resume and theirs:
            await self._go_on()
            return True
        self.begin()
        return False

    async def _go_on(self) -> None:
        session = self.kit.sessions[self.who.name]
        summary = self.greeting.session if self.greeting else None
        if summary is None:
            raise FailedError("it says RESUME, and its HELLO names no session")
        session, _ = delivery.acknowledge(session, summary.received)
        self.acknowledged = summary.received
        self._keep(session)
        for envelope in session.unacknowledged:
            self.talk.send(*self.frames(envelope.index, envelope.envelope))

    def begin(self) -> None:
        """Make a new session of this handshake; as the initiator, send its first envelope."""
        keys = self.talk.keys
        if keys.ratchet_key is not None:
            session, first = delivery.start_initiator(keys.seed, keys.ratchet_key, rng=self.rng)
            self._keep(session)
            self.talk.send(*self.frames(first.index, first.envelope))
        elif keys.ratchet_pair is not None:
            self._keep(delivery.start_responder(keys.seed, keys.ratchet_pair))

    async def open(self) -> bool:
        """Greet and agree; resume what is stored if both can, and return whether that is so."""
        stored = self.kit.sessions.get(self.who.name)
        await self.greet(stored=None if stored is None else delivery.summarise(stored))
        theirs = self.greeting.session if self.greeting else None
        fits = stored is not None and theirs is not None and delivery.can_resume(stored, theirs)
        return await self.agree(resume=fits)

    def _keep(self, session: SessionState) -> None:
        self.session = self.kit.sessions[self.who.name] = session

    @property
    def state(self) -> SessionState:
        """The session."""
        if self.session is None:
            raise NotReachedError("there is no session")
        return self.session

    # --- envelopes ----------------------------------------------------------------------------

    def text(self, body: str) -> Text:
        """Return a new text."""
        return Text(self.kit.rng(16), self.kit.clock.wall_ms(), body)

    def seal(self, content: bytes) -> Envelope:
        """Seal content into the next envelope, which is not sent yet."""
        session, envelope = delivery.seal(self.state, content, None, rng=self.rng)
        self._keep(session)
        return envelope

    def frames(self, index: int, envelope: bytes) -> list[bytes]:
        """Return an envelope's frames."""
        whole = index.to_bytes(8, "big") + envelope
        cuts = range(0, len(whole), BODY_MAX_BYTES)
        kinds = [Kind.RATCHET_PART] * (len(cuts) - 1) + [Kind.RATCHET]
        return [
            self.talk.pack(kind, whole[cut : cut + BODY_MAX_BYTES])
            for kind, cut in zip(kinds, cuts, strict=True)
        ]

    def say(self, content: bytes | str) -> int:
        """Send a text, or other content; return its envelope's index."""
        if isinstance(content, str):
            content = encode_message(self.text(content))
        envelope = self.seal(content)
        self.talk.send(*self.frames(envelope.index, envelope.envelope))
        return envelope.index

    async def until(self, done: Callable[[], bool], what: str, *, within: float = ANSWER_S) -> None:
        """Take what comes until something is so.

        Raises:
            FailedError: It did not come to that.
        """
        try:
            async with asyncio.timeout(within):
                while not done():
                    await self._take_one()
        except TimeoutError:
            raise FailedError(f"{what} did not come") from None
        except EndedError as error:
            raise FailedError(f"{what} was due: {error}") from None

    async def acknowledgement(self, index: int) -> None:
        """Wait until they have acknowledged ``index``."""
        await self.until(lambda: self.acknowledged >= index, f"an ACK of envelope {index}")

    async def echo(self, body: str, *, within: float = ANSWER_S) -> None:
        """Wait for a text."""
        await self.until(
            lambda: self.echoes(body) > 0,
            f"the echo of {body!r}",
            within=within,
        )

    def echoes(self, body: str) -> int:
        """Count the texts that repeat ``body``; they may put something before it."""
        return sum(text.body.endswith(body) for text in self.texts)

    async def settle(self, within: float = 0.25) -> None:
        """Take what comes until it is quiet, or over."""
        try:
            while True:
                await self._take_one(within)
        except (TimeoutError, EndedError):
            pass

    async def _take_one(self, within: float = ANSWER_S) -> None:
        frame = await self.talk.receive(within)
        if frame is None:
            self.ended = True
            raise EndedError("it ended the connection")
        kind, body = frame
        match kind:
            case Kind.PING:
                self.talk.send(self.talk.pack(Kind.PONG, body))
            case Kind.CLOSE:
                self.ended = True
                raise EndedError(f"it closed with {code_name(self.talk.code or 0)}")
            case Kind.ACK:
                self._acknowledged(body)
            case Kind.RATCHET_PART:
                self._parts.append(body)
                if sum(map(len, self._parts)) > ENVELOPE_MAX_BYTES:
                    raise FailedError("the parts of an envelope of theirs exceed its limit")
            case Kind.RATCHET:
                whole = b"".join((*self._parts, body))
                self._parts.clear()
                self._envelope(int.from_bytes(whole[:8], "big"), whole[8:])
            case Kind.PONG:
                pass
            case _ if kind < 0x80:
                raise FailedError(f"{kind_name(kind)} came in an open session")

    def _acknowledged(self, body: bytes) -> None:
        index = int.from_bytes(body, "big")
        try:
            session, _ = delivery.acknowledge(self.state, index)
        except ProtocolError as error:
            self.kit.broke(str(error), "R-8.5.5")
            raise FailedError(f"an ACK of {index}: {error}") from None
        self.kit.saw("R-8.5.5")
        self._keep(session)
        self.acknowledged = max(self.acknowledged, index)
        self.acks += 1

    def _envelope(self, index: int, envelope: bytes) -> None:
        kit = self.kit
        repeated = index <= self.state.received
        self.arrived.append((index, envelope))
        if not repeated:
            kit.fresh("an envelope's nonce", envelope[1:13], "R-6.3.3")
        try:
            opened = delivery.open_envelope(self.state, index, envelope)
        except CryptoError as error:
            kit.broke(f"an envelope does not open: {error}", "R-6.3.2", "R-6.4.1")
            raise FailedError(f"envelope {index} does not open: {error}") from None
        except ProtocolError as error:
            kit.broke(f"envelope {index}: {error}", "R-8.5.5")
            raise FailedError(f"envelope {index}: {error}") from None
        if opened is not None:
            session, content = opened
            self._keep(session)
            kit.saw("R-6.1.1", "R-6.1.2", "R-6.3.1", "R-6.3.2", "R-6.4.1")
            self._content(content)
        if self.acknowledges:
            ack = self.state.received.to_bytes(8, "big")
            self.talk.send(self.talk.pack(Kind.ACK, ack))

    def _content(self, content: bytes) -> None:
        if not content:
            return
        try:
            message = decode_message(content)
        except ProtocolError as error:
            self.kit.broke(f"a message of theirs: {error}", "R-9.1.1")
            raise FailedError(f"a message of theirs: {error}") from None
        if isinstance(message, Text):
            self.texts.append(message)

    async def leave(self) -> None:
        """Say goodbye, as an honest side does, and break off."""
        self.talk.send(self.talk.pack(Kind.CLOSE, ErrorCode.NORMAL.to_bytes(2, "big")))
        self.talk.wire.end()
        await self.talk.wire.closes(ANSWER_S)
        self.talk.wire.close()
