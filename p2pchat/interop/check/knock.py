"""An honest initiator, message by message (protocol.md §4, §5)."""

from __future__ import annotations

from typing import Final

from p2pchat.errors import ProtocolError
from p2pchat.interop.check.half import Half
from p2pchat.interop.check.kit import Kit
from p2pchat.interop.check.report import FailedError
from p2pchat.interop.check.talk import Keys, Talk
from p2pchat.interop.check.wire import Wire
from p2pchat.interop.forging import payload
from p2pchat.interop.personas import Persona
from p2pchat.noise.handshake import HandshakeState
from p2pchat.session.frames import ClearKind, encode_clear
from p2pchat.session.negotiation import (
    OUR_OFFER,
    XX_HFS,
    Offer,
    Suite,
    encode_preamble,
)
from p2pchat.session.payloads import (
    ResponderPayload,
    decode_payload,
)

PADDING: Final = 512


class Knock(Half):
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
        self.hold_to_layout(message, fixed + (1104 if self.suite.post_quantum else 0))
        ephemeral = message[:32]
        kit.fresh("an ephemeral key", ephemeral, "R-5.1.7")
        content = self.read(message)
        try:
            answer = decode_payload(content, ResponderPayload)
        except ProtocolError as error:
            kit.broke(str(error), "R-5.3.1")
            raise FailedError(f"the payload of message 2: {error}") from None
        kit.saw("R-5.3.1")
        kit.fresh("a ratchet key", answer.ratchet, "R-5.3.3")
        if kit.known("an ephemeral key", answer.ratchet):
            kit.broke("its ratchet key is an ephemeral key", "R-5.3.3")
        self.offer_of(answer.offer)
        self.trust(answer.cert)
        self.answer_payload = answer
        return answer

    def message_3(self, content: bytes | None = None) -> bytes:
        """Return message 3 of XX in its frame, with an honest payload unless another is given."""
        content = payload(cert=self.certificate) if content is None else content
        return encode_clear(ClearKind.NOISE, self.engine.write_message(content))

    def talk(self) -> Talk:
        """Begin the transport phase."""
        keys = self.keys(initiator=True)
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
