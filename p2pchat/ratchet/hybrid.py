"""When the ratchet's root takes in a KEM's secret: the sparse schedule (protocol.md §6.7).

The two sides take turns. Whose turn it is may *offer* an encapsulation key in a sending chain
that it begins; the very next chain, which is the peer's, has to carry the *answer*, and its root
step mixes the secret in. Chains alternate strictly and every message of a chain carries the same
KEM field, so no loss, delay or order of messages lets the two sides disagree: a chain that holds
something else than is due comes from a peer that broke the rules, and is refused.

Pure functions over ``KemSchedule``; they say what is mixed, and ``double_ratchet`` mixes it. Time
is not known here: when an hour has passed the caller says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from p2pchat.constants import KEM_INTERVAL_MESSAGES
from p2pchat.crypto import kem
from p2pchat.crypto.kem import EncapsulationKey, KemKeyPair
from p2pchat.crypto.secret import Rng
from p2pchat.errors import DecryptionError, InvalidKeyError
from p2pchat.ratchet.header import (
    KEM_ANSWER,
    KEM_NONE,
    KEM_OFFER,
    NO_KEM,
    Header,
    answer_field,
    ciphertext_of,
)
from p2pchat.ratchet.schedule import KemExchange

Encapsulate = Callable[[EncapsulationKey], tuple[bytes, bytes]]
"""Makes a ciphertext (1088 bytes) and its shared secret (32 bytes) for a key."""


@dataclass(frozen=True, slots=True)
class Offered:
    """Our sending chain carries our encapsulation key; the peer's next chain must answer it."""

    pair: KemKeyPair = field(repr=False)


@dataclass(frozen=True, slots=True)
class Owed:
    """The receiving chain carries the peer's key; our next chain must answer it."""

    encoded: bytes = field(repr=False)
    key: EncapsulationKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Examine the key, so that only a usable one is ever remembered (R-6.7.5).

        Raises:
            InvalidKeyError: It is not one (FIPS 203 §7.2).
        """
        object.__setattr__(self, "key", EncapsulationKey(self.encoded))


@dataclass(frozen=True, slots=True)
class Answered:
    """Our sending chain carries the ciphertext; its secret is in the root and forgotten."""

    ciphertext: bytes = field(repr=False)


KemStep = Offered | Owed | Answered


@dataclass(frozen=True, slots=True)
class KemSchedule:
    """One side's part in the schedule; changes at DH steps only.

    Attributes:
        initiator: Whether this side initiated the session; it has the first turn.
        completed: Hybrid steps completed so far.
        sent: Messages in those of our sending chains that began and ended since the last of them.
        received_before: Messages that we had received in the session when it was completed.
            Only the side whose turn it is looks at these two counts.
        step: What is under way, if anything.
        flags: Of the headers of our current sending chain; follows from ``step``.
        kem_field: Likewise; 1184 bytes.
    """

    initiator: bool
    completed: int = 0
    sent: int = 0
    received_before: int = 0
    step: KemStep | None = None
    flags: int = field(init=False, repr=False, compare=False)
    kem_field: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare what each header of the chain will say."""
        flags, kem_field = KEM_NONE, NO_KEM
        match self.step:
            case Offered(pair):
                flags, kem_field = KEM_OFFER, pair.public
            case Answered(ciphertext):
                flags, kem_field = KEM_ANSWER, answer_field(ciphertext)
            case Owed() | None:
                pass
            case unreachable:
                assert_never(unreachable)
        object.__setattr__(self, "flags", flags)
        object.__setattr__(self, "kem_field", kem_field)

    @property
    def is_our_turn(self) -> bool:
        """Whether an offer would be ours to make (R-6.7.1)."""
        return self.initiator == (self.completed % 2 == 0)


def begin_sending(
    schedule: KemSchedule, *, due: bool, received: int, rng: Rng, encapsulate: Encapsulate
) -> tuple[KemSchedule, KemExchange | None]:
    """Decide what a new sending chain carries (R-6.7.2, R-6.7.3).

    Args:
        schedule: Current schedule, while there is no sending chain.
        due: The caller's wish for a step, whatever the messages since the last.
        received: Messages received in the session.
        rng: Called once, for the 64 bytes of a KEM seed, if this chain makes an offer.
        encapsulate: Called once if this chain has to answer one.

    Returns:
        The successor, and what the chain's root step mixes in.
    """
    if isinstance(schedule.step, Owed):
        ciphertext, shared_secret = encapsulate(schedule.step.key)
        exchange = KemExchange(shared_secret, schedule.step.encoded, ciphertext)
        return _completed(schedule, received, Answered(ciphertext)), exchange
    since = schedule.sent + received - schedule.received_before
    if schedule.is_our_turn and (due or since >= KEM_INTERVAL_MESSAGES):
        return _with_step(schedule, schedule.sent, Offered(kem.generate(rng=rng))), None
    return schedule, None


def begin_receiving(
    schedule: KemSchedule, header: Header, *, sent: int, received: int
) -> tuple[KemSchedule, KemExchange | None]:
    """Take what a new receiving chain carries; it ends our sending chain (R-6.7.4).

    Args:
        schedule: Current schedule, while our sending chain stands.
        header: Of the message that begins the chain.
        sent: Messages in our sending chain.
        received: Messages received in the session before this one.

    Returns:
        The successor, and what the chain's root step mixes in.

    Raises:
        DecryptionError: It is not what is due, or the key offered is not one.
    """
    offer = schedule.step if isinstance(schedule.step, Offered) else None
    if header.flags == KEM_ANSWER:
        if offer is None:
            raise DecryptionError("the new chain answers an offer that was not made")
        ciphertext = ciphertext_of(header.kem_field)
        exchange = KemExchange(offer.pair.decapsulate(ciphertext), offer.pair.public, ciphertext)
        return _completed(schedule, received, None), exchange
    if offer is not None:
        raise DecryptionError("the new chain does not answer our offer")
    total = schedule.sent + sent
    if header.flags == KEM_NONE:
        return _with_step(schedule, total, None), None
    if schedule.is_our_turn:
        raise DecryptionError("the peer offers a key out of turn")
    try:
        return _with_step(schedule, total, Owed(header.kem_field)), None
    except InvalidKeyError as error:
        raise DecryptionError("the encapsulation key offered is not one") from error


def _completed(schedule: KemSchedule, received: int, step: Answered | None) -> KemSchedule:
    return KemSchedule(
        initiator=schedule.initiator,
        completed=schedule.completed + 1,
        sent=0,
        received_before=received,
        step=step,
    )


def _with_step(schedule: KemSchedule, sent: int, step: KemStep | None) -> KemSchedule:
    return KemSchedule(
        initiator=schedule.initiator,
        completed=schedule.completed,
        sent=sent,
        received_before=schedule.received_before,
        step=step,
    )
