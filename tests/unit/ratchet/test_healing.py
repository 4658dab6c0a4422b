"""What a copied state opens, and when it stops (protocol.md §1.1, §14).

The thief has the whole stored state of one side at one moment and every envelope on the wire; he
has no access afterwards.
"""

from __future__ import annotations

import pytest

from p2pchat.crypto import x25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import DecryptionError
from p2pchat.ratchet.double_ratchet import decrypt, encrypt, init_initiator, init_responder
from p2pchat.ratchet.snapshot import decode_state, encode_state
from p2pchat.ratchet.state import RatchetSeed, RatchetState
from tests.support.net_random import seeded_rng

RNG = seeded_rng(7)


def say(sender: RatchetState, receiver: RatchetState) -> tuple[RatchetState, RatchetState, bytes]:
    sender, envelope = encrypt(sender, b"word", rng=RNG)
    receiver, plaintext = decrypt(receiver, envelope)
    assert plaintext == b"word"
    return sender, receiver, envelope


@pytest.fixture
def pair() -> tuple[RatchetState, RatchetState]:
    seed = RatchetSeed(Secret(RNG(32)), Secret(RNG(32)), Secret(RNG(32)))
    ratchet = x25519.generate(rng=RNG)
    associated_data = RNG(96)
    alice = init_initiator(
        seed, remote_ratchet_key=ratchet.public, associated_data=associated_data, rng=RNG
    )
    bob = init_responder(seed, ratchet_pair=ratchet, associated_data=associated_data)
    alice, bob, _ = say(alice, bob)
    bob, alice, _ = say(bob, alice)
    return alice, bob


def stolen(state: RatchetState) -> RatchetState:
    return decode_state(encode_state(state))


def test_a_stolen_state_opens_nothing_that_was_delivered_before(
    pair: tuple[RatchetState, RatchetState],
) -> None:
    alice, bob = pair
    alice, bob, earlier = say(alice, bob)
    alice, bob, later = say(alice, bob)
    for envelope in (earlier, later):
        with pytest.raises(DecryptionError):
            decrypt(stolen(bob), envelope)


def test_a_stolen_state_stops_opening_after_a_round_trip(
    pair: tuple[RatchetState, RatchetState],
) -> None:
    alice, bob = pair
    thief = stolen(bob)
    alice, bob, next_one = say(alice, bob)
    thief, plaintext = decrypt(thief, next_one)
    assert plaintext == b"word", "until then he does read along"
    bob, alice, _ = say(bob, alice)  # Bob's new key, which the thief has not
    alice, bob, healed = say(alice, bob)
    with pytest.raises(DecryptionError):
        decrypt(thief, healed)


def test_what_the_owner_says_after_a_round_trip_is_closed_to_the_thief_of_the_peer(
    pair: tuple[RatchetState, RatchetState],
) -> None:
    """The other direction: the thief has Alice's state and listens to what Bob sends her."""
    alice, bob = pair
    thief = stolen(alice)
    alice, bob, _ = say(alice, bob)
    bob, alice, first = say(bob, alice)
    alice, bob, _ = say(alice, bob)
    bob, alice, second = say(bob, alice)
    for envelope in (first, second):
        with pytest.raises(DecryptionError):
            decrypt(thief, envelope)
