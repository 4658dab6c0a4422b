"""An honest responder, message by message (protocol.md §4, §5)."""

from __future__ import annotations

from typing import Any, Final

from p2pchat.crypto import x25519
from p2pchat.errors import ProtocolError
from p2pchat.interop.check.half import Half
from p2pchat.interop.check.kit import Kit
from p2pchat.interop.check.report import FailedError
from p2pchat.interop.check.talk import Keys, Talk
from p2pchat.interop.check.wire import Wire
from p2pchat.interop.forging import payload, retry_prologue
from p2pchat.interop.personas import Persona
from p2pchat.noise.handshake import HandshakeState
from p2pchat.session.codec import decode_map
from p2pchat.session.frames import ClearKind, encode_clear, unpad_payload
from p2pchat.session.negotiation import (
    OUR_OFFER,
    SUITES,
    Offer,
    Suite,
    decode_preamble,
    encode_offer,
)
from p2pchat.session.payloads import (
    PAYLOAD_MAX_BYTES,
    FirstPayload,
    LastPayload,
    decode_payload,
)

PADDING: Final = 512


class Answer(Half):
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
        self.offer = self.offer_of(encode_offer(preamble.offer))
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
            self.hold_to_layout(message, 32 + 48 + 16 + (1200 if hybrid else 0))
        elif len(message) != 32 + (1184 if hybrid else 0):
            kit.broke(f"message 1 of XX has {len(message)} B", "R-5.3.2")
            raise FailedError(f"message 1 of XX has {len(message)} B")
        kit.fresh("an ephemeral key", message[:32], "R-5.1.7")
        if hybrid and not self.known:
            kit.fresh("an encapsulation key", message[32:1216], "R-5.5.3")
        content = self.read(message)
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
        self.trust(first.cert)

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
        self.hold_to_layout(message, 64)
        last: LastPayload = self._payload(self.read(message), LastPayload)
        self.trust(last.cert)

    def talk(self) -> Talk:
        """Begin the transport phase."""
        keys = self.keys(initiator=False)
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
