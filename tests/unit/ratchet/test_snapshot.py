"""Stored states: exact, canonical, and strict about what they take back (protocol.md §6.6)."""

from __future__ import annotations

import struct

import pytest

from p2pchat.constants import MAX_SKIP
from p2pchat.crypto.secret import Secret
from p2pchat.errors import DamagedStateError, P2PChatError, ProtocolError, StoreError
from p2pchat.ratchet.hybrid import Answered, KemStep, Offered, Owed
from p2pchat.ratchet.snapshot import decode_state, encode_state
from p2pchat.ratchet.state import Phase, RatchetState
from tests.support.ratchet_pair import Party, kem_part, new_pair, open_pair

COUNTS_AT = 2 + 96 + 3 * 32
"""Offset of the previous chain's length (u32), chains begun (u64), messages received (u64)."""
KEM_AT = COUNTS_AT + 20
"""Offset of the side (u8), the step (u8), steps completed, messages sent since and messages
received before (u64 each); and then of the step's bytes."""


def in_phase(phase: Phase) -> Party:
    initiator, responder = new_pair()
    match phase:
        case Phase.AWAITING_FIRST:
            return responder
        case Phase.INITIATED:
            return initiator
        case Phase.TO_REPLY:
            responder.receive(initiator.send())
            return responder
        case Phase.REPLIED:
            responder.receive(initiator.send())
            responder.send()
            return responder


def with_skipped_keys() -> RatchetState:
    """Chain 2 lacks messages 1 and 2, chain 3 lacks 0 and 2."""
    initiator, responder = open_pair()
    responder.receive(initiator.send_many(3)[0])
    initiator.receive(responder.send())
    envelopes = initiator.send_many(4)
    responder.receive(envelopes[1])
    responder.receive(envelopes[3])
    return responder.state


def patched(snapshot: bytes, offset: int, layout: str, value: int) -> bytes:
    size = struct.calcsize(layout)
    return snapshot[:offset] + struct.pack(layout, value) + snapshot[offset + size :]


@pytest.mark.parametrize("phase", list(Phase))
def test_round_trip_in_each_phase(phase: Phase) -> None:
    party = in_phase(phase)
    assert party.phase() is phase
    snapshot = encode_state(party.state)
    assert decode_state(snapshot) == party.state
    assert encode_state(decode_state(snapshot)) == snapshot


@pytest.mark.parametrize(
    ("phase", "length"),
    [
        (Phase.AWAITING_FIRST, 273),
        (Phase.INITIATED, 373),
        (Phase.TO_REPLY, 341),
        (Phase.REPLIED, 441),
    ],
)
def test_size(phase: Phase, length: int) -> None:
    assert len(encode_state(in_phase(phase).state)) == length


def in_step(kind: type[KemStep]) -> Party:
    """Return a party in the midst of the session's first hybrid step."""
    initiator, responder = open_pair()
    offer = initiator.send(kem_due=True)
    if kind is Offered:
        return initiator
    responder.receive(offer)
    if kind is Answered:
        responder.send()
    return responder


STEPS = [(Offered, 441 + 64), (Owed, 341 + 1184), (Answered, 441 + 1088)]


@pytest.mark.parametrize(("kind", "length"), STEPS)
def test_round_trip_in_each_hybrid_step(kind: type[KemStep], length: int) -> None:
    state = in_step(kind).state
    assert type(state.root.kem.step) is kind
    snapshot = encode_state(state)
    assert len(snapshot) == length
    restored = decode_state(snapshot)
    assert restored == state
    assert kem_part(restored) == kem_part(state)
    assert encode_state(restored) == snapshot


def test_counts_of_hybrid_steps_come_back() -> None:
    """Side, steps, messages since: as in a state that was never stored."""
    initiator, responder = open_pair()
    for turn in range(5):
        responder.receive(initiator.send_many(3)[turn % 3])
        initiator.receive(responder.send(kem_due=turn > 0))
        for party in (initiator, responder):
            assert decode_state(encode_state(party.state)) == party.state
        initiator.receive(responder.send())
        responder.receive(initiator.send(kem_due=turn > 1))
    assert initiator.state.kem_steps > 0


def test_round_trip_with_skipped_keys() -> None:
    state = with_skipped_keys()
    snapshot = encode_state(state)
    assert [len(chain) for chain in state.skipped] == [2, 2]
    assert len(snapshot) == 341 + 2 * 42 + 4 * 44
    assert decode_state(snapshot) == state
    assert encode_state(decode_state(snapshot)) == snapshot


def test_a_restored_conversation_goes_on() -> None:
    initiator, responder = open_pair()
    late, latest = initiator.send_many(2)
    responder.receive(latest)
    for party in (initiator, responder):
        party.state = decode_state(encode_state(party.state))
    assert responder.receive(late) == b"0"
    assert initiator.receive(responder.send(b"answer")) == b"answer"
    assert responder.receive(initiator.send(b"more")) == b"more"


def test_states_differ_if_any_key_differs() -> None:
    first, _ = new_pair("first")
    second, _ = new_pair("second")
    assert first.state != second.state
    assert encode_state(first.state) != encode_state(second.state)


class TestDamage:
    """R-6.6.1: nothing that was not written is taken."""

    @pytest.mark.parametrize("phase", list(Phase))
    def test_every_truncation(self, phase: Phase) -> None:
        snapshot = encode_state(in_phase(phase).state)
        for length in range(len(snapshot)):
            with pytest.raises(DamagedStateError):
                decode_state(snapshot[:length])

    def test_truncated_in_the_skipped_keys(self) -> None:
        snapshot = encode_state(with_skipped_keys())
        for length in range(341, len(snapshot)):
            with pytest.raises(DamagedStateError, match="cut short"):
                decode_state(snapshot[:length])

    @pytest.mark.parametrize("phase", list(Phase))
    def test_extension(self, phase: Phase) -> None:
        with pytest.raises(DamagedStateError, match="follows its end"):
            decode_state(encode_state(in_phase(phase).state) + b"\x00")

    @pytest.mark.parametrize("version", [0, 1, 3, 255])
    def test_other_version(self, version: int) -> None:
        snapshot = encode_state(in_phase(Phase.REPLIED).state)
        with pytest.raises(DamagedStateError, match="version"):
            decode_state(patched(snapshot, 0, ">B", version))

    @pytest.mark.parametrize("value", [4, 255])
    def test_unknown_phase(self, value: int) -> None:
        snapshot = encode_state(in_phase(Phase.REPLIED).state)
        with pytest.raises(DamagedStateError, match="phase"):
            decode_state(patched(snapshot, 1, ">B", value))

    @pytest.mark.parametrize("written", list(Phase))
    @pytest.mark.parametrize("claimed", list(Phase))
    def test_another_phase_than_its_own(self, written: Phase, claimed: Phase) -> None:
        snapshot = patched(encode_state(in_phase(written).state), 1, ">B", claimed)
        if claimed is written:
            decode_state(snapshot)
        else:
            with pytest.raises(DamagedStateError):
                decode_state(snapshot)

    @pytest.mark.parametrize("phase", [Phase.AWAITING_FIRST, Phase.INITIATED])
    @pytest.mark.parametrize(("offset", "layout"), [(0, ">I"), (4, ">Q"), (12, ">Q")])
    def test_counts_before_the_first_message(self, phase: Phase, offset: int, layout: str) -> None:
        snapshot = patched(encode_state(in_phase(phase).state), COUNTS_AT + offset, layout, 1)
        with pytest.raises(DamagedStateError, match="before the first"):
            decode_state(snapshot)

    @pytest.mark.parametrize(("chains", "received"), [(0, 1), (0, 0), (2, 1)])
    def test_chains_and_messages_disagree(self, chains: int, received: int) -> None:
        snapshot = encode_state(in_phase(Phase.REPLIED).state)
        snapshot = patched(snapshot, COUNTS_AT + 4, ">Q", chains)
        snapshot = patched(snapshot, COUNTS_AT + 12, ">Q", received)
        with pytest.raises(DamagedStateError, match="disagree"):
            decode_state(snapshot)

    def test_receiving_chain_without_a_message(self) -> None:
        snapshot = encode_state(in_phase(Phase.TO_REPLY).state)
        number_at = len(snapshot) - 1 - 4
        assert snapshot[number_at : number_at + 4] == bytes([0, 0, 0, 1])
        with pytest.raises(DamagedStateError, match="no message"):
            decode_state(patched(snapshot, number_at, ">I", 0))

    @pytest.mark.parametrize(("kind", "length"), STEPS)
    def test_every_truncation_in_a_hybrid_step(self, kind: type[KemStep], length: int) -> None:
        snapshot = encode_state(in_step(kind).state)
        for short in range(KEM_AT, length, 7):
            with pytest.raises(DamagedStateError):
                decode_state(snapshot[:short])

    @pytest.mark.parametrize("phase", list(Phase))
    @pytest.mark.parametrize(
        ("offset", "layout", "value", "match"),
        [
            (0, ">B", 2, "neither of the two"),
            (1, ">B", 4, "no such step"),
            (2, ">Q", 9, "disagree"),
            (18, ">Q", 9, "disagree"),
            (18, ">Q", 1, "disagree"),
        ],
    )
    def test_hybrid_schedule(
        self, phase: Phase, offset: int, layout: str, value: int, match: str
    ) -> None:
        """R-6.6.1: sides, steps and counts that cannot be."""
        snapshot = encode_state(in_phase(phase).state)
        with pytest.raises(DamagedStateError, match=match):
            decode_state(patched(snapshot, KEM_AT + offset, layout, value))

    @pytest.mark.parametrize("phase", [Phase.AWAITING_FIRST, Phase.INITIATED])
    def test_side_and_phase_disagree(self, phase: Phase) -> None:
        snapshot = encode_state(in_phase(phase).state)
        for damaged in (
            patched(snapshot, KEM_AT, ">B", 1 - snapshot[KEM_AT]),
            patched(snapshot, KEM_AT + 10, ">Q", 1),
        ):
            with pytest.raises(DamagedStateError, match="side and its phase"):
                decode_state(damaged)

    @pytest.mark.parametrize(("kind", "_length"), STEPS)
    def test_hybrid_step_of_the_other_side(self, kind: type[KemStep], _length: int) -> None:
        """Each of the three steps belongs to a turn."""
        snapshot = encode_state(in_step(kind).state)
        damaged = patched(snapshot, KEM_AT, ">B", 1 - snapshot[KEM_AT])
        with pytest.raises(DamagedStateError, match="not possible now"):
            decode_state(damaged)

    @pytest.mark.parametrize("phase", list(Phase))
    @pytest.mark.parametrize("step", [1, 2, 3])
    def test_hybrid_step_in_another_phase(self, phase: Phase, step: int) -> None:
        """An answer is owed in TO_REPLY only, and carried in REPLIED only."""
        donor = (Offered, Owed, Answered)[step - 1]
        length = {1: 64, 2: 1184, 3: 1088}[step]
        data = encode_state(in_step(donor).state)[KEM_AT + 26 :][:length]
        initiator = int(step == 1 or (step == 3 and phase is Phase.REPLIED))
        snapshot = encode_state(in_phase(phase).state)
        head = patched(snapshot[: KEM_AT + 26], KEM_AT + 1, ">B", step)
        head = patched(head, KEM_AT, ">B", initiator)
        allowed = {1: Phase.REPLIED, 2: Phase.TO_REPLY, 3: Phase.REPLIED}[step]
        damaged = head + data + snapshot[KEM_AT + 26 :]
        if phase is allowed:
            decode_state(damaged)
        else:
            with pytest.raises(DamagedStateError, match="not possible now"):
                decode_state(damaged)

    def test_answer_with_messages_before_it(self) -> None:
        snapshot = encode_state(in_step(Answered).state)
        with pytest.raises(DamagedStateError, match="not possible now"):
            decode_state(patched(snapshot, KEM_AT + 10, ">Q", 1))

    def test_step_completed_by_a_message_to_come(self) -> None:
        snapshot = encode_state(in_step(Answered).state)
        with pytest.raises(DamagedStateError, match="disagree"):
            decode_state(patched(snapshot, KEM_AT + 18, ">Q", 99))

    def test_key_owed_is_examined(self) -> None:
        """R-6.7.5."""
        snapshot = encode_state(in_step(Owed).state)
        with pytest.raises(DamagedStateError, match="not one"):
            decode_state(patched(snapshot, KEM_AT + 26, ">H", 0xFFFF))

    def test_it_is_neither_a_peers_fault_nor_the_stores(self) -> None:
        assert issubclass(DamagedStateError, P2PChatError)
        assert not issubclass(DamagedStateError, ProtocolError | StoreError)


class TestDamagedSkippedKeys:
    """R-6.6.1, for the store of skipped keys; offsets are those of ``with_skipped_keys``."""

    FIRST = 341
    """Chain 2: ordinal u64, header key, count u16; then records of u32, u64, key."""
    SECOND = FIRST + 42 + 2 * 44
    """Chain 3, likewise."""

    def refuses(self, offset: int, layout: str, value: int, match: str) -> None:
        snapshot = encode_state(with_skipped_keys())
        damaged = patched(snapshot, offset, layout, value)
        assert damaged != snapshot
        with pytest.raises(DamagedStateError, match=match):
            decode_state(damaged)

    def test_the_offsets_are_right(self) -> None:
        snapshot = encode_state(with_skipped_keys())
        unpack = struct.unpack_from
        assert snapshot[self.FIRST - 1] == 2
        assert unpack(">Q32xHIQ", snapshot, self.FIRST) == (2, 2, 1, 3)
        assert unpack(">Q32xHIQ", snapshot, self.SECOND) == (3, 2, 0, 3)
        assert unpack(">IQ", snapshot, self.SECOND + 42 + 44) == (2, 4)

    def test_chain_of_the_future(self) -> None:
        self.refuses(self.SECOND, ">Q", 4, "out of order")

    def test_chain_zero(self) -> None:
        self.refuses(self.FIRST, ">Q", 0, "out of order")

    def test_same_chain_twice(self) -> None:
        self.refuses(self.FIRST, ">Q", 3, "out of order")

    def test_chain_that_should_be_gone(self) -> None:
        """Four chains back is kept, five is not."""
        initiator, responder = open_pair()
        responder.receive(initiator.send_many(2)[1])
        for _ in range(4):
            initiator.receive(responder.send())
            responder.receive(initiator.send())
        responder.receive(initiator.send())
        snapshot = encode_state(responder.state)
        assert decode_state(snapshot) == responder.state
        chains = responder.state.root.chains_received
        assert responder.state.skipped[0].ordinal == chains - 4
        with pytest.raises(DamagedStateError, match="chains are out of order"):
            decode_state(patched(snapshot, COUNTS_AT + 4, ">Q", chains + 1))

    def test_oldest_possible_key(self) -> None:
        """The very first message of a session can be a skipped one."""
        initiator, responder = new_pair()
        responder.receive(initiator.send_many(2)[1])
        snapshot = encode_state(responder.state)
        assert struct.unpack_from(">Q32xHIQ", snapshot, self.FIRST) == (1, 1, 0, 1)
        assert decode_state(snapshot) == responder.state

    def test_header_key_of_the_current_chain(self) -> None:
        self.refuses(self.SECOND + 8, ">Q", 0, "header keys disagree")

    def test_empty_chain(self) -> None:
        self.refuses(self.FIRST + 40, ">H", 0, "empty")

    def test_number_not_ascending(self) -> None:
        self.refuses(self.FIRST + 42, ">I", 2, "out of order")

    def test_number_not_skipped_yet(self) -> None:
        self.refuses(self.SECOND + 42 + 44, ">I", 4, "out of order")

    def test_number_that_no_chain_has(self) -> None:
        self.refuses(self.FIRST + 42 + 44, ">I", 2**32 - 1, "out of order")

    def test_stored_by_no_message(self) -> None:
        self.refuses(self.FIRST + 46, ">Q", 0, "stale")

    def test_stored_by_a_message_to_come(self) -> None:
        self.refuses(self.SECOND + 42 + 44 + 4, ">Q", 5, "stale")

    def test_stored_earlier_than_one_before_it(self) -> None:
        self.refuses(self.FIRST + 46, ">Q", 4, "stale")

    def test_stored_too_long_ago(self) -> None:
        """Received 1003: what the third message stored should be gone."""
        self.refuses(COUNTS_AT + 12, ">Q", 1003, "stale")
        snapshot = patched(encode_state(with_skipped_keys()), COUNTS_AT + 12, ">Q", 1002)
        assert decode_state(snapshot).received == 1002

    def test_more_than_the_cap(self) -> None:
        initiator, responder = open_pair()
        old = initiator.send_many(MAX_SKIP + 1)
        responder.receive(old[0])
        initiator.receive(responder.send())
        responder.receive(initiator.send_many(MAX_SKIP + 1)[-1])
        snapshot = encode_state(responder.state)
        assert decode_state(snapshot).skipped_count == 2000
        last = snapshot[-44:]
        count_at = len(snapshot) - MAX_SKIP * 44 - 2
        more = patched(snapshot, count_at, ">H", MAX_SKIP + 1) + last
        with pytest.raises(DamagedStateError, match="too many"):
            decode_state(more)


def test_repr_shows_no_key() -> None:
    """R-2.1.1: nor does that of any part."""
    state = with_skipped_keys()
    assert repr(state) == "<RatchetState TO_REPLY chains=3 received=4 skipped=4>"
    root = in_phase(Phase.REPLIED).state.root
    assert root.ratchet_pair is not None
    assert root.remote_key is not None
    secrets = [
        root.root_key,
        root.ratchet_pair.private,
        root.next_sending_header_key.secret,
        Secret(root.ratchet_pair.public),
        Secret(root.remote_key),
    ]
    for secret in secrets:
        assert repr(secret.reveal()) not in repr(root)
        assert secret.reveal().hex() not in repr(root)
