"""Hybrid steps: when, by whom, through what trouble, and what is refused (protocol.md §6.7)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest

from p2pchat.constants import KEM_INTERVAL_MESSAGES
from p2pchat.crypto import kem
from p2pchat.crypto.kem import EncapsulationKey
from p2pchat.ratchet.double_ratchet import encrypt
from p2pchat.ratchet.header import (
    ENVELOPE_MIN_BYTES,
    KEM_ANSWER,
    KEM_NONE,
    KEM_OFFER,
    NO_KEM,
    answer_field,
)
from p2pchat.ratchet.hybrid import Answered, KemSchedule, Offered, Owed
from p2pchat.ratchet.snapshot import decode_state, encode_state
from tests.support.ratchet_pair import (
    Party,
    SeededRng,
    crafted,
    kem_part,
    new_pair,
    open_pair,
)

KEY = kem.generate(rng=SeededRng("another key")).public
CIPHERTEXT, _ = EncapsulationKey(KEY).encapsulate()


def flags(party: Party) -> int:
    return kem_part(party.state)[0]


def offered() -> tuple[Party, Party, bytes]:
    """Return both ends and the initiator's first envelope that offers a key."""
    initiator, responder = open_pair()
    offer = initiator.send(b"offer", kem_due=True)
    assert flags(initiator) == KEM_OFFER
    return initiator, responder, offer


def answered() -> tuple[Party, Party, bytes]:
    """Return both ends and the responder's first envelope that answers."""
    initiator, responder, offer = offered()
    responder.receive(offer)
    answer = responder.send(b"answer")
    assert flags(responder) == KEM_ANSWER
    return initiator, responder, answer


class TestTurns:
    def test_the_initiator_offers_first_and_then_in_turn(self) -> None:
        """R-6.7.1, R-6.7.2: although both sides want a step all the time."""
        initiator, responder = open_pair()
        said = []
        for _ in range(4):
            for sender, receiver in ((initiator, responder), (responder, initiator)):
                envelope = sender.send(kem_due=True)
                said.append(flags(sender))
                receiver.receive(envelope)
        assert said == [
            *(KEM_OFFER, KEM_ANSWER),
            *(KEM_NONE, KEM_OFFER),
            *(KEM_ANSWER, KEM_NONE),
            *(KEM_OFFER, KEM_ANSWER),
        ]
        assert (initiator.state.kem_steps, responder.state.kem_steps) == (3, 3)

    def test_no_step_without_need(self) -> None:
        """R-6.7.3."""
        initiator, responder = open_pair()
        for _ in range(KEM_INTERVAL_MESSAGES // 2 - 1):
            responder.receive(initiator.send())
            initiator.receive(responder.send())
            assert flags(initiator) == flags(responder) == KEM_NONE
        assert initiator.state.kem_steps == 0

    def test_a_caller_who_says_nothing_of_a_step_gets_none(self) -> None:
        """R-6.7.3: the default wishes for nothing."""
        initiator, _ = open_pair()
        state, _ = encrypt(initiator.state, b"text", rng=SeededRng("another"))
        assert kem_part(state)[0] == KEM_NONE

    @pytest.mark.parametrize(("count", "expected"), [(47, KEM_NONE), (48, KEM_OFFER)])
    def test_a_step_is_due_after_fifty_messages(self, count: int, expected: int) -> None:
        """R-6.7.3: sent and received, and two were exchanged to open the pair."""
        initiator, responder = open_pair()
        responder.receive(initiator.send())
        for envelope in responder.send_many(count - 1):
            initiator.receive(envelope)
        initiator.send()
        assert flags(initiator) == expected

    def test_the_count_begins_anew_with_each_step(self) -> None:
        """R-6.7.3: on both sides, and the messages since the step's chain count."""
        initiator, responder, answer = answered()
        initiator.receive(answer)  # completed; received since: 1
        responder.receive(initiator.send())
        for _ in range(KEM_INTERVAL_MESSAGES // 2 - 1):
            initiator.receive(responder.send())
            assert flags(responder) == KEM_NONE
            responder.receive(initiator.send())
        initiator.receive(responder.send())  # responder: 25 sent, 25 received since
        assert flags(responder) == KEM_OFFER

    def test_a_chain_that_has_begun_makes_no_offer(self) -> None:
        """R-6.7.6: nor does the first one of all."""
        initiator, _ = new_pair()
        for _ in range(KEM_INTERVAL_MESSAGES + 1):
            initiator.send(kem_due=True)
            assert kem_part(initiator.state) == (KEM_NONE, NO_KEM)

    def test_the_responder_has_no_first_turn(self) -> None:
        """R-6.7.1: however long it waits."""
        initiator, responder = open_pair()
        for envelope in initiator.send_many(2 * KEM_INTERVAL_MESSAGES):
            responder.receive(envelope)
        responder.send(kem_due=True)
        assert flags(responder) == KEM_NONE

    def test_every_message_of_a_chain_carries_the_same(self) -> None:
        """R-6.7.6: so that whichever comes first will do."""
        initiator, responder, offer = offered()
        parts = {kem_part(initiator.state)}
        for _ in range(3):
            initiator.send()
            parts.add(kem_part(initiator.state))
        assert len(parts) == 1
        responder.receive(offer)
        responder.send()
        parts = {kem_part(responder.state)}
        responder.send()
        assert {kem_part(responder.state)} == parts

    def test_what_is_drawn(self) -> None:
        """R-6.7.3: a seed of 64 bytes, once, in the chain that offers."""
        initiator, responder = open_pair()
        assert isinstance(initiator.rng, SeededRng)
        already = len(initiator.rng.drawn)
        responder.receive(initiator.send(kem_due=True))
        initiator.send()
        assert [len(drawn) for drawn in initiator.rng.drawn[already:]] == [32, 64, 12, 12]
        assert isinstance(responder.rng, SeededRng)
        already = len(responder.rng.drawn)
        responder.send()
        assert [len(drawn) for drawn in responder.rng.drawn[already:]] == [32, 12]

    def test_encapsulation_can_be_injected(self) -> None:
        """R-6.7.2: called once, with the key that was offered."""
        initiator, responder, offer = offered()
        responder.receive(offer)
        asked: list[bytes] = []

        def encapsulate(key: EncapsulationKey) -> tuple[bytes, bytes]:
            asked.append(key.encoded)
            return CIPHERTEXT, bytes(32)

        state, _ = encrypt(responder.state, b"", rng=responder.rng, encapsulate=encapsulate)
        state, _ = encrypt(state, b"", rng=responder.rng, encapsulate=encapsulate)
        assert asked == [kem_part(initiator.state)[1]]
        assert kem_part(state) == (KEM_ANSWER, answer_field(CIPHERTEXT))


class TestSecrets:
    def test_the_private_key_goes_when_it_was_used(self) -> None:
        """R-6.7.7: from the state and so from the snapshot."""
        initiator, responder, offer = offered()
        step = initiator.state.root.kem.step
        assert isinstance(step, Offered)
        seed = step.pair.private.reveal()
        assert seed in encode_state(initiator.state)
        responder.receive(offer)
        initiator.receive(responder.send())
        assert initiator.state.root.kem.step is None
        assert seed not in encode_state(initiator.state)

    def test_the_shared_secret_stays_nowhere(self) -> None:
        """R-6.7.2."""
        _, responder, offer = offered()
        responder.receive(offer)
        secrets = []

        def encapsulate(key: EncapsulationKey) -> tuple[bytes, bytes]:
            ciphertext, secret = key.encapsulate()
            secrets.append(secret)
            return ciphertext, secret

        responder.encapsulate = encapsulate
        responder.send()
        assert secrets[0] not in encode_state(responder.state)

    def test_both_sides_get_the_same_root(self) -> None:
        """R-6.2.6."""
        initiator, responder, answer = answered()
        assert initiator.receive(answer) == b"answer"
        assert initiator.state.root.root_key == responder.state.root.root_key

    def test_repr_shows_no_key(self) -> None:
        """R-2.1.1."""
        initiator, responder, offer = offered()
        responder.receive(offer)
        shown = repr(initiator.state.root.kem) + repr(responder.state.root.kem)
        key = kem_part(initiator.state)[1]
        assert repr(key)[2:20] not in shown
        assert len(shown) < 600


def orders(count: int) -> list[tuple[int, ...]]:
    """Return every way in which some of ``count`` messages arrive, at least one."""
    return [order for size in range(1, count + 1) for order in permutations(range(count), size)]


class TestTrouble:
    @pytest.mark.parametrize("offers_heard", orders(3))
    def test_loss_and_order_do_not_matter(self, offers_heard: tuple[int, ...]) -> None:
        """R-6.7.4, R-6.7.6: three messages a chain, in every order, any of them late or lost."""
        for answers_heard in orders(3):
            initiator, responder = open_pair()
            offers = [initiator.send(b"o%d" % n, kem_due=True) for n in range(3)]
            for number in offers_heard:
                assert responder.receive(offers[number]) == b"o%d" % number
            answers = [responder.send(b"a%d" % n) for n in range(3)]
            for number in answers_heard:
                assert initiator.receive(answers[number]) == b"a%d" % number
            assert responder.receive(initiator.send(b"on")) == b"on"
            assert initiator.receive(responder.send(b"and on")) == b"and on"
            for number in set(range(3)) - set(offers_heard):
                assert responder.receive(offers[number]) == b"o%d" % number
            for number in set(range(3)) - set(answers_heard):
                assert initiator.receive(answers[number]) == b"a%d" % number
            assert (initiator.state.kem_steps, responder.state.kem_steps) == (1, 1)

    @pytest.mark.parametrize("restarted", range(16))
    def test_restart_at_any_step(self, restarted: int) -> None:
        """R-6.7.2, R-6.7.4: either side's state goes through its snapshot after any one step."""
        assert self.conversation(lambda step, party: restart(party) if step == restarted else None)

    def test_restart_at_every_step(self) -> None:
        assert self.conversation(lambda _, party: restart(party))

    @staticmethod
    def conversation(after_step: Callable[[int, Party], None]) -> bool:
        """Two hybrid steps, one each way; ``after_step`` gets the side that has just acted."""
        initiator, responder = open_pair()
        step = 0
        for turn in range(4):
            for sender, receiver in ((initiator, responder), (responder, initiator)):
                envelope = sender.send(b"%d" % turn, kem_due=True)
                after_step(step, sender)
                assert receiver.receive(envelope) == b"%d" % turn
                after_step(step + 1, receiver)
                step += 2
        assert step == 16
        return initiator.state.kem_steps == responder.state.kem_steps == 3

    def test_replayed(self) -> None:
        """R-6.4.6: offers and answers like any message, at once and later."""
        initiator, responder, offer = offered()
        responder.receive(offer)
        responder.refuses(offer)
        answer = responder.send()
        responder.refuses(offer)
        initiator.receive(answer)
        initiator.refuses(answer)
        responder.receive(initiator.send())
        responder.refuses(offer)
        initiator.refuses(answer)

    def test_a_forged_body_makes_no_offer_and_no_answer(self) -> None:
        """R-6.7.4: the header alone, though authentic, has no effect."""
        initiator, responder, offer = offered()
        responder.refuses(offer[:-1] + bytes([offer[-1] ^ 1]))
        assert responder.state.root.kem.step is None
        responder.receive(offer)
        answer = responder.send()
        initiator.refuses(answer[:-1] + bytes([answer[-1] ^ 1]))
        assert isinstance(initiator.state.root.kem.step, Offered)
        assert initiator.receive(answer) == b"text"


class TestRefusals:
    """R-6.7.4: what only the peer itself can send, right in all but the KEM part."""

    def test_offer_out_of_turn(self) -> None:
        initiator, responder = open_pair()
        responder.receive(initiator.send())
        genuine = responder.send()
        initiator.refuses(crafted(responder, KEM_OFFER, KEY), match="out of turn")
        assert initiator.receive(genuine) == b"text"

    def test_answer_to_no_offer(self) -> None:
        initiator, responder = open_pair()
        responder.receive(initiator.send())
        genuine = responder.send()
        answer = crafted(responder, KEM_ANSWER, answer_field(CIPHERTEXT))
        initiator.refuses(answer, match="not made")
        assert initiator.receive(genuine) == b"text"

    @pytest.mark.parametrize(("kind", "field"), [(KEM_NONE, NO_KEM), (KEM_OFFER, KEY)])
    def test_no_answer(self, kind: int, field: bytes) -> None:
        """A peer that strips the hybrid part is refused; this is no way back to X25519 alone."""
        initiator, responder, genuine = answered()
        initiator.refuses(crafted(responder, kind, field), match="does not answer")
        assert initiator.receive(genuine) == b"answer"

    @pytest.mark.parametrize("position", [0, 500, 1087])
    def test_wrong_ciphertext(self, position: int) -> None:
        """R-6.7.5: implicit rejection: another secret, another root, a tag that is wrong."""
        initiator, responder, genuine = answered()
        field = bytearray(kem_part(responder.state)[1])
        field[position] ^= 1
        initiator.refuses(crafted(responder, KEM_ANSWER, bytes(field)), match="authenticate")
        assert initiator.receive(genuine) == b"answer"

    def test_ciphertext_for_another_key(self) -> None:
        """R-6.7.5."""
        initiator, responder, _ = answered()
        answer = crafted(responder, KEM_ANSWER, answer_field(CIPHERTEXT))
        initiator.refuses(answer, match="authenticate")

    @pytest.mark.parametrize(
        "key", [b"\xff\x0f" + KEY[2:], b"\x01\x0d" + KEY[2:], KEY[:1149] + b"\xff" * 35]
    )
    def test_key_out_of_range(self, key: bytes) -> None:
        """R-6.7.5: coefficients of 4095, of 3329 exactly, and the last one."""
        initiator, responder, genuine = offered()
        responder.refuses(crafted(initiator, KEM_OFFER, key), match="is not one")
        assert responder.receive(genuine) == b"offer"

    def test_highest_coefficient_is_taken(self) -> None:
        """R-6.7.5: 3328 is one."""
        initiator, responder, _ = offered()
        key = b"\x00\x0d" + KEY[2:]
        assert responder.receive(crafted(initiator, KEM_OFFER, key)) == b"crafted"
        step = responder.state.root.kem.step
        assert isinstance(step, Owed)
        assert step.encoded == key

    def test_later_messages_of_a_chain_are_not_compared(self) -> None:
        """R-6.7.6: the one that begins the chain decides; R-6.3.5 binds the rest."""
        initiator, responder, offer = offered()
        responder.receive(offer)
        assert responder.receive(crafted(initiator, KEM_OFFER, KEY)) == b"crafted"
        step = responder.state.root.kem.step
        assert isinstance(step, Owed)
        assert step.encoded == kem_part(initiator.state)[1]


def test_sizes_show_no_step() -> None:
    """R-6.3.2, R-6.7.6: through steps of both sides, an envelope is 1270 bytes longer."""
    initiator, responder = open_pair()
    seen: dict[int, set[int]] = {KEM_NONE: set(), KEM_OFFER: set(), KEM_ANSWER: set()}
    for turn in range(12):
        for sender, receiver in ((initiator, responder), (responder, initiator)):
            for size in (0, 1, 100, 2000):
                envelope = sender.send(bytes(size), kem_due=turn % 3 == 0)
                seen[flags(sender)].add(len(envelope) - size)
                receiver.receive(envelope)
    assert initiator.state.kem_steps >= 3
    assert seen == {kind: {ENVELOPE_MIN_BYTES} for kind in (KEM_NONE, KEM_OFFER, KEM_ANSWER)}


def test_a_long_conversation_steps_by_itself() -> None:
    """R-6.7.3: about every fifty messages, in turn."""
    initiator, responder = open_pair()
    offers = []
    for _ in range(300):
        for sender, receiver in ((initiator, responder), (responder, initiator)):
            receiver.receive(sender.send())
            if flags(sender) == KEM_OFFER:
                offers.append(sender is initiator)
    assert 10 <= len(offers) <= 12
    assert offers == [number % 2 == 0 for number in range(len(offers))]


def test_schedules_compare_by_what_they_hold() -> None:
    assert KemSchedule(True) != KemSchedule(False)
    assert KemSchedule(True, step=Answered(CIPHERTEXT)) == KemSchedule(
        True, step=Answered(CIPHERTEXT)
    )
    assert Owed(KEY) == Owed(KEY)


def restart(party: Party) -> None:
    party.state = decode_state(encode_state(party.state))
