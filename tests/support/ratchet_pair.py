"""Two ends of one ratchet session, joined by nothing but the envelopes that a test carries."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pytest

from p2pchat.crypto import aead, x25519
from p2pchat.crypto.aead import NONCE_LEN
from p2pchat.crypto.kem import EncapsulationKey
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import DecryptionError
from p2pchat.ratchet.double_ratchet import decrypt, encrypt, init_initiator, init_responder
from p2pchat.ratchet.header import Header, seal_prefix
from p2pchat.ratchet.hybrid import Encapsulate
from p2pchat.ratchet.schedule import chain_step
from p2pchat.ratchet.snapshot import encode_state
from p2pchat.ratchet.state import ASSOCIATED_DATA_LEN, Phase, RatchetSeed, RatchetState

ASSOCIATED_DATA = bytes(range(ASSOCIATED_DATA_LEN))


@dataclass
class SeededRng:
    """A reproducible source that remembers what it gave; for tests only."""

    seed: str
    drawn: list[bytes] = field(default_factory=list)

    def __call__(self, count: int) -> bytes:
        label = f"{self.seed}/{len(self.drawn)}".encode()
        self.drawn.append(hashlib.shake_256(label).digest(count))
        return self.drawn[-1]


def no_rng(count: int) -> bytes:
    """Stand where no randomness may be drawn."""
    raise AssertionError(f"{count} random bytes were drawn")


@dataclass
class Party:
    """One end; ``state`` is replaced only by a success, as a store would."""

    state: RatchetState
    rng: Rng
    encapsulate: Encapsulate = EncapsulationKey.encapsulate

    def send(self, plaintext: bytes = b"text", *, kem_due: bool = False) -> bytes:
        self.state, envelope = encrypt(
            self.state, plaintext, rng=self.rng, kem_due=kem_due, encapsulate=self.encapsulate
        )
        return envelope

    def send_many(self, count: int) -> list[bytes]:
        return [self.send(str(number).encode()) for number in range(count)]

    def receive(self, envelope: bytes) -> bytes:
        self.state, plaintext = decrypt(self.state, envelope)
        return plaintext

    def phase(self) -> Phase:
        """A method, since mypy holds a property to its last known value."""
        return self.state.phase

    def can_send(self) -> bool:
        """A method for the same reason."""
        return self.state.can_send

    def refuses(
        self,
        envelope: bytes,
        error: type[DecryptionError] = DecryptionError,
        match: str | None = None,
    ) -> None:
        """Expect a refusal that leaves the state byte-identical (R-6.4.3)."""
        before = encode_state(self.state)
        with pytest.raises(error, match=match):
            self.receive(envelope)
        assert encode_state(self.state) == before


def kem_part(state: RatchetState) -> tuple[int, bytes]:
    """Return the flags and the KEM field of the current sending chain."""
    return state.root.kem.flags, state.root.kem.kem_field


def crafted(sender: Party, flags: int, kem_field: bytes, plaintext: bytes = b"crafted") -> bytes:
    """Return the next message of the sending chain as a peer makes it that breaks the KEM rules.

    All else about it is right; the sender's state stays as it is.
    """
    state, nonce = sender.state, sender.rng(NONCE_LEN)
    sending, pair = state.sending, state.root.ratchet_pair
    assert sending is not None
    assert pair is not None
    header = Header(flags, pair.public, state.root.previous_sent, sending.number, kem_field)
    associated_data = state.root.associated_data
    prefix = seal_prefix(header, sending.header_key, nonce, associated_data)
    message_key, _ = chain_step(sending.chain_key.reveal())
    return prefix + aead.seal(message_key, nonce, plaintext, associated_data + prefix)


def seed_of(label: str) -> RatchetSeed:
    """Return a seed that follows from ``label``."""
    rng = SeededRng(label)
    return RatchetSeed(Secret(rng(32)), Secret(rng(32)), Secret(rng(32)))


def new_pair(
    label: str = "pair", *, associated_data: bytes = ASSOCIATED_DATA
) -> tuple[Party, Party]:
    """Return initiator and responder before the first message."""
    initiator_rng, responder_rng = SeededRng(label + "/initiator"), SeededRng(label + "/responder")
    ratchet_pair = x25519.generate(rng=responder_rng)
    initiator = init_initiator(
        seed_of(label),
        remote_ratchet_key=ratchet_pair.public,
        associated_data=associated_data,
        rng=initiator_rng,
    )
    responder = init_responder(
        seed_of(label), ratchet_pair=ratchet_pair, associated_data=associated_data
    )
    return Party(initiator, initiator_rng), Party(responder, responder_rng)


def open_pair(label: str = "pair") -> tuple[Party, Party]:
    """Return both after one message each way; the initiator has the turn to begin a chain."""
    initiator, responder = new_pair(label)
    responder.receive(initiator.send(b""))
    initiator.receive(responder.send(b""))
    return initiator, responder
