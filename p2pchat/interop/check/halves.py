"""An honest half of a handshake in either role, message by message (protocol.md §4, §5).

A check drives it and may put something else in the place of any message or payload. Whatever the
other side sends is held to the rules and noted in the report.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final


from p2pchat.crypto import x25519
from p2pchat.crypto.kdf import hkdf_sha256
from p2pchat.errors import CryptoError, IdentityError, ProtocolError
from p2pchat.identity.certificate import Certificate, parse_and_verify
from p2pchat.interop.check.kit import Kit
from p2pchat.interop.check.report import FailedError
from p2pchat.interop.check.talk import Keys, Talk
from p2pchat.interop.check.wire import ANSWER_S, EndedError, Wire, code_name
from p2pchat.interop.personas import Persona
from p2pchat.noise.handshake import HandshakeState
from p2pchat.session.codec import decode_map, encode_map
from p2pchat.session.delivery import SessionSeed, ratchet_seed
from p2pchat.session.frames import ClearKind, encode_clear, pad_payload, unpad_payload
from p2pchat.session.negotiation import (
    OUR_OFFER,
    SUITES,
    XX_HFS,
    Offer,
    Suite,
    decode_offer,
    decode_preamble,
    encode_offer,
    encode_preamble,
)
from p2pchat.session.payloads import (
    PAYLOAD_MAX_BYTES,
    FirstPayload,
    LastPayload,
    ResponderPayload,
    decode_payload,
)

SEED_LABEL: Final = b"p2pchat/1 ratchet seed"
SEED_LEN: Final = 112
PADDING: Final = 512


def payload(**fields: Any) -> bytes:
    """Return a padded handshake payload."""
    return pad_payload(encode_map(fields))


def retry_prologue(preamble: bytes, first_message: bytes, suite: int) -> bytes:
    """Return the prologue after a RETRY (R-5.6.4)."""
    return preamble + hashlib.sha256(first_message).digest() + b"\x02" + suite.to_bytes(2, "big")


class _Half:
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

    def _read(self, message: bytes) -> bytes:
        try:
            return self.engine.read_message(message)
        except CryptoError as error:
            self.kit.broke(f"a handshake message does not open: {error}", self._conforming)
            raise FailedError(f"a handshake message of theirs does not open: {error}") from None

    @property
    def _conforming(self) -> str:
        return "R-5.5.1" if self.suite.post_quantum else "R-5.1.1"

    def _layout(self, message: bytes, fixed: int) -> None:
        """Hold a message's length to the tables of §5.1 and §5.5."""
        requirement = "R-5.5.2" if self.suite.post_quantum else "R-5.1.2"
        rest = len(message) - fixed
        if rest < 0 or rest % PADDING:
            self.kit.broke(f"a handshake message has {len(message)} B", requirement)
        else:
            self.kit.saw(requirement)

    def _trust(self, encoded: bytes) -> Certificate:
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

    def _offer_of(self, encoded: bytes) -> Offer:
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

    def _keys(self, *, initiator: bool) -> Keys:
        split = self.engine.split()
        if self.peer is None:
            raise FailedError("it showed no certificate")
        ours, theirs = self.who.identity.public, self.peer.identity
        first, second = (ours, theirs) if initiator else (theirs, ours)
        keys = hkdf_sha256(
            salt=split.chaining_key.reveal(),
            input_key=b"",
            info=SEED_LABEL + split.handshake_hash,
            length=SEED_LEN,
        )
        seed, session_id = ratchet_seed(keys)
        data = split.handshake_hash + first + second
        self.kit.saw(self._conforming)
        return Keys(split.send, split.receive, SessionSeed(session_id, seed, data), None, None)


class Knock(_Half):
    """We dial."""

    def __init__(
        self,
        kit: Kit,
        wire: Wire,
        who: Persona,
        *,
        suite: Suite = XX_HFS,
        offer: Offer = OUR_OFFER,
        static: bytes | None = None,
    ) -> None:
        """Prepare; ``static`` is what we take for the responder's static key (IK only)."""
        super().__init__(kit, wire, who)
        self.preamble = encode_preamble(suite.number, offer)
        self.start(suite, self.preamble, static=static)
        self.answer_payload: ResponderPayload

    def start(self, suite: Suite, prologue: bytes, *, static: bytes | None = None) -> None:
        """Begin a handshake, the first or the one after a RETRY."""
        self.suite = suite
        self.engine = HandshakeState(
            suite.noise_name,
            initiator=True,
            prologue=prologue,
            rng=self.kit.rng,
            s=self.who.static,
            rs=static,
        )

    def message_1(self, *, time_ms: int | None = None) -> bytes:
        """Return message 1, with an honest payload; ``time_ms`` is now unless given."""
        content = b""
        if self.suite.knows_responder:
            time_ms = self.kit.clock.wall_ms() if time_ms is None else time_ms
            content = payload(cert=self.certificate, time=time_ms)
        self.first_message = self.engine.write_message(content)
        return self.first_message

    def opening(self) -> bytes:
        """Return preamble and message 1."""
        return self.preamble + encode_clear(ClearKind.NOISE, self.message_1())

    async def answered(self) -> ResponderPayload:
        """Read message 2 and hold it to the rules."""
        kit = self.kit
        message = await self.noise()
        fixed = 32 + 16 + (0 if self.suite.knows_responder else 48)
        self._layout(message, fixed + (1104 if self.suite.post_quantum else 0))
        ephemeral = message[:32]
        kit.fresh("an ephemeral key", ephemeral, "R-5.1.7")
        content = self._read(message)
        try:
            answer = decode_payload(content, ResponderPayload)
        except ProtocolError as error:
            kit.broke(str(error), "R-5.3.1")
            raise FailedError(f"the payload of message 2: {error}") from None
        kit.saw("R-5.3.1")
        kit.fresh("a ratchet key", answer.ratchet, "R-5.3.3")
        if kit.known("an ephemeral key", answer.ratchet):
            kit.broke("its ratchet key is an ephemeral key", "R-5.3.3")
        self._offer_of(answer.offer)
        self._trust(answer.cert)
        self.answer_payload = answer
        return answer

    def message_3(self, content: bytes | None = None) -> bytes:
        """Return message 3 of XX in its frame, with an honest payload unless another is given."""
        content = payload(cert=self.certificate) if content is None else content
        return encode_clear(ClearKind.NOISE, self.engine.write_message(content))

    def talk(self) -> Talk:
        """Begin the transport phase."""
        keys = self._keys(initiator=True)
        return Talk(
            self.kit,
            self.wire,
            Keys(keys.send, keys.receive, keys.seed, None, self.answer_payload.ratchet),
        )

    async def through(self) -> Talk:
        """Do the whole handshake."""
        self.wire.send(self.opening())
        await self.answered()
        if not self.suite.knows_responder:
            self.wire.send(self.message_3())
        return self.talk()


class Answer(_Half):
    """We listen."""

    def __init__(self, kit: Kit, wire: Wire, who: Persona) -> None:
        super().__init__(kit, wire, who)
        self.offer: Offer
        self.ratchet = x25519.generate(rng=kit.rng)
        self.known = False

    async def opened(self) -> None:
        """Read preamble and message 1, and prepare the answer.

        Raises:
            FailedError: They break a rule.
        """
        kit = self.kit
        try:
            self.preamble = await self.wire.preamble()
            preamble = decode_preamble(self.preamble)
        except ProtocolError as error:
            kit.broke(f"its preamble: {error}", "R-4.2.3")
            raise FailedError(f"its preamble: {error}") from None
        kit.saw("R-4.2.3")
        self.offer = self._offer_of(encode_offer(preamble.offer))
        if preamble.suite not in self.offer.suites or preamble.suite not in SUITES:
            kit.broke("its first suite is not one that it offers", "R-4.2.5")
            raise FailedError("its first suite is not one that it offers")
        kit.saw("R-4.2.5")
        self.start(SUITES[preamble.suite], self.preamble)
        await self.read_1()

    def start(self, suite: Suite, prologue: bytes) -> None:
        """Begin a handshake, the first or the one after our RETRY."""
        self.suite = suite
        self.engine = HandshakeState(
            suite.noise_name,
            initiator=False,
            prologue=prologue,
            rng=self.kit.rng,
            s=self.who.static,
        )

    async def read_1(self) -> None:
        """Read message 1 and hold it to the rules."""
        kit = self.kit
        message = self.first_message = await self.noise()
        hybrid, self.known = self.suite.post_quantum, self.suite.knows_responder
        if self.known:
            self._layout(message, 32 + 48 + 16 + (1200 if hybrid else 0))
        elif len(message) != 32 + (1184 if hybrid else 0):
            kit.broke(f"message 1 of XX has {len(message)} B", "R-5.3.2")
            raise FailedError(f"message 1 of XX has {len(message)} B")
        kit.fresh("an ephemeral key", message[:32], "R-5.1.7")
        if hybrid and not self.known:
            kit.fresh("an encapsulation key", message[32:1216], "R-5.5.3")
        content = self._read(message)
        if self.known:
            self._read_first_payload(content)
        kit.saw("R-5.3.2")

    def _read_first_payload(self, content: bytes) -> None:
        first = self._payload(content, FirstPayload)
        try:
            fields = decode_map(unpad_payload(content), max_bytes=PAYLOAD_MAX_BYTES)
        except ProtocolError:
            fields = {}
        if set(fields) - {"cert", "time"}:
            self.kit.broke("message 1 of IK says more than it may", "R-5.3.2")
        self._trust(first.cert)

    def _payload(self, content: bytes, kind: type[Any]) -> Any:
        try:
            read = decode_payload(content, kind)
        except ProtocolError as error:
            self.kit.broke(str(error), "R-5.3.1")
            raise FailedError(f"a handshake payload: {error}") from None
        self.kit.saw("R-5.3.1")
        return read

    def message_2(self, content: bytes | None = None, **changes: Any) -> bytes:
        """Return message 2 in its frame; ``changes`` replace fields of the honest payload."""
        fields = {
            "offer": encode_offer(OUR_OFFER),
            "cert": self.certificate,
            "ratchet": self.ratchet.public,
        } | changes
        content = payload(**fields) if content is None else content
        return encode_clear(ClearKind.NOISE, self.engine.write_message(content))

    async def read_3(self) -> None:
        """Read message 3 and hold it to the rules."""
        message = await self.noise()
        self._layout(message, 64)
        last: LastPayload = self._payload(self._read(message), LastPayload)
        self._trust(last.cert)

    def talk(self) -> Talk:
        """Begin the transport phase."""
        keys = self._keys(initiator=False)
        return Talk(
            self.kit, self.wire, Keys(keys.send, keys.receive, keys.seed, self.ratchet, None)
        )

    async def through(self) -> Talk:
        """Do the rest of the handshake, after ``opened``."""
        self.wire.send(self.message_2())
        if not self.known:
            await self.read_3()
        return self.talk()

    def retry(self, suite: Suite) -> bytes:
        """Return a RETRY for ``suite`` and prepare for what follows it."""
        self.start(suite, retry_prologue(self.preamble, self.first_message, suite.number))
        return encode_clear(ClearKind.RETRY, suite.number.to_bytes(2, "big"))


