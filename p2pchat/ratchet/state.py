"""What one side of the Double Ratchet remembers (protocol.md §6.2).

Everything is immutable: an operation returns a new ``RatchetState`` that shares all parts which
it did not change. The parts are cut by how often they change: ``Root`` at a DH step, the chains
at each message, the skipped keys when messages come out of order.

The sending half of a DH step is deferred until something is sent (Signal's revision 4 allows
it), and our ratchet private key is dropped as soon as the receiving half has used it. So a state
is in one of four phases, and no other combination of parts exists:

=====================  ==============  ==========  =========  ===========
phase                  ratchet pair    remote key  sending    receiving
=====================  ==============  ==========  =========  ===========
AWAITING_FIRST         fresh           none        none       none
INITIATED              fresh           known       yes        none
TO_REPLY               none            known       none       yes
REPLIED                fresh           known       yes        yes
=====================  ==============  ==========  =========  ===========

What belongs to the hybrid steps is ``hybrid.KemSchedule``'s: in TO_REPLY an answer may be owed,
in REPLIED an offer or an answer may be in the sending chain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from p2pchat.constants import HASH_LEN, KEY_LEN
from p2pchat.crypto.secret import Secret
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.ratchet import skipped as skipped_keys
from p2pchat.ratchet.header import CHAIN_MAX_MESSAGES
from p2pchat.ratchet.hybrid import KemSchedule
from p2pchat.ratchet.schedule import HeaderKey
from p2pchat.ratchet.skipped import SkippedKeys

ASSOCIATED_DATA_LEN: Final = HASH_LEN + 2 * KEY_LEN
"""Handshake hash ‖ initiator identity ‖ responder identity; 96 bytes."""


@dataclass(frozen=True, slots=True)
class RatchetSeed:
    """What the handshake gives both sides (§6.1); three times 32 bytes."""

    root_key: Secret
    header_key_initiator: Secret
    next_header_key: Secret

    def __post_init__(self) -> None:
        """Refuse keys of another length: a fault of the caller, not of a peer."""
        for key in (self.root_key, self.header_key_initiator, self.next_header_key):
            if len(key) != KEY_LEN:
                raise ValueError(f"a ratchet seed's keys have {KEY_LEN} bytes, not {len(key)}")


class Phase(IntEnum):
    """Which parts a state has; the values stand in snapshots."""

    AWAITING_FIRST = 0
    """The responder, before the first message: cannot send."""
    INITIATED = 1
    """The initiator, before the first answer."""
    TO_REPLY = 2
    """Received since the last DH step: the next message sent begins a chain."""
    REPLIED = 3
    """Sent since the last DH step: the peer may begin a chain."""


@dataclass(frozen=True, slots=True)
class Root:
    """The part that changes at DH steps only.

    Attributes:
        associated_data: Handshake hash ‖ initiator identity ‖ responder identity; 96 bytes.
        root_key: Signal's RK.
        ratchet_pair: Signal's DHs; ``None`` between the halves of a DH step.
        remote_key: Signal's DHr; 32 bytes, ``None`` before the first message.
        next_sending_header_key: Signal's NHKs.
        next_receiving_header_key: Signal's NHKr.
        previous_sent: Signal's PN: messages in the sending chain before the current (or, between
            the halves of a DH step, before the next) one.
        chains_received: Receiving chains begun so far; numbers the current one.
        kem: Where the schedule of hybrid steps stands.
    """

    associated_data: bytes
    root_key: Secret
    ratchet_pair: KeyPair | None = field(repr=False)
    remote_key: bytes | None = field(repr=False)
    next_sending_header_key: HeaderKey
    next_receiving_header_key: HeaderKey
    previous_sent: int
    chains_received: int
    kem: KemSchedule


@dataclass(frozen=True, slots=True)
class Chain:
    """A sending or receiving chain.

    Attributes:
        chain_key: Signal's CKs or CKr.
        header_key: Signal's HKs or HKr.
        number: Signal's Ns or Nr: number of the next message.
    """

    chain_key: Secret
    header_key: HeaderKey
    number: int


@dataclass(frozen=True, slots=True, repr=False)
class RatchetState:
    """One side's whole state; see the module's text for the combinations that exist.

    Attributes:
        root: The part that changes at DH steps.
        sending: The current sending chain, once begun.
        receiving: The current receiving chain, once begun.
        skipped: Keys of messages not received yet.
        received: Messages received in the whole session.
    """

    root: Root
    sending: Chain | None
    receiving: Chain | None
    skipped: SkippedKeys
    received: int

    @property
    def phase(self) -> Phase:
        """Which of the four combinations of parts this is."""
        if self.sending is None:
            return Phase.AWAITING_FIRST if self.receiving is None else Phase.TO_REPLY
        return Phase.INITIATED if self.receiving is None else Phase.REPLIED

    @property
    def can_send(self) -> bool:
        """Whether ``encrypt`` would succeed (R-6.2.3, R-6.4.2)."""
        if self.sending is None:
            return self.receiving is not None
        return self.sending.number < CHAIN_MAX_MESSAGES

    @property
    def kem_steps(self) -> int:
        """How many hybrid steps this side has completed in the session (§6.7)."""
        return self.root.kem.completed

    @property
    def skipped_count(self) -> int:
        """How many skipped message keys are stored."""
        return skipped_keys.count(self.skipped)

    def __repr__(self) -> str:
        return (
            f"<RatchetState {self.phase.name} chains={self.root.chains_received} "
            f"received={self.received} skipped={self.skipped_count}>"
        )
