"""Noise's HandshakeState (Noise §5.3; protocol.md §5.1, §5.2, §5.5).

Keys are the specification's: ``s`` and ``e`` are ours and are key pairs, ``rs`` and ``re`` are the
peer's and are 32 bytes; with ``hfs`` the initiator also has ``e1``. Each message is one
transaction: whatever goes wrong, the state is what it was, and the genuine message can still come
(R-5.2.1). A finished handshake serves nothing more than its one ``split`` (R-5.2.4).

Whatever a peer can cause leaves here as a ``CryptoError`` (``DecryptionError`` for a message too
short, too long or not authentic, ``InvalidKeyError`` for a key that gives a zero shared secret or
is no encapsulation key); whatever only our caller can cause, as a ``LocalProtocolError``. What the
payloads mean, and whether the peer's static key is the right one, is the session's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from p2pchat.constants import NOISE_MESSAGE_MAX_BYTES
from p2pchat.crypto.kem import KemKeyPair
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import DecryptionError, LocalProtocolError
from p2pchat.noise.party import Encapsulate, Party
from p2pchat.noise.patterns import MessagePattern, parse_protocol_name
from p2pchat.noise.symmetric import CipherState


@dataclass(frozen=True, slots=True)
class Split:
    """What a finished handshake leaves: our two ciphers, ``h`` (public), and the final ``ck``.

    The session derives its ratchet's seed from ``chaining_key`` and then drops it.
    """

    send: CipherState
    receive: CipherState
    handshake_hash: bytes
    chaining_key: Secret


class HandshakeState:
    """One party's side of one handshake."""

    __slots__ = ("_initiator", "_party", "_position", "_protocol", "_spent")

    def __init__(
        self,
        protocol_name: str,
        *,
        initiator: bool,
        prologue: bytes = b"",
        rng: Rng,
        s: KeyPair | None = None,
        e: KeyPair | None = None,
        rs: bytes | None = None,
        re: bytes | None = None,
        psks: Sequence[Secret] = (),
        e1: KemKeyPair | None = None,
        encapsulate: Encapsulate | None = None,
    ) -> None:
        """Prepare a handshake; nothing is sent or computed beyond hashes.

        Args:
            protocol_name: For instance ``Noise_XX_25519_ChaChaPoly_SHA256``.
            initiator: Whether we send the first message.
            prologue: What both parties must agree on; any length, not sent.
            rng: Called for 32 bytes when our ephemeral key is made, and for 64 when ``e1`` is.
            s: Our static key pair, where the pattern has one.
            e: Our ephemeral key pair. Only for a pre-message (fallback) and for test vectors: an
                ephemeral that serves two handshakes breaks both.
            rs: The peer's static key, only where the pattern knows it beforehand; 32 bytes.
            re: The peer's ephemeral key, only for a pre-message (fallback); 32 bytes.
            psks: Pre-shared keys of 32 bytes, in the order of their tokens.
            e1: The initiator's KEM key pair. Only for test vectors, as ``e``.
            encapsulate: In place of the responder's encapsulation. Only for test vectors: it can
                hand out a secret that others know.

        Raises:
            LocalProtocolError: The name cannot be used, or a key is missing or out of place.
            InvalidKeyError: A key has the wrong length.
            CryptoError: The pattern has ``hfs``, and the library no ML-KEM.
        """
        self._protocol = parse_protocol_name(protocol_name)
        self._initiator = initiator
        self._position = 0
        self._spent = False
        self._party = Party(
            self._protocol,
            initiator=initiator,
            prologue=prologue,
            rng=rng,
            s=s,
            e=e,
            rs=rs,
            re=re,
            psks=psks,
            e1=e1,
            encapsulate=encapsulate,
        )

    @property
    def handshake_hash(self) -> bytes:
        """``h``: 32 or 64 bytes, public; binds the whole handshake once that is complete."""
        return self._party.symmetric.h

    @property
    def remote_static(self) -> bytes | None:
        """The peer's static key, known beforehand or since an accepted message carried it."""
        return self._party.rs

    @property
    def is_complete(self) -> bool:
        """Whether the last message has been written or read."""
        return self._position == len(self._protocol.messages)

    @property
    def is_my_turn(self) -> bool:
        """Whether the next message is ours to write."""
        return not self.is_complete and self._initiator == (self._position % 2 == 0)

    def write_message(self, payload: bytes = b"") -> bytes:
        """Write our next handshake message.

        Args:
            payload: At most 65535 bytes with the message's own keys and tags.

        Returns:
            The message, at most 65535 bytes.

        Raises:
            LocalProtocolError: Not our turn, already complete, or too long.
            InvalidKeyError: A Diffie-Hellman result is zero; nothing has changed.
        """
        tokens, overhead = self._next_message(ours=True)
        if overhead + len(payload) > NOISE_MESSAGE_MAX_BYTES:
            raise LocalProtocolError(
                f"this handshake message holds {NOISE_MESSAGE_MAX_BYTES - overhead} bytes of "
                f"payload, not {len(payload)}"
            )
        party = self._party
        before = party.checkpoint()
        try:
            parts = party.write(tokens)
            parts.append(party.symmetric.encrypt_and_hash(payload))
        except BaseException:
            party.restore(before)
            raise
        self._position += 1
        return b"".join(parts)

    def read_message(self, message: bytes) -> bytes:
        """Read the peer's next handshake message.

        Args:
            message: 0..65535 bytes, as they came.

        Returns:
            Its payload.

        Raises:
            DecryptionError: Too short, too long or not authentic; nothing has changed.
            InvalidKeyError: A Diffie-Hellman result is zero, or ``e1`` is no encapsulation key;
                nothing has changed.
            LocalProtocolError: Our turn, or already complete.
        """
        tokens, overhead = self._next_message(ours=False)
        if not overhead <= len(message) <= NOISE_MESSAGE_MAX_BYTES:
            raise DecryptionError(
                f"this handshake message has {overhead}..{NOISE_MESSAGE_MAX_BYTES} bytes, "
                f"not {len(message)}"
            )
        party = self._party
        before = party.checkpoint()
        try:
            payload = party.symmetric.decrypt_and_hash(party.read(tokens, message))
        except BaseException:
            party.restore(before)
            raise
        self._position += 1
        return payload

    def split(self) -> Split:
        """Return the transport ciphers; the handshake then forgets every secret.

        Raises:
            LocalProtocolError: Not complete, or done before.
        """
        if not self.is_complete or self._spent:
            raise LocalProtocolError("a handshake is split once, when it is complete")
        self._spent = True
        symmetric = self._party.symmetric
        first, second, ck = symmetric.split()
        self._party.forget()
        send, receive = (first, second) if self._initiator else (second, first)
        return Split(send, receive, symmetric.h, ck)

    def _next_message(self, *, ours: bool) -> MessagePattern:
        messages, position = self._protocol.messages, self._position
        if position == len(messages):
            raise LocalProtocolError("the handshake is complete")
        if ours != (self._initiator == (position % 2 == 0)):
            raise LocalProtocolError("the next handshake message is the other party's")
        return messages[position]

    def __repr__(self) -> str:
        role = "initiator" if self._initiator else "responder"
        total = len(self._protocol.messages)
        return f"<HandshakeState {self._protocol.name} {role} {self._position}/{total}>"
