"""A Noise engine under a test's command: what only a hostile or later program would say."""

from __future__ import annotations

from typing import Any

from p2pchat.noise.handshake import HandshakeState
from p2pchat.session.codec import encode_map
from p2pchat.session.connection import Connection
from p2pchat.session.frames import (
    ClearKind,
    FrameBuffer,
    encode_clear,
    pad_payload,
)
from p2pchat.session.negotiation import OUR_OFFER, SUITE_XX, Offer, encode_offer, encode_preamble
from tests.support.pairs import (
    NOW_MS,
    Peer,
    person,
)

NAME = "Noise_XX_25519_ChaChaPoly_SHA256"


class Script:
    """A Noise engine under a test's command, facing a real Connection."""

    def __init__(self, *, initiator: bool, offer: Offer = OUR_OFFER, suite: int = SUITE_XX) -> None:
        self.me = person("mallory" if initiator else "bob")
        self.rng = self.me.rng
        self.preamble = encode_preamble(suite, offer)
        self.buffer = FrameBuffer()
        self.initiator = initiator
        self.noise: HandshakeState | None = None
        self.peer = Peer(
            Connection(
                person("alice").config(),
                initiator=not initiator,
                now=0.0,
                now_ms=NOW_MS,
                rng=person("alice").rng,
            )
        )
        if initiator:
            self.start(self.preamble)
        else:
            self.collect()
            self.start(self.buffer.take_preamble() or b"")
            self.read()

    @property
    def engine(self) -> HandshakeState:
        assert self.noise is not None
        return self.noise

    def start(self, prologue: bytes) -> None:
        self.noise = HandshakeState(
            NAME, initiator=self.initiator, prologue=prologue, rng=self.rng, s=self.me.static
        )

    def collect(self) -> None:
        self.buffer.append(self.peer.connection.data_to_send())

    def read(self) -> bytes:
        frame = self.buffer.take_frame()
        assert frame is not None
        assert frame[0] == ClearKind.NOISE
        return self.engine.read_message(frame[1:])

    def deliver(self, data: bytes) -> None:
        self.peer.connection.receive_data(data, now=0.0)
        self.peer.drain()

    def say(self, payload: bytes) -> None:
        self.deliver(encode_clear(ClearKind.NOISE, self.engine.write_message(payload)))

    @property
    def proof(self) -> dict[str, Any]:
        """What an honest end would put into its payload."""
        fields: dict[str, Any] = {"cert": self.me.config().certificate.encoded}
        if not self.initiator:
            fields |= {"offer": encode_offer(OUR_OFFER), "ratchet": self.me.static.public}
        return fields


def speak(*, initiator: bool, payload: bytes) -> Script:
    """Bring a script to its proving message and say ``payload`` there."""
    script = Script(initiator=initiator)
    if initiator:
        script.deliver(script.preamble)
        script.say(b"")
        script.collect()
        script.read()
    script.say(payload)
    return script


def payload_of(initiator: bool, **changes: object) -> bytes:
    fields = Script(initiator=initiator).proof | changes
    return pad_payload(
        encode_map({name: value for name, value in fields.items() if value is not ...})
    )
