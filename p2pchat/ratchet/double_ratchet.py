"""Signal's Double Ratchet with header encryption, as pure functions (protocol.md §6.4).

Invariants: a call never changes the state it is given; a call that raises has returned nothing,
so forged, replayed and over-gap messages leave no trace; nothing of a message takes effect
before its tag is checked. The caller stores the successor state before the envelope leaves the
machine, and before the plaintext is acknowledged: a state used twice would use its message key
twice. Who may encrypt how much and when to start a new session is not decided here; nor which
root steps are hybrid: that is ``hybrid``.
"""

from __future__ import annotations

from p2pchat.constants import ENVELOPE_MAX_BYTES, MAX_SKIP
from p2pchat.crypto import aead, x25519
from p2pchat.crypto.aead import NONCE_LEN
from p2pchat.crypto.kem import EncapsulationKey
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import (
    DecryptionError,
    InvalidKeyError,
    LocalProtocolError,
    TooManySkippedError,
)
from p2pchat.ratchet import hybrid
from p2pchat.ratchet import skipped as skipped_keys
from p2pchat.ratchet.header import (
    CHAIN_MAX_MESSAGES,
    ENVELOPE_MIN_BYTES,
    Header,
    nonce_of,
    open_header,
    seal_prefix,
    split_envelope,
)
from p2pchat.ratchet.hybrid import Encapsulate, KemSchedule
from p2pchat.ratchet.schedule import HeaderKey, chain_step, root_step
from p2pchat.ratchet.skipped import SkippedKeys
from p2pchat.ratchet.state import ASSOCIATED_DATA_LEN, Chain, RatchetSeed, RatchetState, Root


def init_initiator(
    seed: RatchetSeed, *, remote_ratchet_key: bytes, associated_data: bytes, rng: Rng
) -> RatchetState:
    """Begin as the Noise initiator, Signal's Alice, who can send at once (R-6.2.1).

    Args:
        seed: From the handshake.
        remote_ratchet_key: The responder's fresh X25519 key from its encrypted payload; 32 bytes.
        associated_data: Handshake hash ‖ initiator identity ‖ responder identity; 96 bytes.
        rng: Called once, for the 32 bytes of a ratchet key.

    Raises:
        InvalidKeyError: The remote key is not 32 bytes, or of low order.
        ValueError: The associated data is not 96 bytes; a fault of the caller.
    """
    before = _initial_root(
        seed.root_key,
        initiator=True,
        ratchet_pair=None,
        sending_header_key=seed.header_key_initiator,
        receiving_header_key=seed.next_header_key,
        associated_data=associated_data,
    )
    root, sending = _begin_sending_chain(
        before,
        remote_ratchet_key,
        received=0,
        kem_due=False,
        rng=rng,
        encapsulate=EncapsulationKey.encapsulate,
    )
    return RatchetState(root, sending, None, (), 0)


def init_responder(
    seed: RatchetSeed, *, ratchet_pair: KeyPair, associated_data: bytes
) -> RatchetState:
    """Begin as the Noise responder, Signal's Bob, who first has to receive (R-6.2.2).

    Args:
        seed: From the handshake.
        ratchet_pair: Fresh X25519 pair whose public half the initiator got; used for nothing else.
        associated_data: Handshake hash ‖ initiator identity ‖ responder identity; 96 bytes.

    Raises:
        ValueError: The associated data is not 96 bytes; a fault of the caller.
    """
    root = _initial_root(
        seed.root_key,
        initiator=False,
        ratchet_pair=ratchet_pair,
        sending_header_key=seed.next_header_key,
        receiving_header_key=seed.header_key_initiator,
        associated_data=associated_data,
    )
    return RatchetState(root, None, None, (), 0)


def encrypt(
    state: RatchetState,
    plaintext: bytes,
    *,
    rng: Rng,
    kem_due: bool = False,
    encapsulate: Encapsulate = EncapsulationKey.encapsulate,
) -> tuple[RatchetState, bytes]:
    """Encrypt one message (protocol.md §6.4, R-6.4.1, R-6.4.2).

    Args:
        state: Current state; never modified.
        plaintext: 0..72458 bytes.
        rng: Called for the 32 bytes of a ratchet key if this begins a sending chain, then for
            the 64 bytes of a KEM seed if the chain offers a key, and then for the 12 bytes of
            the nonce.
        kem_due: Whether a hybrid step should be made for another reason than the number of
            messages since the last (an hour has passed); without effect in the midst of a chain
            or when it is the peer's turn.
        encapsulate: Called once if this begins a chain that answers the peer's key. The library
            draws the randomness of that itself; test vectors inject the result.

    Returns:
        The successor state, which must be durable before the envelope leaves, and the envelope:
        1270 bytes longer than the plaintext.

    Raises:
        LocalProtocolError: ``state.can_send`` is false, or the plaintext is too long.
    """
    root, sending = state.root, state.sending
    if len(plaintext) > ENVELOPE_MAX_BYTES - ENVELOPE_MIN_BYTES:
        raise LocalProtocolError(f"a plaintext of {len(plaintext)} bytes does not fit an envelope")
    if sending is None:
        if root.remote_key is None:
            raise LocalProtocolError("the responder cannot send before the first message has come")
        root, sending = _begin_sending_chain(
            root,
            root.remote_key,
            received=state.received,
            kem_due=kem_due,
            rng=rng,
            encapsulate=encapsulate,
        )
    ratchet_pair, number = root.ratchet_pair, sending.number
    assert ratchet_pair is not None  # noqa: S101 - a sending chain exists only with its pair
    if number >= CHAIN_MAX_MESSAGES:
        raise LocalProtocolError("the sending chain is used up until the peer answers")
    message_key, chain_key = chain_step(sending.chain_key.reveal())
    # Under the header key this nonce is unique as one of fewer than 2^32 random ones (§6.3 has
    # the bound). Under the message key it is unique since that key seals this message only; and
    # should a state ever be used twice against all rules (a restored disk), it still differs.
    nonce = rng(NONCE_LEN)
    associated_data, kem = root.associated_data, root.kem
    prefix = seal_prefix(
        Header(kem.flags, ratchet_pair.public, root.previous_sent, number, kem.kem_field),
        sending.header_key,
        nonce,
        associated_data,
    )
    body = aead.seal(message_key, nonce, plaintext, associated_data + prefix)
    sending = Chain(Secret(chain_key), sending.header_key, number + 1)
    successor = RatchetState(root, sending, state.receiving, state.skipped, state.received)
    return successor, prefix + body


def decrypt(state: RatchetState, envelope: bytes) -> tuple[RatchetState, bytes]:
    """Authenticate and decrypt one message (protocol.md §6.4, R-6.4.3).

    Needs no randomness: the half of a DH step that does waits for ``encrypt``.

    Args:
        state: Current state; never modified.
        envelope: As received.

    Returns:
        The successor state and ``len(envelope) - 1270`` plaintext bytes.

    Raises:
        DecryptionError: Malformed, forged, replayed, key evicted, or a KEM part that is not due;
            deliberately one case.
        TooManySkippedError: Gap exceeds ``MAX_SKIP`` (§6.5).
    """
    prefix, body = split_envelope(envelope)
    root, receiving = state.root, state.receiving
    associated_data = root.associated_data
    if root.ratchet_pair is not None:
        # The likelier key first: once we have sent, the peer answers in a new chain. And without
        # a pair the peer has no key of ours to answer to, so no DH step can be due.
        header = open_header(prefix, root.next_receiving_header_key, associated_data)
        if header is not None:
            return _decrypt_in_new_chain(state, root.ratchet_pair, header, prefix, body)
    if receiving is not None:
        header = open_header(prefix, receiving.header_key, associated_data)
        if header is not None:
            if header.number < receiving.number:
                return _decrypt_skipped(state, root.chains_received, header, prefix, body)
            return _decrypt_next(state, receiving, header, prefix, body)
    for chain in reversed(state.skipped):
        if chain.ordinal != root.chains_received:
            header = open_header(prefix, chain.header_key, associated_data)
            if header is not None:
                return _decrypt_skipped(state, chain.ordinal, header, prefix, body)
    raise DecryptionError("no header key opens the message")


def _initial_root(
    root_key: Secret,
    *,
    initiator: bool,
    ratchet_pair: KeyPair | None,
    sending_header_key: Secret,
    receiving_header_key: Secret,
    associated_data: bytes,
) -> Root:
    if len(associated_data) != ASSOCIATED_DATA_LEN:
        raise ValueError(f"the associated data has {ASSOCIATED_DATA_LEN} bytes")
    return Root(
        associated_data=associated_data,
        root_key=root_key,
        ratchet_pair=ratchet_pair,
        remote_key=None,
        next_sending_header_key=HeaderKey(sending_header_key),
        next_receiving_header_key=HeaderKey(receiving_header_key),
        previous_sent=0,
        chains_received=0,
        kem=KemSchedule(initiator),
    )


def _begin_sending_chain(
    root: Root,
    remote_key: bytes,
    *,
    received: int,
    kem_due: bool,
    rng: Rng,
    encapsulate: Encapsulate,
) -> tuple[Root, Chain]:
    """Do the sending half of a DH step: a fresh pair, and its chain (R-6.4.5)."""
    ratchet_pair = x25519.generate(rng=rng)
    kem, exchange = hybrid.begin_sending(
        root.kem, due=kem_due, received=received, rng=rng, encapsulate=encapsulate
    )
    root_key, chain_key, next_header_key = root_step(
        root.root_key, ratchet_pair.dh(remote_key), exchange
    )
    successor = Root(
        associated_data=root.associated_data,
        root_key=root_key,
        ratchet_pair=ratchet_pair,
        remote_key=remote_key,
        next_sending_header_key=next_header_key,
        next_receiving_header_key=root.next_receiving_header_key,
        previous_sent=root.previous_sent,
        chains_received=root.chains_received,
        kem=kem,
    )
    return successor, Chain(chain_key, root.next_sending_header_key, 0)


def _decrypt_in_new_chain(
    state: RatchetState, ratchet_pair: KeyPair, header: Header, prefix: bytes, body: bytes
) -> tuple[RatchetState, bytes]:
    """Do the receiving half of a DH step, and decrypt the message that asked for it (R-6.4.4)."""
    root, skipped = state.root, state.skipped
    sent = 0 if state.sending is None else state.sending.number
    _check_gap(header.number)
    if state.receiving is not None and header.previous_length > state.receiving.number:
        _, skipped = _skip(state, state.receiving, header.previous_length)
    kem, exchange = hybrid.begin_receiving(root.kem, header, sent=sent, received=state.received)
    try:
        dh_output = ratchet_pair.dh(header.ratchet_key)
    except InvalidKeyError as error:
        raise DecryptionError("the header's ratchet key is of low order") from error
    root_key, chain_key, next_header_key = root_step(root.root_key, dh_output, exchange)
    successor = Root(
        associated_data=root.associated_data,
        root_key=root_key,
        ratchet_pair=None,
        remote_key=header.ratchet_key,
        next_sending_header_key=root.next_sending_header_key,
        next_receiving_header_key=next_header_key,
        previous_sent=sent,
        chains_received=root.chains_received + 1,
        kem=kem,
    )
    receiving = Chain(chain_key, root.next_receiving_header_key, 0)
    stepped = RatchetState(successor, None, receiving, skipped, state.received)
    return _decrypt_next(stepped, receiving, header, prefix, body)


def _decrypt_next(
    state: RatchetState, receiving: Chain, header: Header, prefix: bytes, body: bytes
) -> tuple[RatchetState, bytes]:
    """Decrypt a message at or after the receiving chain's next number."""
    root, skipped, received = state.root, state.skipped, state.received + 1
    chain_key = receiving.chain_key.reveal()
    if header.number != receiving.number:
        chain_key, skipped = _skip(state, receiving, header.number)
    message_key, chain_key = chain_step(chain_key)
    plaintext = _open_body(message_key, root, prefix, body)
    if skipped:
        skipped = skipped_keys.expire(skipped, chains=root.chains_received, received=received)
    receiving = Chain(Secret(chain_key), receiving.header_key, header.number + 1)
    return RatchetState(root, state.sending, receiving, skipped, received), plaintext


def _decrypt_skipped(
    state: RatchetState, ordinal: int, header: Header, prefix: bytes, body: bytes
) -> tuple[RatchetState, bytes]:
    """Decrypt a message that others have overtaken (R-6.4.6)."""
    message_key, skipped = skipped_keys.take(state.skipped, ordinal=ordinal, number=header.number)
    plaintext = _open_body(message_key, state.root, prefix, body)
    received = state.received + 1
    skipped = skipped_keys.expire(skipped, chains=state.root.chains_received, received=received)
    return RatchetState(state.root, state.sending, state.receiving, skipped, received), plaintext


def _skip(state: RatchetState, receiving: Chain, until: int) -> tuple[bytes, SkippedKeys]:
    """Return message ``until``'s chain key, and the store with all keys before it (R-6.5.1)."""
    chain_key = receiving.chain_key.reveal()
    gap = until - receiving.number
    _check_gap(gap)
    message_keys = []
    for _ in range(gap):
        message_key, chain_key = chain_step(chain_key)
        message_keys.append(message_key)
    return chain_key, skipped_keys.add(
        state.skipped,
        message_keys,
        ordinal=state.root.chains_received,
        header_key=receiving.header_key,
        first_number=receiving.number,
        received=state.received + 1,
    )


def _check_gap(gap: int) -> None:
    if gap > MAX_SKIP:
        raise TooManySkippedError(f"{gap} messages are missing, more than {MAX_SKIP}")


def _open_body(message_key: bytes, root: Root, prefix: bytes, body: bytes) -> bytes:
    return aead.open_(message_key, nonce_of(prefix), body, root.associated_data + prefix)
