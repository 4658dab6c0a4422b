"""Two ends of a ratchet session and a network that does to their messages what it likes.

A plain model without any cryptography predicts for every delivery whether it must open, from
protocol.md §6.4, §6.5 and §6.7 alone. Six invariants: each authentic delivery within bounds
decrypts exactly once; a forgery, or a KEM part that is not due, leaves the snapshot
byte-identical; stored keys stay under the cap; no (key, nonce) pair is ever used for two seals;
both ends are where the schedule of hybrid steps has them; no size shows a step. The machine runs
with the real limits, and with limits so small that ordinary runs meet all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from p2pchat import constants
from p2pchat.crypto import aead, kem
from p2pchat.errors import DecryptionError, LocalProtocolError, TooManySkippedError
from p2pchat.ratchet import double_ratchet, hybrid, skipped, snapshot
from p2pchat.ratchet.header import (
    KEM_ANSWER,
    KEM_NONE,
    KEM_OFFER,
    NO_KEM,
    PREFIX_LEN,
    answer_field,
)
from p2pchat.ratchet.hybrid import Answered, KemStep, Offered, Owed
from p2pchat.ratchet.snapshot import decode_state, encode_state
from tests.support.ratchet_pair import Party, SeededRng, crafted, new_pair

import pytest  # isort: skip

KEY = kem.generate(rng=SeededRng("another key")).public
KEM_FIELDS = {KEM_NONE: NO_KEM, KEM_OFFER: KEY, KEM_ANSWER: answer_field(bytes(1088))}
"""Well formed, and of nobody's making."""


@dataclass(frozen=True)
class Limits:
    """The four figures of §6.5, and that of §6.7."""

    skip: int = constants.MAX_SKIP
    stored: int = constants.MAX_STORED_SKIPPED_KEYS
    chains: int = constants.SKIPPED_KEY_MAX_CHAINS
    messages: int = constants.SKIPPED_KEY_MAX_MESSAGES
    interval: int = constants.KEM_INTERVAL_MESSAGES


@dataclass(frozen=True)
class Message:
    """An envelope in flight, and what the model knows of it."""

    envelope: bytes
    plaintext: bytes
    chain: int
    previous_length: int
    number: int
    kem: int


@dataclass
class Model:
    """What one end must know, in counters only: §6.2 without its keys."""

    limits: Limits
    initiator: bool
    may_begin_chain: bool
    sending_chain: int = 0
    sent: int = 0
    previous_sent: int = 0
    chain: int = 0
    expected: int = 0
    received: int = 0
    stored: dict[tuple[int, int], int] = field(default_factory=dict)
    kem: int = KEM_NONE
    owes_answer: bool = False
    steps: int = 0
    since_step: int = 0

    @property
    def has_turn(self) -> bool:
        return self.initiator == (self.steps % 2 == 0)

    @property
    def kem_step(self) -> type[KemStep] | None:
        if self.owes_answer:
            return Owed
        return {KEM_NONE: None, KEM_OFFER: Offered, KEM_ANSWER: Answered}[self.kem]

    @property
    def can_send(self) -> bool:
        return self.may_begin_chain or self.sent > 0

    def send(self, kem_due: bool) -> tuple[int, int, int, int]:
        """Return chain, length of the previous one, number and flags of the next message."""
        if self.may_begin_chain:
            self.may_begin_chain = False
            self.sending_chain += 1
            self.previous_sent, self.sent = self.sent, 0
            if self.owes_answer:
                self.kem, self.owes_answer = KEM_ANSWER, False
                self.steps, self.since_step = self.steps + 1, 0
            elif self.has_turn and self.sending_chain > self.initiator:
                due = kem_due or self.since_step >= self.limits.interval
                self.kem = KEM_OFFER if due else KEM_NONE
        self.sent += 1
        self.since_step += 1
        return self.sending_chain, self.previous_sent, self.sent - 1, self.kem

    def receive(self, message: Message) -> type[DecryptionError] | None:
        """Return why the message must be refused; or take it, and return ``None``."""
        key = (message.chain, message.number)
        skips: list[tuple[int, int]] = []
        if message.chain == self.chain + 1:
            missing = message.previous_length - self.expected if self.chain else 0
            if message.number > self.limits.skip or missing > self.limits.skip:
                return TooManySkippedError
            skips = [(self.chain, self.expected + n) for n in range(missing)]
            skips += [(message.chain, n) for n in range(message.number)]
            self.chain, self.expected = message.chain, message.number + 1
            self.may_begin_chain = True
            if message.kem == KEM_ANSWER:
                assert self.kem == KEM_OFFER, "a peer that keeps the rules"
                self.steps, self.since_step = self.steps + 1, 0
            self.kem, self.owes_answer = KEM_NONE, message.kem == KEM_OFFER
        elif message.chain == self.chain and message.number >= self.expected:
            if message.number - self.expected > self.limits.skip:
                return TooManySkippedError
            skips = [(self.chain, n) for n in range(self.expected, message.number)]
            self.expected = message.number + 1
        elif key in self.stored:
            del self.stored[key]
        else:
            return DecryptionError
        self.received += 1
        self.since_step += 1
        self.stored |= dict.fromkeys(skips, self.received)
        for oldest in sorted(self.stored)[: max(0, len(self.stored) - self.limits.stored)]:
            del self.stored[oldest]
        self.stored = {
            (chain, number): at
            for (chain, number), at in self.stored.items()
            if self.chain - chain < self.limits.chains and self.received - at < self.limits.messages
        }
        return None


class RecordingAead:
    """ChaCha20-Poly1305 that notes each (key, nonce) it seals under; opening is as ever."""

    def __init__(self, seals: list[tuple[bytes, bytes]], key: bytes) -> None:
        self._seals, self._key, self._aead = seals, key, ChaCha20Poly1305(key)

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        self._seals.append((self._key, nonce))
        return self._aead.encrypt(nonce, data, associated_data)

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        return self._aead.decrypt(nonce, data, associated_data)


ends = st.integers(0, 1)
choices = st.integers(0, 2**16)


class RatchetMachine(RuleBasedStateMachine):
    """End 0 is the initiator; ``flying[e]`` is on its way to end ``e``."""

    limits = Limits()

    def __init__(self) -> None:
        super().__init__()
        self.seals: list[tuple[bytes, bytes]] = []
        self.patches: list[Any] = [
            mock.patch.object(aead, "ChaCha20Poly1305", lambda key: RecordingAead(self.seals, key)),
            mock.patch.object(double_ratchet, "MAX_SKIP", self.limits.skip),
            mock.patch.object(hybrid, "KEM_INTERVAL_MESSAGES", self.limits.interval),
        ]
        for module in (skipped, snapshot):
            self.patches += [
                mock.patch.object(module, "MAX_STORED_SKIPPED_KEYS", self.limits.stored),
                mock.patch.object(module, "SKIPPED_KEY_MAX_CHAINS", self.limits.chains),
                mock.patch.object(module, "SKIPPED_KEY_MAX_MESSAGES", self.limits.messages),
            ]
        for patch in self.patches:
            patch.start()
        self.flying: tuple[list[Message], list[Message]] = ([], [])
        self.delivered: tuple[list[Message], list[Message]] = ([], [])
        self.count = 0

    def teardown(self) -> None:
        for patch in self.patches:
            patch.stop()

    @initialize(label=st.integers(0, 7))
    def meet(self, label: int) -> None:
        self.parties: tuple[Party, Party] = new_pair(str(label))
        self.models = (Model(self.limits, True, True), Model(self.limits, False, False))

    # --- what the ends do -------------------------------------------------------------------------

    @rule(end=ends, burst=st.integers(1, 9), kem_due=st.booleans())
    def send(self, end: int, burst: int, kem_due: bool) -> None:
        party, model = self.parties[end], self.models[end]
        assert party.state.can_send == model.can_send
        if not model.can_send:
            with pytest.raises(LocalProtocolError):
                party.send()
            return
        for _ in range(burst):
            self.count += 1
            plaintext = b"%d" % self.count * (self.count % 7)
            envelope = party.send(plaintext, kem_due=kem_due)
            assert len(envelope) == len(plaintext) + 1270
            message = Message(envelope, plaintext, *model.send(kem_due))
            self.flying[1 - end].append(message)

    @rule(end=ends)
    def snapshot_and_restore(self, end: int) -> None:
        party = self.parties[end]
        stored = encode_state(party.state)
        restored = decode_state(stored)
        assert restored == party.state
        assert encode_state(restored) == stored
        party.state = restored

    @rule(kem_due=st.booleans())
    def round_trip(self, kem_due: bool) -> None:
        """New chains both ways, whatever else is still in flight."""
        for end in (0, 1):
            self.send(end, 1, kem_due)
            if self.flying[1 - end]:
                self.deliver_newest(1 - end)

    # --- what the network does --------------------------------------------------------------------

    def something_flies(self) -> bool:
        return any(self.flying)

    def towards(self, end: int) -> int:
        """Return ``end``, or the other one if nothing is on its way to ``end``."""
        return end if self.flying[end] else 1 - end

    def pick(self, end: int, choice: int) -> int:
        return choice % len(self.flying[end])

    def take(self, end: int, message: Message) -> None:
        """Deliver, and hold the outcome against the model's."""
        party, model = self.parties[end], self.models[end]
        refusal = model.receive(message)
        if refusal is None:
            assert party.receive(message.envelope) == message.plaintext
            self.delivered[end].append(message)
        else:
            party.refuses(message.envelope, refusal)

    @rule(end=ends)
    def deliver_all(self, end: int) -> None:
        while self.flying[end]:
            self.take(end, self.flying[end].pop(0))

    @precondition(something_flies)
    @rule(end=ends, choice=choices)
    def deliver_any(self, end: int, choice: int) -> None:
        end = self.towards(end)
        self.take(end, self.flying[end].pop(self.pick(end, choice)))

    @precondition(something_flies)
    @rule(end=ends)
    def deliver_newest(self, end: int) -> None:
        end = self.towards(end)
        self.take(end, self.flying[end].pop())

    @precondition(something_flies)
    @rule(end=ends, choice=choices)
    def drop(self, end: int, choice: int) -> None:
        end = self.towards(end)
        self.flying[end].pop(self.pick(end, choice))

    @precondition(something_flies)
    @rule(end=ends, choice=choices)
    def duplicate(self, end: int, choice: int) -> None:
        end = self.towards(end)
        self.flying[end].append(self.flying[end][self.pick(end, choice)])

    @precondition(lambda self: any(self.delivered))
    @rule(end=ends, choice=choices)
    def replay(self, end: int, choice: int) -> None:
        end = end if self.delivered[end] else 1 - end
        delivered = self.delivered[end]
        self.parties[end].refuses(delivered[choice % len(delivered)].envelope)

    @precondition(something_flies)
    @rule(
        end=ends,
        choice=choices,
        kind=st.sampled_from(["flip", "truncate", "extend", "splice", "reflect"]),
        other=choices,
    )
    def forge(self, end: int, choice: int, kind: str, other: int) -> None:
        """Something that the sender did not send; the genuine message flies on."""
        end = self.towards(end)
        victim = self.parties[end]
        genuine = self.flying[end][self.pick(end, choice)].envelope
        match kind:
            case "flip":
                forged = bytearray(genuine)
                forged[other // 8 % len(forged)] ^= 1 << other % 8
            case "truncate":
                forged = bytearray(genuine[: other % len(genuine)])
            case "extend":
                forged = bytearray(genuine + bytes(other % 40 + 1))
            case "splice":
                body = self.flying[end][self.pick(end, other)].envelope[PREFIX_LEN:]
                forged = bytearray(genuine[:PREFIX_LEN] + body)
                if forged == genuine:
                    return
            case _:
                victim, forged = self.parties[1 - end], bytearray(genuine)
        victim.refuses(bytes(forged))

    @rule(end=ends, flags=st.sampled_from([KEM_NONE, KEM_OFFER, KEM_ANSWER]))
    def break_the_kem_rules(self, end: int, flags: int) -> None:
        """The peer itself begins its chain with a KEM part that is not due."""
        sender, model, victim = self.parties[1 - end], self.models[1 - end], self.models[end]
        if model.sent == 0 or model.may_begin_chain or model.sending_chain != victim.chain + 1:
            return
        breaks = (flags == KEM_ANSWER) != (model.kem == KEM_ANSWER)
        breaks |= flags == KEM_OFFER and victim.has_turn
        if breaks:
            self.parties[end].refuses(crafted(sender, flags, KEM_FIELDS[flags]))

    # --- invariants -------------------------------------------------------------------------------

    @invariant()
    def stores_hold_what_the_model_says(self) -> None:
        """And so no more than the cap, of no more chains than the limit allows."""
        if not hasattr(self, "parties"):
            return
        for party, model in zip(self.parties, self.models, strict=True):
            stored = {
                (chain.ordinal, number): at
                for chain in party.state.skipped
                for number, at, _ in skipped.RECORD.iter_unpack(chain.records.reveal())
            }
            assert stored == model.stored
            assert party.state.skipped_count == len(stored) <= self.limits.stored
            assert len(party.state.skipped) <= self.limits.chains

    @invariant()
    def hybrid_steps_are_where_the_model_says(self) -> None:
        """And the ends are never more than the one step apart that is under way."""
        if not hasattr(self, "parties"):
            return
        for party, model in zip(self.parties, self.models, strict=True):
            step = party.state.root.kem.step
            assert (None if step is None else type(step)) is model.kem_step
            assert party.state.kem_steps == model.steps
        assert abs(self.models[0].steps - self.models[1].steps) <= 1

    @invariant()
    def no_key_and_nonce_recur(self) -> None:
        """Header keys and message keys alike."""
        assert len(set(self.seals)) == len(self.seals)


class SmallLimitsMachine(RatchetMachine):
    limits = Limits(skip=6, stored=9, chains=3, messages=6, interval=5)


def configured(machine: type[RatchetMachine], examples: int) -> Any:
    case = machine.TestCase
    case.settings = settings(
        max_examples=examples,
        stateful_step_count=60,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    return case


TestRealLimits = configured(RatchetMachine, 60)
TestSmallLimits = configured(SmallLimitsMachine, 200)
