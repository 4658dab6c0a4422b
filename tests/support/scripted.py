"""A Noise engine under a test's command: what only a hostile or later program would say."""

from __future__ import annotations

from typing import Any

from p2pchat.noise.handshake import HandshakeState
from p2pchat.session.codec import encode_map
from p2pchat.session.connection import Connection
from p2pchat.session.frames import (
    ClearKind,
    FrameBuffer,
    Kind,
    encode_clear,
    encode_frame,
    encode_inner,
    pad_payload,
)
from p2pchat.session.negotiation import (
    OUR_OFFER,
    XX_HFS,
    Offer,
    Suite,
    encode_offer,
    encode_preamble,
)
from tests.support.pairs import ALL_SUITES, NOW_MS, Peer, offer_of, person


def changes_id(changes: object) -> str:
    """Name changed fields in a parametrised test: short, and without what a tool would escape."""
    return str(changes).replace("\\x", "")[:40]


class Script:
    """A Noise engine under a test's command, facing a real Connection."""

    def __init__(
        self,
        *,
        initiator: bool,
        offer: Offer = OUR_OFFER,
        suite: Suite = XX_HFS,
        theirs: Offer | None = None,
    ) -> None:
        self.me = person("mallory" if initiator else "bob")
        self.rng = self.me.rng
        self.suite = suite
        self.preamble = encode_preamble(suite.number, offer)
        self.buffer = FrameBuffer()
        self.initiator = initiator
        self.noise: HandshakeState | None = None
        alice = person("alice")
        knows = self.me.static.public if suite.knows_responder and not initiator else None
        self.peer = Peer(
            Connection(
                alice.config(
                    offer=theirs
                    or offer_of(*(o for o in ALL_SUITES if o.strength == suite.strength)),
                    knows=knows,
                ),
                initiator=not initiator,
                now=0.0,
                now_ms=NOW_MS,
                rng=alice.rng,
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

    def start(self, prologue: bytes, suite: Suite | None = None) -> None:
        suite = suite or self.suite
        knows = self.initiator and suite.knows_responder
        self.noise = HandshakeState(
            suite.noise_name,
            initiator=self.initiator,
            prologue=prologue,
            rng=self.rng,
            s=self.me.static,
            rs=person("alice").static.public if knows else None,
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
        elif self.suite.knows_responder:
            fields["time"] = NOW_MS
        return fields

    def confirm(self) -> None:
        """Send a first transport frame, which an honest initiator of IK does by its HELLO."""
        self.collect()
        self.read()
        cipher = self.engine.split().send
        self.deliver(encode_frame(cipher.encrypt_with_ad(b"", encode_inner(Kind.PING, bytes(8)))))


def speak(*, initiator: bool, payload: bytes, suite: Suite = XX_HFS) -> Script:
    """Bring a script to its proving message and say ``payload`` there."""
    script = Script(initiator=initiator, suite=suite)
    if initiator:
        script.deliver(script.preamble)
    if initiator and not suite.knows_responder:
        script.say(b"")
        script.collect()
        script.read()
    script.say(payload)
    return script


def payload_of(initiator: bool, suite: Suite = XX_HFS, **changes: object) -> bytes:
    """The payload of an honest end's proving message, with changes; ``...`` leaves a field out."""
    fields = Script(initiator=initiator, suite=suite).proof | changes
    return pad_payload(
        encode_map({name: value for name, value in fields.items() if value is not ...})
    )
