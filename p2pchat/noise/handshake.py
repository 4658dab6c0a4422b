"""Noise's HandshakeState (Noise §5.3; protocol.md §5.1, §5.2).

Keys are the specification's: ``s`` and ``e`` are ours and are key pairs, ``rs`` and ``re`` are the
peer's and are 32 bytes. Each message is one transaction: whatever goes wrong, the state is what it
was, and the genuine message can still come (R-5.2.1). A finished handshake serves nothing more
than its one ``split`` (R-5.2.4).

Whatever a peer can cause leaves here as a ``CryptoError`` (``DecryptionError`` for a message too
short, too long or not authentic, ``InvalidKeyError`` for a key that gives a zero shared secret);
whatever only our caller can cause, as a ``LocalProtocolError``. What the payloads mean, and whether
the peer's static key is the right one, is the session's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

from p2pchat.constants import KEY_LEN, NOISE_MESSAGE_MAX_BYTES, TAG_LEN
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.crypto.x25519 import KeyPair, dh, generate
from p2pchat.errors import DecryptionError, InvalidKeyError, LocalProtocolError
from p2pchat.noise.patterns import MessagePattern, Token, Tokens, parse_protocol_name
from p2pchat.noise.symmetric import CipherState, SymmetricCheckpoint, SymmetricState


@dataclass(frozen=True, slots=True)
class Split:
    """What a finished handshake leaves: our two ciphers, ``h`` (public), and the final ``ck``.

    The session derives its ratchet's seed from ``chaining_key`` and then drops it.
    """

    send: CipherState
    receive: CipherState
    handshake_hash: bytes
    chaining_key: Secret


# All that a message can change: the symmetric state, e, rs, re and the psks not yet used.
_Checkpoint = tuple[
    SymmetricCheckpoint, KeyPair | None, bytes | None, bytes | None, tuple[Secret, ...]
]

_INITIATOR_DH: Final[Mapping[Token, tuple[Token, Token]]] = MappingProxyType(
    {
        Token.EE: (Token.E, Token.E),
        Token.ES: (Token.E, Token.S),
        Token.SE: (Token.S, Token.E),
        Token.SS: (Token.S, Token.S),
    }
)
"""Which key of ours meets which key of the peer's, if we are the initiator."""

_RESPONDER_DH: Final[Mapping[Token, tuple[Token, Token]]] = MappingProxyType(
    {token: (theirs, ours) for token, (ours, theirs) in _INITIATOR_DH.items()}
)


class HandshakeState:
    """One party's side of one handshake."""

    __slots__ = (
        "_dh_operands",
        "_e",
        "_initiator",
        "_position",
        "_protocol",
        "_psks",
        "_re",
        "_rng",
        "_rs",
        "_s",
        "_spent",
        "_symmetric",
    )

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
    ) -> None:
        """Prepare a handshake; nothing is sent or computed beyond hashes.

        Args:
            protocol_name: For instance ``Noise_XX_25519_ChaChaPoly_SHA256``.
            initiator: Whether we send the first message.
            prologue: What both parties must agree on; any length, not sent.
            rng: Called once, for 32 bytes, when our ephemeral key is made.
            s: Our static key pair, where the pattern has one.
            e: Our ephemeral key pair. Only for a pre-message (fallback) and for test vectors: an
                ephemeral that serves two handshakes breaks both.
            rs: The peer's static key, only where the pattern knows it beforehand; 32 bytes.
            re: The peer's ephemeral key, only for a pre-message (fallback); 32 bytes.
            psks: Pre-shared keys of 32 bytes, in the order of their tokens.

        Raises:
            LocalProtocolError: The name cannot be used, or a key is missing or out of place.
            InvalidKeyError: A key has the wrong length.
        """
        protocol = parse_protocol_name(protocol_name)
        self._protocol = protocol
        self._initiator = initiator
        self._dh_operands = _INITIATOR_DH if initiator else _RESPONDER_DH
        self._rng = rng
        self._s = s
        self._e = e
        self._rs = rs
        self._re = re
        self._psks = tuple(psks)
        self._position = 0
        self._spent = False
        self._refuse_misplaced_keys()
        self._symmetric = SymmetricState(protocol_name.encode("ascii"), protocol.hash)
        self._symmetric.mix_hash(prologue)
        self._hash_known_keys(protocol.pre_initiator, ours=initiator)
        self._hash_known_keys(protocol.pre_responder, ours=not initiator)

    @property
    def handshake_hash(self) -> bytes:
        """``h``: 32 or 64 bytes, public; binds the whole handshake once that is complete."""
        return self._symmetric.h

    @property
    def remote_static(self) -> bytes | None:
        """The peer's static key, known beforehand or since an accepted message carried it."""
        return self._rs

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
        before = self._checkpoint()
        try:
            parts = []
            for token in tokens:
                if token in self._WRITERS:
                    parts.append(self._WRITERS[token](self))
                else:
                    self._MIXERS[token](self, token)
            parts.append(self._symmetric.encrypt_and_hash(payload))
        except BaseException:
            self._restore(before)
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
            InvalidKeyError: A Diffie-Hellman result is zero; nothing has changed.
            LocalProtocolError: Our turn, or already complete.
        """
        tokens, overhead = self._next_message(ours=False)
        if not overhead <= len(message) <= NOISE_MESSAGE_MAX_BYTES:
            raise DecryptionError(
                f"this handshake message has {overhead}..{NOISE_MESSAGE_MAX_BYTES} bytes, "
                f"not {len(message)}"
            )
        before = self._checkpoint()
        try:
            rest = message
            for token in tokens:
                if token in self._READERS:
                    rest = self._READERS[token](self, rest)
                else:
                    self._MIXERS[token](self, token)
            payload = self._symmetric.decrypt_and_hash(rest)
        except BaseException:
            self._restore(before)
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
        first, second, ck = self._symmetric.split()
        self._s = self._e = None
        send, receive = (first, second) if self._initiator else (second, first)
        return Split(send, receive, self._symmetric.h, ck)

    def _next_message(self, *, ours: bool) -> MessagePattern:
        messages, position = self._protocol.messages, self._position
        if position == len(messages):
            raise LocalProtocolError("the handshake is complete")
        if ours != (self._initiator == (position % 2 == 0)):
            raise LocalProtocolError("the next handshake message is the other party's")
        return messages[position]

    def _checkpoint(self) -> _Checkpoint:
        return self._symmetric.checkpoint(), self._e, self._rs, self._re, self._psks

    def _restore(self, checkpoint: _Checkpoint) -> None:
        symmetric, self._e, self._rs, self._re, self._psks = checkpoint
        self._symmetric.restore(symmetric)

    def _refuse_misplaced_keys(self) -> None:
        protocol = self._protocol
        if self._initiator:
            sent, known = protocol.initiator_sends, protocol.pre_responder
        else:
            sent, known = protocol.responder_sends, protocol.pre_initiator
        if Token.S in sent:
            self._local(Token.S)
        if self._rs is not None:
            _require_known("rs", self._rs, Token.S in known)
        if self._re is not None:
            _require_known("re", self._re, Token.E in known)
        if len(self._psks) != protocol.psk_count:
            raise LocalProtocolError(
                f"this pattern takes {protocol.psk_count} pre-shared keys, not {len(self._psks)}"
            )
        for psk in self._psks:
            if len(psk) != KEY_LEN:
                raise InvalidKeyError(f"a pre-shared key has {KEY_LEN} bytes, not {len(psk)}")

    def _hash_known_keys(self, tokens: Tokens, *, ours: bool) -> None:
        for token in tokens:
            public = self._local(token).public if ours else self._remote(token)
            if token is Token.E:
                self._mix_ephemeral(public)
            else:
                self._symmetric.mix_hash(public)

    def _local(self, token: Token) -> KeyPair:
        key_pair = self._e if token is Token.E else self._s
        if key_pair is None:
            raise LocalProtocolError(f"this pattern needs our {token.value!r}")
        return key_pair

    def _remote(self, token: Token) -> bytes:
        public = self._re if token is Token.E else self._rs
        if public is None:
            raise LocalProtocolError(f"this pattern needs the peer's {token.value!r} beforehand")
        return public

    def _mix_ephemeral(self, public: bytes) -> None:
        self._symmetric.mix_hash(public)
        if self._protocol.psk_count:
            # Noise §9.2: or else a psk alone would encrypt under the same key in each handshake.
            self._symmetric.mix_key(public)

    def _mix_dh(self, token: Token) -> None:
        ours, theirs = self._dh_operands[token]
        self._symmetric.mix_key(dh(self._local(ours).private, self._remote(theirs)))

    def _mix_psk(self, _token: Token) -> None:
        psk, *rest = self._psks
        self._psks = tuple(rest)
        self._symmetric.mix_key_and_hash(psk.reveal())

    def _write_e(self) -> bytes:
        if self._e is None:
            self._e = generate(rng=self._rng)
        self._mix_ephemeral(self._e.public)
        return self._e.public

    def _write_s(self) -> bytes:
        return self._symmetric.encrypt_and_hash(self._local(Token.S).public)

    def _read_e(self, rest: bytes) -> bytes:
        self._re = rest[:KEY_LEN]
        self._mix_ephemeral(self._re)
        return rest[KEY_LEN:]

    def _read_s(self, rest: bytes) -> bytes:
        length = KEY_LEN + (TAG_LEN if self._symmetric.has_key else 0)
        self._rs = self._symmetric.decrypt_and_hash(rest[:length])
        return rest[length:]

    # What each token does. One that puts bytes on the wire has a writer and a reader; the others do
    # the same on both sides.
    _WRITERS: ClassVar[Mapping[Token, Callable[[HandshakeState], bytes]]] = MappingProxyType(
        {Token.E: _write_e, Token.S: _write_s}
    )
    _READERS: ClassVar[Mapping[Token, Callable[[HandshakeState, bytes], bytes]]] = MappingProxyType(
        {Token.E: _read_e, Token.S: _read_s}
    )
    _MIXERS: ClassVar[Mapping[Token, Callable[[HandshakeState, Token], None]]] = MappingProxyType(
        {**dict.fromkeys(_INITIATOR_DH, _mix_dh), Token.PSK: _mix_psk}
    )

    def __repr__(self) -> str:
        role = "initiator" if self._initiator else "responder"
        total = len(self._protocol.messages)
        return f"<HandshakeState {self._protocol.name} {role} {self._position}/{total}>"


def _require_known(name: str, public: bytes, is_known: bool) -> None:
    if not is_known:
        raise LocalProtocolError(f"this pattern does not know {name} beforehand")
    if len(public) != KEY_LEN:
        raise InvalidKeyError(f"a Noise public key has {KEY_LEN} bytes, not {len(public)}")
