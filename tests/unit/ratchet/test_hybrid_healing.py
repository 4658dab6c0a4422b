"""A simulated break of X25519: what it opens, and what one hybrid step closes (protocol.md §6.7).

The thief copied one side's whole state. He sees every envelope, and computes every discrete
logarithm, so he has every X25519 secret of both sides that is drawn afterwards; here he reads
them from the sides' random sources. What he does not have are the seeds of KEM keys and the
secrets encapsulated to them, unless a test gives him those too, to show that he lacks nothing
else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from p2pchat.constants import KEY_LEN
from p2pchat.crypto.kem import SEED_LEN, EncapsulationKey
from p2pchat.errors import DecryptionError
from p2pchat.ratchet.double_ratchet import decrypt, encrypt
from p2pchat.ratchet.header import KEM_ANSWER, KEM_OFFER, ciphertext_of
from p2pchat.ratchet.hybrid import KemStep, Offered, Owed
from p2pchat.ratchet.snapshot import decode_state, encode_state
from p2pchat.ratchet.state import RatchetState
from tests.support.ratchet_pair import SeededRng, kem_part, open_pair

ROUNDS = 8


class Recording:
    """Encapsulates as the library does, and remembers the secrets."""

    def __init__(self) -> None:
        self.secrets: list[bytes] = []

    def __call__(self, key: EncapsulationKey) -> tuple[bytes, bytes]:
        ciphertext, secret = key.encapsulate()
        self.secrets.append(secret)
        return ciphertext, secret


@dataclass
class Thief:
    """Goes on with the copied state as its owner does, from the secrets that he can compute.

    Attributes:
        state: The copy.
        knows_kem: Whether he is given the KEM's secrets too.
        refuses_kem: Whether he goes on as if the owner's state had no hybrid step under way.
    """

    state: RatchetState
    knows_kem: bool
    refuses_kem: bool

    def reads(self, envelope: bytes) -> bool:
        """Try an envelope on its way to the owner."""
        try:
            self.state, _ = decrypt(self.state, envelope)
        except DecryptionError:
            return False
        return True

    def follows(self, drawn: list[bytes], owner: RatchetState, secrets: list[bytes]) -> None:
        """Take the step that the owner has just taken to send.

        Args:
            drawn: What the owner drew for it; those of 32 bytes are X25519's.
            owner: The owner's new state: only its KEM field is used, which is in the header.
            secrets: Encapsulated by the owner so far.
        """
        private = [value for value in drawn if len(value) == KEY_LEN]
        seeds = [value for value in drawn if len(value) == SEED_LEN]
        flags, kem_field = kem_part(owner)

        def rng(count: int) -> bytes:
            if count == KEY_LEN:
                return private.pop()
            return seeds.pop() if count == SEED_LEN and self.knows_kem else bytes(count)

        def encapsulate(_: EncapsulationKey) -> tuple[bytes, bytes]:
            assert flags == KEM_ANSWER
            secret = secrets[-1] if self.knows_kem else bytes(KEY_LEN)
            return ciphertext_of(kem_field), secret

        if self.refuses_kem and isinstance(self.state.root.kem.step, Owed):
            schedule = replace(self.state.root.kem, step=None)
            self.state = replace(self.state, root=replace(self.state.root, kem=schedule))
        if self.state.sending is None and self.state.receiving is not None:
            self.state, _ = encrypt(
                self.state, b"", rng=rng, kem_due=flags == KEM_OFFER, encapsulate=encapsulate
            )


def overheard(
    victim: int, *, hybrid: bool, knows_kem: bool = False, refuses_kem: bool = False
) -> tuple[list[bool], int]:
    """Return which messages to the victim the thief reads after the theft, and the steps made."""
    parties = open_pair()
    recordings = Recording(), Recording()
    for party, recording in zip(parties, recordings, strict=True):
        party.encapsulate = recording
    parties[1].receive(parties[0].send())
    owner, peer = parties[victim], parties[1 - victim]
    assert isinstance(owner.rng, SeededRng)
    thief = Thief(decode_state(encode_state(owner.state)), knows_kem, refuses_kem)

    def owner_speaks() -> None:
        assert isinstance(owner.rng, SeededRng)
        already = len(owner.rng.drawn)
        envelope = owner.send(kem_due=hybrid)
        thief.follows(owner.rng.drawn[already:], owner.state, recordings[victim].secrets)
        assert peer.receive(envelope) == b"text"

    def peer_speaks() -> bool:
        envelope = peer.send(kem_due=hybrid)
        read = thief.reads(envelope)
        assert owner.receive(envelope) == b"text"
        return read

    reads = []
    if victim == 0:
        reads.append(peer_speaks())
    for _ in range(ROUNDS):
        owner_speaks()
        reads.append(peer_speaks())
    return reads, owner.state.kem_steps


@pytest.mark.parametrize("victim", [0, 1])
def test_without_a_hybrid_step_he_reads_on_for_ever(victim: int) -> None:
    """protocol.md §6.7: Diffie-Hellman alone heals nothing here. The break is a real one."""
    reads, steps = overheard(victim, hybrid=False)
    assert steps == 0
    assert reads
    assert all(reads)


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("refuses_kem", [False, True])
def test_one_hybrid_step_shuts_him_out_for_good(victim: int, refuses_kem: bool) -> None:
    """R-6.2.6, R-6.7.2: whether the victim answers or offers, and however he guesses."""
    reads, steps = overheard(victim, hybrid=True, refuses_kem=refuses_kem)
    assert steps >= 2
    until = reads.index(False)
    assert until <= 3
    assert not any(reads[until:])


@pytest.mark.parametrize("victim", [0, 1])
def test_it_is_the_kem_that_shuts_him_out(victim: int) -> None:
    """Given seeds and encapsulated secrets as well, he reads everything: he lacks nothing else."""
    reads, steps = overheard(victim, hybrid=True, knows_kem=True)
    assert steps >= 2
    assert all(reads)


def test_a_state_copied_in_the_midst_of_a_step_is_closed_by_the_next() -> None:
    """Whoever copies an offered key's seed opens its answer; the step after that is not his."""
    initiator, responder = open_pair()
    offer = initiator.send(kem_due=True)
    thief = Thief(decode_state(encode_state(initiator.state)), knows_kem=False, refuses_kem=False)
    assert isinstance(thief.state.root.kem.step, Offered)
    responder.receive(offer)
    reads = []
    for _ in range(ROUNDS):
        envelope = responder.send(kem_due=True)
        reads.append(thief.reads(envelope))
        initiator.receive(envelope)
        assert isinstance(initiator.rng, SeededRng)
        already = len(initiator.rng.drawn)
        envelope = initiator.send()
        thief.follows(initiator.rng.drawn[already:], initiator.state, [])
        responder.receive(envelope)
    assert reads == [True, True] + [False] * (ROUNDS - 2)


def test_the_secret_of_one_kem_key_is_no_other() -> None:
    """The steps of a session have keys of their own: one seed opens one step."""
    initiator, responder = open_pair()
    seeds = []
    for _ in range(6):
        for sender, receiver in ((initiator, responder), (responder, initiator)):
            receiver.receive(sender.send(kem_due=True))
            step: KemStep | None = sender.state.root.kem.step
            if isinstance(step, Offered):
                seeds.append(step.pair.private.reveal())
    assert len(seeds) == len(set(seeds)) >= 3
