"""Messages out of order: what is kept, for how long, and what is let go (protocol.md §6.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pchat.constants import (
    MAX_SKIP,
    MAX_STORED_SKIPPED_KEYS,
    SKIPPED_KEY_MAX_CHAINS,
    SKIPPED_KEY_MAX_MESSAGES,
)
from p2pchat.errors import TooManySkippedError
from p2pchat.ratchet.snapshot import decode_state, encode_state
from tests.support.ratchet_pair import Party, new_pair, open_pair


def turn(initiator: Party, responder: Party) -> None:
    """One message each way; the initiator's next message begins a chain."""
    responder.receive(initiator.send())
    initiator.receive(responder.send())


class TestOutOfOrder:
    def test_within_a_chain(self) -> None:
        initiator, responder = open_pair()
        envelopes = initiator.send_many(5)
        for number in (3, 0, 4, 2, 1):
            assert responder.receive(envelopes[number]) == str(number).encode()
        assert responder.state.skipped_count == 0

    def test_each_late_message_opens_once(self) -> None:
        """R-6.4.6."""
        initiator, responder = open_pair()
        envelopes = initiator.send_many(4)
        responder.receive(envelopes[3])
        for number in (1, 0, 2):
            responder.receive(envelopes[number])
            responder.refuses(envelopes[number], match="not stored")

    def test_a_forged_copy_does_not_use_the_key_up(self) -> None:
        """R-6.4.3: the genuine message still opens after the forgery."""
        initiator, responder = open_pair()
        late, latest = initiator.send_many(2)
        responder.receive(latest)
        responder.refuses(late[:-1] + bytes([late[-1] ^ 1]))
        assert responder.receive(late) == b"0"

    def test_a_late_message_changes_nothing_else(self) -> None:
        """It counts as one received, and our own sending chain goes on."""
        initiator, responder = open_pair()
        late, latest = initiator.send_many(2)
        responder.receive(latest)
        responder.send()
        before = responder.state
        responder.receive(late)
        assert responder.state == replace(before, skipped=(), received=before.received + 1)
        initiator.receive(responder.send(b"second"))
        assert initiator.state.skipped_count == 1

    def test_across_a_dh_step(self) -> None:
        """The header's PN tells how many of the old chain are missing."""
        initiator, responder = open_pair()
        first, lost, late = initiator.send_many(3)
        responder.receive(first)
        initiator.receive(responder.send())
        assert responder.receive(initiator.send(b"new")) == b"new"
        assert responder.state.skipped_count == 2
        assert responder.receive(late) == b"2"
        assert responder.receive(lost) == b"1"
        assert responder.state.skipped_count == 0

    def test_first_message_lost(self) -> None:
        initiator, responder = new_pair()
        first, second = initiator.send_many(2)
        assert responder.receive(second) == b"1"
        assert responder.receive(first) == b"0"

    def test_whole_chain_overtaken_in_the_new_one(self) -> None:
        """A DH step skips in the old chain and in the new one at once."""
        initiator, responder = open_pair()
        old = initiator.send_many(3)
        responder.receive(old[0])
        initiator.receive(responder.send())
        new = initiator.send_many(3)
        responder.receive(new[2])
        assert responder.state.skipped_count == 4
        for envelope, text in ((new[0], b"0"), (old[2], b"2"), (new[1], b"1"), (old[1], b"1")):
            assert responder.receive(envelope) == text

    def test_forged_message_that_asks_for_skips_stores_none(self) -> None:
        """R-6.4.3: skipping is undone with everything else."""
        initiator, responder = open_pair()
        envelopes = initiator.send_many(10)
        responder.refuses(envelopes[9][:-1] + bytes([envelopes[9][-1] ^ 1]))
        assert responder.state.skipped_count == 0
        assert responder.receive(envelopes[0]) == b"0"

    def test_late_messages_of_several_old_chains(self) -> None:
        """The older chains' header keys are all tried."""
        initiator, responder = open_pair()
        late = []
        for _ in range(SKIPPED_KEY_MAX_CHAINS - 1):
            late.append(initiator.send(b"late"))
            turn(initiator, responder)
        responder.receive(initiator.send())
        assert len(responder.state.skipped) == SKIPPED_KEY_MAX_CHAINS - 1
        for envelope in late:
            assert responder.receive(envelope) == b"late"
        assert responder.state.skipped == ()


class TestMaxSkip:
    def test_a_gap_of_the_limit_is_bridged(self) -> None:
        """R-6.5.1."""
        initiator, responder = open_pair()
        envelopes = initiator.send_many(MAX_SKIP + 1)
        assert responder.receive(envelopes[MAX_SKIP]) == str(MAX_SKIP).encode()
        assert responder.state.skipped_count == MAX_SKIP

    def test_a_gap_beyond_the_limit_is_refused(self) -> None:
        """R-6.5.1: in the current chain."""
        initiator, responder = open_pair()
        responder.receive(initiator.send())
        envelopes = initiator.send_many(MAX_SKIP + 2)
        responder.refuses(envelopes[-1], TooManySkippedError, "1001 messages")
        assert responder.receive(envelopes[0]) == b"0"
        responder.receive(envelopes[-1])

    def test_in_a_new_chain(self) -> None:
        """R-6.5.1: the first message seen of a chain has too high a number."""
        initiator, responder = new_pair()
        envelopes = initiator.send_many(MAX_SKIP + 2)
        responder.refuses(envelopes[-1], TooManySkippedError, "1001 messages")
        responder.receive(envelopes[-2])
        assert responder.state.skipped_count == MAX_SKIP

    def test_at_the_end_of_the_old_chain(self) -> None:
        """R-6.5.1: PN is too far ahead."""
        initiator, responder = open_pair()
        old = initiator.send_many(MAX_SKIP + 2)
        responder.receive(old[0])
        initiator.receive(responder.send())
        new = initiator.send()
        responder.refuses(new, TooManySkippedError, "1001 messages")
        responder.receive(old[1])
        responder.receive(new)
        assert responder.state.skipped_count == MAX_SKIP

    def test_a_dh_step_may_skip_the_limit_twice(self) -> None:
        """R-6.5.1."""
        initiator, responder = open_pair()
        old = initiator.send_many(MAX_SKIP + 1)
        responder.receive(old[0])
        initiator.receive(responder.send())
        new = initiator.send_many(MAX_SKIP + 1)
        responder.receive(new[-1])
        assert responder.state.skipped_count == 2 * MAX_SKIP
        assert responder.receive(old[1]) == b"1"
        assert responder.receive(new[0]) == b"0"


class TestEviction:
    def test_oldest_go_first_and_the_new_message_opens(self) -> None:
        """R-6.5.2, R-6.5.3: a full store evicts, it never refuses."""
        initiator, responder = open_pair()
        envelopes = initiator.send_many(2 * MAX_SKIP + 13)
        responder.receive(envelopes[MAX_SKIP])
        responder.receive(envelopes[2 * MAX_SKIP + 1])
        assert responder.state.skipped_count == MAX_STORED_SKIPPED_KEYS
        assert responder.receive(envelopes[-1]) == str(2 * MAX_SKIP + 12).encode()
        assert responder.state.skipped_count == MAX_STORED_SKIPPED_KEYS
        responder.refuses(envelopes[9], match="not stored")
        assert responder.receive(envelopes[10]) == b"10"
        assert responder.receive(envelopes[-2]) == str(2 * MAX_SKIP + 11).encode()

    def test_a_whole_old_chain_can_be_evicted(self) -> None:
        """R-6.5.3: the lowest chain goes before the lowest number."""
        initiator, responder = open_pair()
        old = initiator.send_many(4)
        responder.receive(old[0])
        initiator.receive(responder.send())
        new = initiator.send_many(2 * MAX_SKIP + 2)
        responder.receive(new[MAX_SKIP])
        responder.receive(new[-1])
        assert responder.state.skipped_count == MAX_STORED_SKIPPED_KEYS
        assert [chain.ordinal for chain in responder.state.skipped] == [3]
        responder.refuses(old[3], match="no header key")
        assert responder.receive(new[0]) == b"0"


class TestExpiry:
    @pytest.mark.parametrize("later", [SKIPPED_KEY_MAX_CHAINS - 1, SKIPPED_KEY_MAX_CHAINS])
    def test_after_five_later_chains(self, later: int) -> None:
        """R-6.5.4: kept while four later chains have begun, gone with the fifth."""
        initiator, responder = open_pair()
        late, last = initiator.send_many(2)
        responder.receive(last)
        initiator.receive(responder.send())
        for _ in range(later):
            turn(initiator, responder)
        if later < SKIPPED_KEY_MAX_CHAINS:
            assert responder.receive(late) == b"0"
        else:
            assert responder.state.skipped == ()
            responder.refuses(late)

    @pytest.mark.parametrize("later", [SKIPPED_KEY_MAX_MESSAGES - 1, SKIPPED_KEY_MAX_MESSAGES])
    def test_after_a_thousand_later_messages(self, later: int) -> None:
        """R-6.5.4: counted from the message that overtook it."""
        initiator, responder = open_pair()
        late, overtaking = initiator.send_many(2)
        responder.receive(overtaking)
        for _ in range(later):
            responder.receive(initiator.send())
        if later < SKIPPED_KEY_MAX_MESSAGES:
            assert responder.receive(late) == b"0"
        else:
            assert responder.state.skipped == ()
            responder.refuses(late, match="not stored")

    def test_late_messages_count_as_received(self) -> None:
        """R-6.5.4: the thousandth later message may itself be a skipped one."""
        initiator, responder = open_pair()
        expiring, waiting, overtaking = initiator.send_many(3)
        responder.receive(overtaking)
        for _ in range(SKIPPED_KEY_MAX_MESSAGES - 2):
            responder.receive(initiator.send())
        other, more = initiator.send_many(2)
        responder.receive(more)
        assert responder.state.skipped_count == 3
        assert responder.receive(other) == b"0"
        assert responder.state.skipped == ()
        responder.refuses(expiring)
        responder.refuses(waiting)

    def test_only_the_old_ones_go(self) -> None:
        initiator, responder = open_pair()
        old, first, young, second = initiator.send_many(4)
        responder.receive(first)
        responder.receive(second)
        for _ in range(SKIPPED_KEY_MAX_MESSAGES - 1):
            responder.receive(initiator.send())
        assert responder.state.skipped_count == 1
        responder.refuses(old)
        assert responder.receive(young) == b"2"


def test_a_large_store_survives_storage() -> None:
    initiator, responder = open_pair()
    envelopes = initiator.send_many(MAX_SKIP + 1)
    responder.receive(envelopes[-1])
    responder.state = decode_state(encode_state(responder.state))
    for number in (0, 500, MAX_SKIP - 1):
        assert responder.receive(envelopes[number]) == str(number).encode()
        responder.refuses(envelopes[number])
