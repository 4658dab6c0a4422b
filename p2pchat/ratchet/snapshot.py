"""The stored form of a ratchet state (protocol.md §6.6); it never goes on the wire.

Binary, big-endian, versioned and canonical: one state has one snapshot, and ``decode_state``
takes nothing that ``encode_state`` would not write. It holds every key in the clear, so it
belongs in encrypted storage only. It carries no checksum: the store authenticates its pages,
and what is checked here keeps a wrong snapshot from becoming a state that no peer could reach.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any, Final, assert_never

from p2pchat.constants import (
    KEY_LEN,
    MAX_STORED_SKIPPED_KEYS,
    SKIPPED_KEY_MAX_CHAINS,
    SKIPPED_KEY_MAX_MESSAGES,
)
from p2pchat.crypto import kem
from p2pchat.crypto.secret import Secret
from p2pchat.crypto.x25519 import KeyPair, key_pair
from p2pchat.errors import DamagedStateError, InvalidKeyError
from p2pchat.ratchet import skipped as skipped_keys
from p2pchat.ratchet.header import CHAIN_MAX_MESSAGES
from p2pchat.ratchet.hybrid import Answered, KemSchedule, KemStep, Offered, Owed
from p2pchat.ratchet.schedule import HeaderKey
from p2pchat.ratchet.skipped import RECORD, SkippedChain, SkippedKeys
from p2pchat.ratchet.state import ASSOCIATED_DATA_LEN, Chain, Phase, RatchetState, Root

SNAPSHOT_VERSION: Final = 2

_FIXED: Final = struct.Struct(f">BB{ASSOCIATED_DATA_LEN}s{KEY_LEN}s{KEY_LEN}s{KEY_LEN}sIQQ")
"""Version, phase, associated data, root key, next sending and next receiving header key, length
of the previous sending chain, receiving chains begun, messages received."""
_KEM: Final = struct.Struct(">BBQQQ")
"""Whether this side initiated the session, which step is under way, steps completed, messages
sent since (in chains that have ended), messages received before."""
_CHAIN: Final = struct.Struct(f">{KEY_LEN}s{KEY_LEN}sI")
"""Chain key, header key, next number."""
_SKIPPED_CHAIN: Final = struct.Struct(f">Q{KEY_LEN}sH")
"""Ordinal, header key, number of records that follow."""

_KEM_IDLE: Final = 0
_KEM_OFFERED: Final = 1
_KEM_OWED: Final = 2
_KEM_ANSWERED: Final = 3


def encode_state(state: RatchetState) -> bytes:
    """Return the snapshot of ``state``.

    At most 1529 bytes, and 44 for each skipped key with 42 for each of their chains. A KEM pair
    is stored as its seed, and expanded again by ``decode_state``.
    """
    root = state.root
    parts = [
        _FIXED.pack(
            SNAPSHOT_VERSION,
            state.phase,
            root.associated_data,
            root.root_key.reveal(),
            root.next_sending_header_key.secret.reveal(),
            root.next_receiving_header_key.secret.reveal(),
            root.previous_sent,
            root.chains_received,
            state.received,
        )
    ]
    parts.extend(_encode_kem(root.kem))
    if root.ratchet_pair is not None:
        parts.append(root.ratchet_pair.private.reveal())
    if root.remote_key is not None:
        parts.append(root.remote_key)
    parts.extend(
        _CHAIN.pack(chain.chain_key.reveal(), chain.header_key.secret.reveal(), chain.number)
        for chain in (state.sending, state.receiving)
        if chain is not None
    )
    parts.append(bytes([len(state.skipped)]))
    for skipped in state.skipped:
        parts.append(
            _SKIPPED_CHAIN.pack(skipped.ordinal, skipped.header_key.secret.reveal(), len(skipped))
        )
        parts.append(skipped.records.reveal())
    return b"".join(parts)


def decode_state(snapshot: bytes) -> RatchetState:
    """Return the state that ``encode_state`` wrote.

    Raises:
        DamagedStateError: Another version, cut short, too long, or no state that can occur
            (R-6.6.1).
    """
    reader = _Reader(snapshot)
    (
        version,
        phase_value,
        associated_data,
        root_key,
        next_sending,
        next_receiving,
        previous_sent,
        chains_received,
        received,
    ) = reader.unpack(_FIXED)
    _require(version == SNAPSHOT_VERSION, f"version {version} is not known here")
    _require(phase_value in set(Phase), "there is no such phase")
    phase = Phase(phase_value)
    schedule = _read_kem(reader)
    has_pair = phase is not Phase.TO_REPLY
    has_remote = phase is not Phase.AWAITING_FIRST
    has_sending = phase in (Phase.INITIATED, Phase.REPLIED)
    has_receiving = phase in (Phase.TO_REPLY, Phase.REPLIED)

    ratchet_pair: KeyPair | None = key_pair(Secret(reader.take(KEY_LEN))) if has_pair else None
    remote_key = reader.take(KEY_LEN) if has_remote else None
    sending = _read_chain(reader) if has_sending else None
    receiving = _read_chain(reader) if has_receiving else None
    skipped = tuple(_read_skipped_chain(reader) for _ in range(reader.take(1)[0]))
    reader.finish()

    state = RatchetState(
        Root(
            associated_data=associated_data,
            root_key=Secret(root_key),
            ratchet_pair=ratchet_pair,
            remote_key=remote_key,
            next_sending_header_key=HeaderKey(Secret(next_sending)),
            next_receiving_header_key=HeaderKey(Secret(next_receiving)),
            previous_sent=previous_sent,
            chains_received=chains_received,
            kem=schedule,
        ),
        sending,
        receiving,
        skipped,
        received,
    )
    _check_counts(state)
    _check_kem(state)
    _check_skipped(state)
    return state


class _Reader:
    """Takes fields from the front of a snapshot."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> bytes:
        start, self._position = self._position, self._position + count
        _require(self._position <= len(self._data), "it is cut short")
        return self._data[start : self._position]

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        return layout.unpack(self.take(layout.size))

    def finish(self) -> None:
        _require(self._position == len(self._data), "something follows its end")


def _read_chain(reader: _Reader) -> Chain:
    chain_key, header_key, number = reader.unpack(_CHAIN)
    return Chain(Secret(chain_key), HeaderKey(Secret(header_key)), number)


def _read_skipped_chain(reader: _Reader) -> SkippedChain:
    ordinal, header_key, count = reader.unpack(_SKIPPED_CHAIN)
    _require(count > 0, "a chain of skipped keys is empty")
    records = reader.take(count * RECORD.size)
    return SkippedChain(ordinal, HeaderKey(Secret(header_key)), Secret(records))


def _encode_kem(schedule: KemSchedule) -> tuple[bytes, bytes]:
    match schedule.step:
        case None:
            kind, data = _KEM_IDLE, b""
        case Offered(pair):
            kind, data = _KEM_OFFERED, pair.private.reveal()
        case Owed(encoded):
            kind, data = _KEM_OWED, encoded
        case Answered(ciphertext):
            kind, data = _KEM_ANSWERED, ciphertext
        case unreachable:
            assert_never(unreachable)
    counts = schedule.completed, schedule.sent, schedule.received_before
    return _KEM.pack(schedule.initiator, kind, *counts), data


def _read_kem(reader: _Reader) -> KemSchedule:
    initiator, kind, completed, sent, received_before = reader.unpack(_KEM)
    _require(initiator in (0, 1), "its side is neither of the two")
    step: KemStep | None = None
    if kind == _KEM_OFFERED:
        step = Offered(kem.key_pair(Secret(reader.take(kem.SEED_LEN))))
    elif kind == _KEM_OWED:
        try:
            step = Owed(reader.take(kem.ENCAPSULATION_KEY_LEN))
        except InvalidKeyError:
            _require(False, "the peer's encapsulation key is not one")
    elif kind == _KEM_ANSWERED:
        step = Answered(reader.take(kem.CIPHERTEXT_LEN))
    else:
        _require(kind == _KEM_IDLE, "there is no such step of key encapsulation")
    return KemSchedule(bool(initiator), completed, sent, received_before, step)


def _check_kem(state: RatchetState) -> None:
    """Refuse a schedule that the phase, the counters or the turns rule out."""
    schedule, phase = state.root.kem, state.phase
    match schedule.step:
        case None:
            possible = True
        case Offered():
            possible = phase is Phase.REPLIED and schedule.is_our_turn
        case Owed():
            possible = phase is Phase.TO_REPLY and not schedule.is_our_turn
        case Answered():
            possible = phase is Phase.REPLIED and schedule.is_our_turn and schedule.sent == 0
        case unreachable:
            assert_never(unreachable)
    _require(possible, "its step of key encapsulation is not possible now")
    if state.receiving is None:
        side = schedule.initiator is (phase is Phase.INITIATED)
        _require(side and schedule.sent == 0, "its side and its phase disagree")
    _require(
        schedule.completed <= state.root.chains_received
        and schedule.received_before <= state.received
        and (schedule.completed > 0 or schedule.received_before == 0),
        "its steps of key encapsulation and its messages disagree",
    )


def _check_counts(state: RatchetState) -> None:
    """Refuse counters that contradict each other or the phase."""
    root = state.root
    if state.receiving is None:
        consistent = root.chains_received == root.previous_sent == state.received == 0
        _require(consistent, "it counts messages before the first")
    else:
        _require(1 <= root.chains_received <= state.received, "its chains and messages disagree")
        _require(state.receiving.number >= 1, "its receiving chain has no message")


def _check_skipped(state: RatchetState) -> None:
    """Refuse skipped keys that ``skipped`` would not hold, or not in this order."""
    skipped: SkippedKeys = state.skipped
    if not skipped:
        return
    root, receiving = state.root, state.receiving
    _require(skipped_keys.count(skipped) <= MAX_STORED_SKIPPED_KEYS, "it has too many skipped keys")
    ordinals = [chain.ordinal for chain in skipped]
    ascending = all(earlier < later for earlier, later in pairwise(ordinals))
    oldest = root.chains_received - SKIPPED_KEY_MAX_CHAINS + 1
    in_range = max(1, oldest) <= ordinals[0] and ordinals[-1] <= root.chains_received
    _require(ascending and in_range, "its skipped chains are out of order")

    oldest_stored_at = max(1, state.received - SKIPPED_KEY_MAX_MESSAGES + 1)
    for chain in skipped:
        limit = CHAIN_MAX_MESSAGES
        if receiving is not None and chain.ordinal == root.chains_received:
            _require(chain.header_key == receiving.header_key, "its header keys disagree")
            limit = receiving.number
        last_number = -1
        for number, stored_at, _ in RECORD.iter_unpack(chain.records.reveal()):
            _require(last_number < number < limit, "its skipped keys are out of order")
            _require(oldest_stored_at <= stored_at <= state.received, "its skipped keys are stale")
            last_number, oldest_stored_at = number, stored_at


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise DamagedStateError(f"the ratchet snapshot is damaged: {otherwise}")
