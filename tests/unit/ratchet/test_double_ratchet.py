"""The conversation itself: who may speak, what arrives, and what is refused (protocol.md §6.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.constants import ENVELOPE_MAX_BYTES
from p2pchat.crypto import x25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import DecryptionError, InvalidKeyError, LocalProtocolError
from p2pchat.ratchet.double_ratchet import decrypt, encrypt, init_initiator, init_responder
from p2pchat.ratchet.header import (
    CHAIN_MAX_MESSAGES,
    ENVELOPE_MIN_BYTES,
    PREFIX_LEN,
    Header,
    nonce_of,
    open_header,
    seal_prefix,
)
from p2pchat.ratchet.state import Chain, Phase, RatchetSeed, RatchetState
from tests.support.ratchet_pair import (
    ASSOCIATED_DATA,
    Party,
    SeededRng,
    new_pair,
    no_rng,
    open_pair,
    seed_of,
)


def sending(state: RatchetState) -> Chain:
    assert state.sending is not None
    return state.sending


def header_of(sender: Party, envelope: bytes) -> Header:
    """Open a header with the key of the sender's current chain."""
    header = open_header(envelope[:PREFIX_LEN], sending(sender.state).header_key, ASSOCIATED_DATA)
    assert header is not None
    return header


class TestInitialisation:
    def test_initiator_can_send_at_once(self) -> None:
        """R-6.2.1."""
        initiator, responder = new_pair()
        assert initiator.phase() is Phase.INITIATED
        assert initiator.can_send()
        assert responder.receive(initiator.send(b"first")) == b"first"

    def test_responder_waits_for_the_first_message(self) -> None:
        """R-6.2.2, R-6.2.3."""
        initiator, responder = new_pair()
        assert responder.phase() is Phase.AWAITING_FIRST
        assert not responder.can_send()
        with pytest.raises(LocalProtocolError, match="before the first message"):
            responder.send()
        responder.receive(initiator.send())
        assert responder.can_send()
        assert initiator.receive(responder.send(b"answer")) == b"answer"

    def test_initialisation_is_signals(self) -> None:
        """R-6.2.1, R-6.2.2: HKs, NHKr of Alice are NHKr, NHKs of Bob."""
        seed = seed_of("keys")
        pair = x25519.generate(rng=SeededRng("responder"))
        rng = SeededRng("initiator")
        initiator = init_initiator(
            seed, remote_ratchet_key=pair.public, associated_data=ASSOCIATED_DATA, rng=rng
        )
        responder = init_responder(seed, ratchet_pair=pair, associated_data=ASSOCIATED_DATA)
        assert [len(drawn) for drawn in rng.drawn] == [32]
        assert sending(initiator).header_key.secret == seed.header_key_initiator
        assert sending(initiator).number == 0
        assert initiator.root.next_receiving_header_key.secret == seed.next_header_key
        assert initiator.root.remote_key == pair.public
        assert responder.root.root_key == seed.root_key
        assert responder.root.ratchet_pair == pair
        assert responder.root.next_sending_header_key.secret == seed.next_header_key
        assert responder.root.next_receiving_header_key.secret == seed.header_key_initiator

    @pytest.mark.parametrize("length", [0, 95, 97])
    def test_associated_data_has_96_bytes(self, length: int) -> None:
        """R-6.1.2."""
        with pytest.raises(ValueError, match="96 bytes"):
            new_pair(associated_data=bytes(length))

    @pytest.mark.parametrize("length", [0, 31, 33])
    @pytest.mark.parametrize("position", [0, 1, 2])
    def test_seed_keys_have_32_bytes(self, length: int, position: int) -> None:
        keys = [bytes(32)] * 3
        keys[position] = bytes(length)
        with pytest.raises(ValueError, match="32 bytes"):
            RatchetSeed(*map(Secret, keys))

    @pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), bytes(31)])
    def test_initiator_refuses_a_bad_ratchet_key(self, key: bytes) -> None:
        with pytest.raises(InvalidKeyError):
            init_initiator(
                seed_of("x"),
                remote_ratchet_key=key,
                associated_data=ASSOCIATED_DATA,
                rng=SeededRng("x"),
            )


class TestConversation:
    @pytest.mark.parametrize("size", [0, 1, 100, 65536])
    def test_texts_come_back(self, size: int) -> None:
        initiator, responder = open_pair()
        plaintext = bytes(size)
        envelope = initiator.send(plaintext)
        assert len(envelope) == size + ENVELOPE_MIN_BYTES == size + 1270
        assert responder.receive(envelope) == plaintext

    def test_many_turns_of_many_messages(self) -> None:
        initiator, responder = new_pair()
        sender, receiver = initiator, responder
        for turn in range(12):
            for number, envelope in enumerate(sender.send_many(turn % 4 + 1)):
                assert receiver.receive(envelope) == str(number).encode()
            sender, receiver = receiver, sender
        assert responder.state.received == 3 * (1 + 3)
        assert initiator.state.received == 3 * (2 + 4)
        assert responder.state.root.chains_received == 6

    def test_both_speak_at_once(self) -> None:
        """Crossing messages: each side's chain goes on until it hears the other's answer."""
        initiator, responder = open_pair()
        ours, theirs = initiator.send_many(3), responder.send_many(3)
        assert [responder.receive(envelope) for envelope in ours] == [b"0", b"1", b"2"]
        assert [initiator.receive(envelope) for envelope in theirs] == [b"0", b"1", b"2"]
        assert responder.receive(initiator.send(b"on")) == b"on"
        assert initiator.receive(responder.send(b"and on")) == b"and on"

    def test_header_says_what_the_text_says(self) -> None:
        """R-6.3.1: flags, ratchet key, PN, N; R-6.2.5: numbers count from 0."""
        initiator, responder = open_pair()
        first_chain = [header_of(initiator, initiator.send()) for _ in range(3)]
        assert [header.number for header in first_chain] == [0, 1, 2]
        assert {header.previous_length for header in first_chain} == {1}
        assert {header.flags for header in first_chain} == {0}
        pair = initiator.state.root.ratchet_pair
        assert pair is not None
        assert {header.ratchet_key for header in first_chain} == {pair.public}
        responder.receive(initiator.send())
        initiator.receive(responder.send())
        assert header_of(initiator, initiator.send())[2:4] == (4, 0)

    def test_a_side_that_only_ever_received_announces_no_previous_chain(self) -> None:
        initiator, responder = new_pair()
        responder.receive(initiator.send())
        assert header_of(responder, responder.send()).previous_length == 0


class TestKeys:
    def test_each_message_has_its_own_key(self) -> None:
        """R-6.4.1: the same text twice gives unrelated envelopes, and chain keys move on."""
        initiator, _ = new_pair()
        before = sending(initiator.state).chain_key
        first, second = initiator.send(b"same"), initiator.send(b"same")
        assert first[PREFIX_LEN:] != second[PREFIX_LEN:]
        assert sending(initiator.state).chain_key != before
        assert sending(initiator.state).number == 2

    def test_nonce_is_fresh_randomness_each_time(self) -> None:
        """R-6.3.3."""
        initiator, _ = new_pair()
        rng = SeededRng("nonces")
        envelopes = []
        for _ in range(3):
            initiator.state, envelope = encrypt(initiator.state, b"", rng=rng)
            envelopes.append(envelope)
        assert [nonce_of(envelope) for envelope in envelopes] == rng.drawn
        assert {len(drawn) for drawn in rng.drawn} == {12}

    def test_a_state_used_twice_still_seals_under_other_nonces(self) -> None:
        """R-6.3.3: a restored disk repeats message keys, but no (key, nonce) pair."""
        initiator, _ = new_pair()
        _, first = encrypt(initiator.state, b"one", rng=initiator.rng)
        _, second = encrypt(initiator.state, b"two", rng=initiator.rng)
        assert nonce_of(first) != nonce_of(second)

    def test_new_pair_is_drawn_when_sending(self) -> None:
        """R-6.4.5: receiving draws nothing; the first message of a chain draws 32 bytes and 12."""
        initiator, responder = new_pair()
        responder.receive(initiator.send())
        rng = SeededRng("draws")
        state, _ = encrypt(responder.state, b"", rng=rng)
        state, _ = encrypt(state, b"", rng=rng)
        assert [len(drawn) for drawn in rng.drawn] == [32, 12, 12]

    def test_private_key_is_forgotten_after_its_use(self) -> None:
        """R-6.4.4."""
        initiator, responder = new_pair()
        responder.receive(initiator.send())
        assert responder.phase() is Phase.TO_REPLY
        assert responder.state.root.ratchet_pair is None
        assert responder.state.sending is None
        responder.send()
        assert responder.phase() is Phase.REPLIED
        assert responder.state.root.ratchet_pair is not None

    def test_each_turn_changes_every_key(self) -> None:
        initiator, responder = open_pair()
        root_keys = []
        for _ in range(3):
            responder.receive(initiator.send())
            initiator.receive(responder.send())
            root_keys.append(initiator.state.root.root_key.reveal())
        assert len(set(root_keys)) == 3

    def test_a_stolen_state_opens_nothing_after_a_round_trip(self) -> None:
        """protocol.md §1.1: post-compromise security."""
        initiator, responder = open_pair()
        responder.receive(initiator.send())
        stolen = Party(responder.state, no_rng)
        initiator.receive(responder.send())
        secret = initiator.send(b"healed")
        stolen.refuses(secret)
        assert responder.receive(secret) == b"healed"

    def test_a_later_state_opens_nothing_earlier(self) -> None:
        """protocol.md §1.1: forward secrecy, within a chain and across chains."""
        initiator, responder = open_pair()
        early = initiator.send()
        responder.receive(early)
        responder.refuses(early)
        for _ in range(3):
            initiator.receive(responder.send())
            responder.refuses(early)
            responder.receive(initiator.send())
            responder.refuses(early)


class TestLimits:
    def test_longest_plaintext(self) -> None:
        initiator, responder = new_pair()
        longest = bytes(ENVELOPE_MAX_BYTES - ENVELOPE_MIN_BYTES)
        envelope = initiator.send(longest)
        assert len(envelope) == ENVELOPE_MAX_BYTES
        assert responder.receive(envelope) == longest
        with pytest.raises(LocalProtocolError, match="does not fit"):
            initiator.send(longest + b"x")

    def test_chain_ends_at_its_last_number(self) -> None:
        """R-6.4.2: 2^32 - 1 messages, so the last has number 2^32 - 2."""
        initiator, responder = open_pair()
        responder.receive(initiator.send())
        # Nobody waits for four thousand million messages: move both ends of the chain there.
        late = replace(sending(initiator.state), number=2**32 - 2)
        initiator.state = replace(initiator.state, sending=late)
        responder.state = replace(responder.state, receiving=late)
        assert initiator.can_send()
        last = initiator.send(b"last")
        assert header_of(initiator, last).number == 2**32 - 2
        assert responder.receive(last) == b"last"
        assert not initiator.can_send()
        with pytest.raises(LocalProtocolError, match="used up"):
            initiator.send()
        initiator.receive(responder.send())
        assert initiator.can_send()
        assert header_of(initiator, initiator.send()).previous_length == 2**32 - 1

    def test_receiver_refuses_the_number_that_no_chain_has(self) -> None:
        """R-6.3.5."""
        initiator, responder = new_pair()
        self.forge(initiator, responder, Header(0, bytes(32), 0, CHAIN_MAX_MESSAGES), "not known")

    def test_receiver_refuses_unknown_flags(self) -> None:
        """R-6.3.5."""
        initiator, responder = new_pair()
        self.forge(initiator, responder, Header(3, bytes(32), 0, 0), "not known")

    def test_receiver_refuses_a_low_order_key(self) -> None:
        """R-6.4.3, R-2.2.1: in a message it is a message that does not decrypt."""
        initiator, responder = new_pair()
        self.forge(initiator, responder, Header(0, bytes(32), 0, 0), "low order")

    @staticmethod
    def forge(initiator: Party, responder: Party, header: Header, match: str) -> None:
        """A header that only the peer itself can make."""
        prefix = seal_prefix(
            header, sending(initiator.state).header_key, bytes(12), ASSOCIATED_DATA
        )
        responder.refuses(prefix + bytes(16), match=match)


class TestRefusals:
    @pytest.mark.parametrize(
        "position", [0, 1, 12, 13, 40, 53, 54, 1237, 1238, 1253, 1254, 1269, -1]
    )
    def test_any_flipped_bit_is_refused(self, position: int) -> None:
        """R-6.4.3: version, nonce, header, body and both tags."""
        initiator, responder = open_pair()
        envelope = bytearray(initiator.send())
        envelope[position] ^= 0x01
        responder.refuses(bytes(envelope))
        envelope[position] ^= 0x01
        assert responder.receive(bytes(envelope)) == b"text"

    @pytest.mark.parametrize("length", [0, 1, 70, 86, 1253, 1254, 1269, 1270, 1273])
    def test_truncated(self, length: int) -> None:
        """R-6.3.4 for those below 1270 bytes."""
        initiator, responder = open_pair()
        envelope = initiator.send()
        responder.refuses(envelope[:length])
        assert responder.receive(envelope) == b"text"

    def test_extended(self) -> None:
        initiator, responder = open_pair()
        responder.refuses(initiator.send() + b"\x00")

    def test_replayed(self) -> None:
        """R-6.4.6, in the current chain, and again when the chain is an old one."""
        initiator, responder = open_pair()
        first, second = initiator.send_many(2)
        responder.receive(first)
        responder.refuses(first, match="not stored")
        initiator.receive(responder.send())
        responder.receive(initiator.send())
        responder.receive(second)
        responder.refuses(second, match="no header key")

    def test_reflected(self) -> None:
        initiator, _ = open_pair()
        initiator.refuses(initiator.send(), match="no header key")

    def test_header_of_one_message_with_the_body_of_another(self) -> None:
        """R-6.3.2: the body's tag covers the prefix."""
        initiator, responder = open_pair()
        first, second = initiator.send_many(2)
        responder.refuses(first[:PREFIX_LEN] + second[PREFIX_LEN:])
        responder.refuses(second[:PREFIX_LEN] + first[PREFIX_LEN:])

    def test_of_another_session(self) -> None:
        _, responder = open_pair("ours")
        stranger, _ = open_pair("theirs")
        responder.refuses(stranger.send(), match="no header key")

    def test_other_associated_data(self) -> None:
        """R-6.1.2: other identities or another handshake: nothing opens."""
        initiator, _ = new_pair()
        _, responder = new_pair(associated_data=bytes(96))
        responder.refuses(initiator.send(), match="no header key")

    def test_body_sealed_under_other_associated_data(self) -> None:
        """R-6.3.2: header and body are each bound to it."""
        initiator, responder = new_pair()
        envelope = initiator.send()
        other = replace(responder.state.root, associated_data=bytes(96))
        header = open_header(
            envelope[:PREFIX_LEN], other.next_receiving_header_key, other.associated_data
        )
        assert header is None

    def test_next_header_key_counts_only_when_a_step_is_possible(self) -> None:
        """R-6.4.4: before we have answered, the peer cannot have begun another chain."""
        initiator, responder = open_pair()
        responder.receive(initiator.send())
        assert responder.phase() is Phase.TO_REPLY
        key = responder.state.root.next_receiving_header_key
        prefix = seal_prefix(Header(0, b"\x09" * 32, 1, 0), key, bytes(12), ASSOCIATED_DATA)
        responder.refuses(prefix + bytes(16), match="no header key")

    def test_refusal_draws_no_randomness_and_keeps_the_very_state(self) -> None:
        """R-6.4.3."""
        initiator, responder = open_pair()
        state = responder.state
        with pytest.raises(DecryptionError):
            decrypt(state, initiator.send()[:-1])
        assert responder.state is state


def test_functions_leave_their_argument_alone() -> None:
    initiator, responder = open_pair()
    before = initiator.state
    after, envelope = encrypt(before, b"", rng=initiator.rng)
    assert sending(after).number == 1
    assert before.sending is None
    received, _ = decrypt(responder.state, envelope)
    assert received.received == responder.state.received + 1


def test_unchanged_parts_are_shared() -> None:
    """A state costs little to copy: an in-order message replaces one chain."""
    initiator, responder = open_pair()
    responder.receive(initiator.send())
    first, third = initiator.send(), initiator.send_many(2)[1]
    responder.receive(first)
    responder.receive(third)
    before = responder.state
    responder.receive(initiator.send())
    assert responder.state.root is before.root
    assert responder.state.skipped is before.skipped
