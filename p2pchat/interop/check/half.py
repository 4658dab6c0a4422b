"""What both halves of a handshake share (protocol.md §4, §5).

A check drives a half message by message, and may put something else in the place of any message
or payload. Whatever the other side sends is held to the rules and noted in the report.
"""

from __future__ import annotations

from typing import Final

from p2pchat.errors import CryptoError, IdentityError, ProtocolError
from p2pchat.identity.certificate import Certificate, parse_and_verify
from p2pchat.interop.check.kit import Kit
from p2pchat.interop.check.report import FailedError
from p2pchat.interop.check.talk import Keys
from p2pchat.interop.check.wire import ANSWER_S, EndedError, Wire, code_name
from p2pchat.interop.forging import session_keys
from p2pchat.interop.personas import Persona
from p2pchat.noise.handshake import HandshakeState
from p2pchat.session.delivery import SessionSeed, ratchet_seed
from p2pchat.session.frames import ClearKind
from p2pchat.session.negotiation import (
    SUITES,
    XX_HFS,
    Offer,
    Suite,
    decode_offer,
)

PADDING: Final = 512


class Half:
    """One side of a handshake; ``knock`` and ``answer`` have the two roles."""

    def __init__(self, kit: Kit, wire: Wire, who: Persona) -> None:
        self.kit = kit
        self.wire = wire
        self.who = who
        self.preamble = b""
        self.suite: Suite = XX_HFS
        self.engine: HandshakeState
        self.peer: Certificate | None = None
        self.first_message = b""

    @property
    def certificate(self) -> bytes:
        """What we present."""
        return self.who.certificate(self.kit.clock.wall_ms()).encoded

    async def noise(self) -> bytes:
        """Return the next Noise message.

        Raises:
            FailedError: It refused, or sent something else.
            EndedError: It ended the connection.
        """
        try:
            frame = await self.wire.frame(ANSWER_S)
        except TimeoutError:
            raise FailedError("no handshake message came") from None
        if frame is None:
            raise EndedError("it ended the connection in the handshake")
        match frame[0]:
            case ClearKind.NOISE:
                return frame[1:]
            case ClearKind.REFUSE:
                told = code_name(int.from_bytes(frame[1:3], "big"))
                raise FailedError(f"it refused the handshake with {told}")
            case ClearKind.RETRY:
                raise FailedError("it answered with RETRY")
            case _:
                raise FailedError(f"a clear frame of kind 0x{frame[0]:02X} came")

    def read(self, message: bytes) -> bytes:
        """Read a Noise message; FailedError if it does not open."""
        try:
            return self.engine.read_message(message)
        except CryptoError as error:
            self.kit.broke(f"a handshake message does not open: {error}", *self._conforming)
            raise FailedError(f"a handshake message of theirs does not open: {error}") from None

    @property
    def _conforming(self) -> tuple[str, ...]:
        return ("R-5.1.1", "R-5.5.1") if self.suite.post_quantum else ("R-5.1.1",)

    def hold_to_layout(self, message: bytes, fixed: int) -> None:
        """Hold a message's length to the tables of §5.1 and §5.5."""
        requirement = "R-5.5.2" if self.suite.post_quantum else "R-5.1.2"
        rest = len(message) - fixed
        if rest < 0 or rest % PADDING:
            self.kit.broke(f"a handshake message has {len(message)} B", requirement)
        else:
            self.kit.saw(requirement)

    def trust(self, encoded: bytes) -> Certificate:
        """Check the other side's certificate; FailedError if it does not hold."""
        try:
            certificate = parse_and_verify(encoded, now_ms=self.kit.clock.wall_ms())
        except (IdentityError, CryptoError) as error:
            self.kit.broke(str(error), "R-5.4.1")
            raise FailedError(f"its certificate: {error}") from None
        self.kit.saw("R-5.4.1")
        if certificate.static != self.engine.remote_static:
            self.kit.broke("its certificate is for another static key", "R-5.4.2")
            raise FailedError("its certificate is for another static key")
        self.kit.saw("R-5.4.2")
        target = self.kit.target
        target.identity, target.static = certificate.identity, certificate.static
        target.certificate = encoded
        self.peer = certificate
        return certificate

    def offer_of(self, encoded: bytes) -> Offer:
        """Read the other side's offer; FailedError if it is malformed."""
        try:
            offer = decode_offer(encoded)
        except ProtocolError as error:
            self.kit.broke(f"its offer: {error}", "R-4.2.3")
            raise FailedError(f"its offer: {error}") from None
        if set(offer.suites) - SUITES.keys() and max(offer.versions) < (1, 1):
            self.kit.broke("it offers a suite that version 1.0 does not have", "R-5.1.10")
        else:
            self.kit.saw("R-5.1.10")
        return offer

    def keys(self, *, initiator: bool) -> Keys:
        """Split; return what the transport and a new session need."""
        split = self.engine.split()
        if self.peer is None:
            raise FailedError("it showed no certificate")
        ours, theirs = self.who.identity.public, self.peer.identity
        first, second = (ours, theirs) if initiator else (theirs, ours)
        keys = session_keys(split.chaining_key.reveal(), split.handshake_hash)
        seed, session_id = ratchet_seed(keys)
        data = split.handshake_hash + first + second
        self.kit.saw(*self._conforming)
        return Keys(split.send, split.receive, SessionSeed(session_id, seed, data), None, None)
