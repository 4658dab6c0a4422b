"""The stored session: ratchet state, counters, running digests (protocol.md §8.4 to §8.6).

A session outlives connections. Each ratchet message travels as an *envelope* with an index that
counts from 1; both directions count on their own. Until the peer acknowledges an index its
envelope is kept, and sent again byte for byte after a reconnect: no message key is used for a
second plaintext. Each side chains a digest over the envelopes it sent and received, so that two
sides whose stored states do not belong together (a restored backup, a lost disk, a copied
profile) see it at once.

Every function is pure: a new state comes back, or an error and nothing.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from p2pchat.constants import ENVELOPE_MAX_BYTES, HASH_LEN, SEND_WINDOW, SESSION_ID_LEN
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import DamagedStateError, LocalProtocolError, ProtocolError
from p2pchat.ratchet.double_ratchet import decrypt, encrypt, init_initiator, init_responder
from p2pchat.ratchet.snapshot import decode_state, encode_state
from p2pchat.ratchet.state import RatchetSeed, RatchetState

DIGEST_LABEL: Final = b"p2pchat/1 envelope digest"
INDEX_MAX: Final = 2**63 - 1
"""Indexes fit a signed 64-bit integer, the largest that stores and codecs share."""
SNAPSHOT_FORMAT: Final = 1
_HEAD: Final = struct.Struct(f">B{SESSION_ID_LEN}sQQ{HASH_LEN}sQ{HASH_LEN}s")


@dataclass(frozen=True, slots=True)
class SessionSeed:
    """What one handshake yields for a new session (§6.1); the caller drops it after use.

    Attributes:
        session_id: 16 bytes.
        ratchet: Root and header keys.
        associated_data: Handshake hash ‖ initiator identity ‖ responder identity; 96 bytes.
    """

    session_id: bytes
    ratchet: RatchetSeed
    associated_data: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """One sent ratchet message that the peer has not acknowledged.

    Attributes:
        index: From 1, without gaps.
        envelope: The encrypted bytes.
        digest: The chain digest after this envelope; 32 bytes.
        message_id: Of the application message inside, or None for an empty ratchet frame.
    """

    index: int
    envelope: bytes
    digest: bytes
    message_id: bytes | None


@dataclass(frozen=True, slots=True)
class SessionState:
    """One side of a session; immutable.

    Attributes:
        session_id: 16 bytes, the same on both sides.
        ratchet: The Double Ratchet's state.
        sent: Index of the last envelope sealed.
        acknowledged: Index up to which the peer has stored our envelopes.
        acknowledged_digest: Our sending digest at ``acknowledged``.
        received: Index of the last envelope opened.
        received_digest: Our receiving digest at ``received``.
        unacknowledged: Envelopes ``acknowledged + 1`` to ``sent``.
    """

    session_id: bytes
    ratchet: RatchetState
    sent: int
    acknowledged: int
    acknowledged_digest: bytes
    received: int
    received_digest: bytes
    unacknowledged: tuple[Envelope, ...]

    @property
    def window(self) -> int:
        """How many more envelopes may be sealed now."""
        return SEND_WINDOW - len(self.unacknowledged) if self.ratchet.can_send else 0


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """What a HELLO says of a stored session, for the other side to compare (§8.4)."""

    session_id: bytes
    sent: int
    received: int
    digest: bytes


def start_initiator(
    seed: SessionSeed, remote_ratchet_key: bytes, *, rng: Rng
) -> tuple[SessionState, Envelope]:
    """Begin as the Noise initiator, with the empty first envelope that the peer waits for."""
    ratchet = init_initiator(
        seed.ratchet,
        remote_ratchet_key=remote_ratchet_key,
        associated_data=seed.associated_data,
        rng=rng,
    )
    return seal(_fresh(seed.session_id, ratchet), b"", None, rng=rng)


def start_responder(seed: SessionSeed, ratchet_pair: KeyPair) -> SessionState:
    """Begin as the Noise responder; sending is possible after the first envelope received."""
    ratchet = init_responder(
        seed.ratchet, ratchet_pair=ratchet_pair, associated_data=seed.associated_data
    )
    return _fresh(seed.session_id, ratchet)


def seal(
    state: SessionState,
    content: bytes,
    message_id: bytes | None,
    *,
    rng: Rng,
    kem_due: bool = False,
) -> tuple[SessionState, Envelope]:
    """Encrypt ``content`` into the next envelope (R-8.5.1).

    Args:
        state: Current state; never modified.
        content: Of one application message, or nothing.
        message_id: Of that message.
        rng: For the ratchet.
        kem_due: So much time has passed that a hybrid step is due (R-6.7.3).

    Raises:
        LocalProtocolError: The window is full, or the ratchet cannot send yet.
    """
    if state.window <= 0:
        raise LocalProtocolError("too many messages wait for the peer's acknowledgement")
    ratchet, encrypted = encrypt(state.ratchet, content, rng=rng, kem_due=kem_due)
    last = state.unacknowledged[-1].digest if state.unacknowledged else state.acknowledged_digest
    index = state.sent + 1
    envelope = Envelope(index, encrypted, next_digest(last, encrypted), message_id)
    successor = replace(
        state, ratchet=ratchet, sent=index, unacknowledged=(*state.unacknowledged, envelope)
    )
    return successor, envelope


def open_envelope(
    state: SessionState, index: int, envelope: bytes
) -> tuple[SessionState, bytes] | None:
    """Decrypt the next envelope; None means that it is an old one, to be ignored (R-8.5.2).

    Raises:
        ProtocolError: A gap: the transport keeps order, so the peer skipped one (R-8.5.3).
        DecryptionError: It does not authenticate; the state is as it was.
    """
    if index <= state.received:
        return None
    if index != state.received + 1:
        raise ProtocolError("an envelope is missing")
    ratchet, content = decrypt(state.ratchet, envelope)
    digest = next_digest(state.received_digest, envelope)
    return replace(state, ratchet=ratchet, received=index, received_digest=digest), content


def acknowledge(state: SessionState, index: int) -> tuple[SessionState, tuple[bytes, ...]]:
    """Note that the peer stored everything up to ``index``; returns the message ids delivered.

    Raises:
        ProtocolError: It acknowledges what was never sent, or takes back an acknowledgement.
    """
    if not state.acknowledged <= index <= state.sent:
        raise ProtocolError("the peer acknowledged what was not sent")
    count = index - state.acknowledged
    if count == 0:
        return state, ()
    done, rest = state.unacknowledged[:count], state.unacknowledged[count:]
    successor = replace(
        state, acknowledged=index, acknowledged_digest=done[-1].digest, unacknowledged=rest
    )
    return successor, tuple(item.message_id for item in done if item.message_id is not None)


def summarise(state: SessionState) -> SessionSummary:
    """Return what our HELLO says of the session."""
    return SessionSummary(state.session_id, state.sent, state.received, state.received_digest)


def can_resume(state: SessionState, theirs: SessionSummary) -> bool:
    """Tell whether the peer's stored session and ours belong together (R-8.4.2)."""
    return (
        theirs.session_id == state.session_id
        and theirs.sent >= state.received
        and state.acknowledged <= theirs.received <= state.sent
        and theirs.digest == _sending_digest(state, theirs.received)
    )


def next_digest(previous: bytes, envelope: bytes) -> bytes:
    """Return the 32-byte chain digest after ``envelope`` (§8.4)."""
    return hashlib.sha256(DIGEST_LABEL + previous + envelope).digest()


def encode_session(state: SessionState) -> bytes:
    """Return the snapshot without its envelopes, which the store keeps one by one."""
    return _HEAD.pack(
        SNAPSHOT_FORMAT,
        state.session_id,
        state.sent,
        state.acknowledged,
        state.acknowledged_digest,
        state.received,
        state.received_digest,
    ) + encode_state(state.ratchet)


def decode_session(snapshot: bytes, envelopes: Sequence[Envelope]) -> SessionState:
    """Rebuild a session from its snapshot and its unacknowledged envelopes, in order.

    Raises:
        DamagedStateError: The parts do not fit together.
    """
    if len(snapshot) < _HEAD.size:
        raise DamagedStateError("a session's snapshot is cut short")
    head = _HEAD.unpack_from(snapshot)
    if head[0] != SNAPSHOT_FORMAT:
        raise DamagedStateError("a session's snapshot has an unknown format")
    _, session_id, sent, acknowledged, acknowledged_digest, received, received_digest = head
    digest = acknowledged_digest
    for index, item in enumerate(envelopes, start=acknowledged + 1):
        digest = next_digest(digest, item.envelope)
        if item.index != index or item.digest != digest:
            raise DamagedStateError("a session's envelopes do not follow one another")
    if acknowledged + len(envelopes) != sent:
        raise DamagedStateError("a session's envelopes are not complete")
    return SessionState(
        session_id,
        decode_state(snapshot[_HEAD.size :]),
        sent,
        acknowledged,
        acknowledged_digest,
        received,
        received_digest,
        tuple(envelopes),
    )


def check_envelope_size(size: int) -> None:
    """Return only if an envelope may have ``size`` bytes, before it is put together.

    Raises:
        ProtocolError: It may not.
    """
    if size > ENVELOPE_MAX_BYTES:
        raise ProtocolError("an envelope exceeds its limit")


def ratchet_seed(keys: bytes) -> tuple[RatchetSeed, bytes]:
    """Cut the 112 derived bytes into root key, header keys and session id (§6.1)."""
    return RatchetSeed(Secret(keys[:32]), Secret(keys[32:64]), Secret(keys[64:96])), keys[96:112]


def _fresh(session_id: bytes, ratchet: RatchetState) -> SessionState:
    digest = hashlib.sha256(DIGEST_LABEL + session_id).digest()
    return SessionState(session_id, ratchet, 0, 0, digest, 0, digest, ())


def _sending_digest(state: SessionState, index: int) -> bytes:
    if index == state.acknowledged:
        return state.acknowledged_digest
    return state.unacknowledged[index - state.acknowledged - 1].digest
