"""What each token does to one party's keys and symmetric state (protocol.md §5.1, §5.5).

All that a handshake message can change lives in a ``Party``, so that a checkpoint of it is a
checkpoint of the handshake. Whose turn it is, how long a message may be, and going back to the
checkpoint are ``handshake``'s business: here a failure leaves half a message done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Final

from p2pchat.constants import KEY_LEN, TAG_LEN
from p2pchat.crypto import kem, x25519
from p2pchat.crypto.kem import EncapsulationKey, KemKeyPair
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import InvalidKeyError, LocalProtocolError
from p2pchat.noise.patterns import Protocol, Token, Tokens
from p2pchat.noise.symmetric import SymmetricCheckpoint, SymmetricState

Encapsulate = Callable[[bytes], tuple[bytes, bytes]]
"""Takes an encapsulation key; returns a ciphertext and a shared secret."""

PartyCheckpoint = tuple[
    SymmetricCheckpoint,
    KeyPair | None,
    KemKeyPair | None,
    bytes | None,
    bytes | None,
    EncapsulationKey | None,
    tuple[Secret, ...],
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


class Party:
    """Our ``s``, ``e``, ``e1`` and psks, the peer's ``rs``, ``re`` and ``re1``, ``symmetric``."""

    __slots__ = (
        "_dh_operands",
        "_e",
        "_e1",
        "_encapsulate",
        "_protocol",
        "_psks",
        "_re",
        "_re1",
        "_rng",
        "_s",
        "rs",
        "symmetric",
    )

    def __init__(
        self,
        protocol: Protocol,
        *,
        initiator: bool,
        prologue: bytes,
        rng: Rng,
        s: KeyPair | None,
        e: KeyPair | None,
        rs: bytes | None,
        re: bytes | None,
        psks: Sequence[Secret],
        e1: KemKeyPair | None,
        encapsulate: Encapsulate | None,
    ) -> None:
        """Check the keys and hash what is known beforehand; see ``HandshakeState``."""
        self._protocol = protocol
        self._dh_operands = _INITIATOR_DH if initiator else _RESPONDER_DH
        self._rng = rng
        self._s = s
        self._e = e
        self._e1 = e1
        self.rs = rs
        self._re = re
        self._re1: EncapsulationKey | None = None
        self._psks = tuple(psks)
        self._encapsulate = encapsulate
        self._refuse_misplaced_keys(initiator=initiator)
        self.symmetric = SymmetricState(protocol.name.encode("ascii"), protocol.hash)
        self.symmetric.mix_hash(prologue)
        self._hash_known_keys(protocol.pre_initiator, ours=initiator)
        self._hash_known_keys(protocol.pre_responder, ours=not initiator)

    def checkpoint(self) -> PartyCheckpoint:
        """Return what ``restore`` needs: references to immutable values, so this is cheap."""
        return (
            self.symmetric.checkpoint(),
            self._e,
            self._e1,
            self.rs,
            self._re,
            self._re1,
            self._psks,
        )

    def restore(self, checkpoint: PartyCheckpoint) -> None:
        """Go back to a checkpoint."""
        symmetric, self._e, self._e1, self.rs, self._re, self._re1, self._psks = checkpoint
        self.symmetric.restore(symmetric)

    def forget(self) -> None:
        """Drop every private key; what stays is public."""
        self._s = self._e = self._e1 = self._encapsulate = None

    def write(self, tokens: Tokens) -> list[bytes]:
        """Do what a message's tokens say; return what they put on the wire."""
        writers, parts = self._WRITERS, []
        for token in tokens:
            if token in writers:
                parts.append(writers[token](self))
            else:
                self._MIXERS[token](self, token)
        return parts

    def read(self, tokens: Tokens, message: bytes) -> bytes:
        """Do the same with a message that is long enough; return what is left of it."""
        readers, rest = self._READERS, message
        for token in tokens:
            if token in readers:
                rest = readers[token](self, rest)
            else:
                self._MIXERS[token](self, token)
        return rest

    def _refuse_misplaced_keys(self, *, initiator: bool) -> None:
        protocol = self._protocol
        if initiator:
            sent, known = protocol.initiator_sends, protocol.pre_responder
        else:
            sent, known = protocol.responder_sends, protocol.pre_initiator
        if Token.S in sent:
            self._local(Token.S)
        if self.rs is not None:
            _require_known("rs", self.rs, Token.S in known)
        if self._re is not None:
            _require_known("re", self._re, Token.E in known)
        if self._e1 is not None and Token.E1 not in sent:
            raise LocalProtocolError("this side of this pattern has no e1")
        if self._encapsulate is not None and Token.EKEM1 not in sent:
            raise LocalProtocolError("this side of this pattern does not encapsulate")
        if protocol.is_hybrid:
            kem.require_available()  # at once, or a peer's key would seem to be at fault
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
                self.symmetric.mix_hash(public)

    def _local(self, token: Token) -> KeyPair:
        key_pair = self._e if token is Token.E else self._s
        if key_pair is None:
            raise LocalProtocolError(f"this pattern needs our {token.value!r}")
        return key_pair

    def _remote(self, token: Token) -> bytes:
        public = self._re if token is Token.E else self.rs
        if public is None:
            raise LocalProtocolError(f"this pattern needs the peer's {token.value!r} beforehand")
        return public

    def _mix_ephemeral(self, public: bytes) -> None:
        self.symmetric.mix_hash(public)
        if self._protocol.psk_count:
            # Noise §9.2: or else a psk alone would encrypt under the same key in each handshake.
            self.symmetric.mix_key(public)

    def _mix_dh(self, token: Token) -> None:
        ours, theirs = self._dh_operands[token]
        self.symmetric.mix_key(self._local(ours).dh(self._remote(theirs)))

    def _mix_psk(self, _token: Token) -> None:
        psk, *rest = self._psks
        self._psks = tuple(rest)
        self.symmetric.mix_key_and_hash(psk.reveal())

    def _write_e(self) -> bytes:
        if self._e is None:
            self._e = x25519.generate(rng=self._rng)
        self._mix_ephemeral(self._e.public)
        return self._e.public

    def _write_s(self) -> bytes:
        return self.symmetric.encrypt_and_hash(self._local(Token.S).public)

    def _write_e1(self) -> bytes:
        if self._e1 is None:
            self._e1 = kem.generate(rng=self._rng)
        return self.symmetric.encrypt_and_hash(self._e1.public)

    def _write_ekem1(self) -> bytes:
        if self._re1 is None:
            raise _no_kem_key()
        if self._encapsulate is None:
            ciphertext, shared_secret = self._re1.encapsulate()
        else:
            ciphertext, shared_secret = self._encapsulate(self._re1.encoded)
        sealed = self.symmetric.encrypt_and_hash(ciphertext)
        self.symmetric.mix_key(shared_secret)
        return sealed

    def _read_e(self, rest: bytes) -> bytes:
        self._re = rest[:KEY_LEN]
        self._mix_ephemeral(self._re)
        return rest[KEY_LEN:]

    def _read_s(self, rest: bytes) -> bytes:
        self.rs, rest = self._open(KEY_LEN, rest)
        return rest

    def _read_e1(self, rest: bytes) -> bytes:
        encoded, rest = self._open(kem.ENCAPSULATION_KEY_LEN, rest)
        self._re1 = EncapsulationKey(encoded)
        return rest

    def _read_ekem1(self, rest: bytes) -> bytes:
        if self._e1 is None:
            raise _no_kem_key()
        ciphertext, rest = self._open(kem.CIPHERTEXT_LEN, rest)
        self.symmetric.mix_key(self._e1.decapsulate(ciphertext))
        return rest

    def _open(self, length: int, rest: bytes) -> tuple[bytes, bytes]:
        """Split off a field of ``length`` bytes, and its tag if there is a key by now."""
        end = length + (TAG_LEN if self.symmetric.has_key else 0)
        return self.symmetric.decrypt_and_hash(rest[:end]), rest[end:]

    # What each token does. One that puts bytes on the wire has a writer and a reader; the others do
    # the same on both sides.
    _WRITERS: ClassVar[Mapping[Token, Callable[[Party], bytes]]] = MappingProxyType(
        {Token.E: _write_e, Token.S: _write_s, Token.E1: _write_e1, Token.EKEM1: _write_ekem1}
    )
    _READERS: ClassVar[Mapping[Token, Callable[[Party, bytes], bytes]]] = MappingProxyType(
        {Token.E: _read_e, Token.S: _read_s, Token.E1: _read_e1, Token.EKEM1: _read_ekem1}
    )
    _MIXERS: ClassVar[Mapping[Token, Callable[[Party, Token], None]]] = MappingProxyType(
        {**dict.fromkeys(_INITIATOR_DH, _mix_dh), Token.PSK: _mix_psk}
    )


def _require_known(name: str, public: bytes, is_known: bool) -> None:
    if not is_known:
        raise LocalProtocolError(f"this pattern does not know {name} beforehand")
    if len(public) != KEY_LEN:
        raise InvalidKeyError(f"a Noise public key has {KEY_LEN} bytes, not {len(public)}")


def _no_kem_key() -> LocalProtocolError:
    return LocalProtocolError("this pattern has ekem1 before e1")  # ours have not
