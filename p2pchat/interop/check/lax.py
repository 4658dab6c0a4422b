"""A Noise engine that does not mind low-order points (protocol.md §2.2, §5.1).

Our own refuses a Diffie-Hellman result of zero. To see whether another one does, a message must be
made whose tags are right for that result, so that nothing but the rule itself can refuse it. Only
for the checker: it keeps nothing secret, rolls nothing back, and reads what honest peers write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pchat.constants import KEY_LEN, TAG_LEN
from p2pchat.crypto import kem, x25519
from p2pchat.crypto.kem import EncapsulationKey, KemKeyPair
from p2pchat.crypto.secret import Rng
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import InvalidKeyError
from p2pchat.noise.patterns import Token, parse_protocol_name
from p2pchat.noise.symmetric import SymmetricState

ZERO: Final = bytes(KEY_LEN)
"""The u-coordinate 0 has order 2: whatever scalar meets it, the result is zero."""
_FIELDS: Final = {Token.E: KEY_LEN, Token.S: KEY_LEN, Token.E1: 1184, Token.EKEM1: 1088}


class LaxHandshake:
    """One side of XX or XXhfs; the attributes are Noise's and may be changed between messages."""

    def __init__(
        self, protocol_name: str, *, initiator: bool, prologue: bytes, s: KeyPair, rng: Rng
    ) -> None:
        protocol = parse_protocol_name(protocol_name)
        self._messages = [message.tokens for message in protocol.messages]
        self._initiator = initiator
        self.s = s
        self.e = x25519.generate(rng=rng)
        self.e1: KemKeyPair = kem.generate(rng=rng)
        self.encapsulate: Callable[[EncapsulationKey], tuple[bytes, bytes]] = (
            EncapsulationKey.encapsulate
        )
        self.rs = self.re = self._re1 = self.ciphertext = b""
        self.symmetric = SymmetricState(protocol_name.encode(), protocol.hash)
        self.symmetric.mix_hash(prologue)

    def write(self, payload: bytes) -> bytes:
        """Write the next message."""
        return b"".join(self._write(token) for token in self._messages.pop(0)) + (
            self.symmetric.encrypt_and_hash(payload)
        )

    def read(self, message: bytes) -> bytes:
        """Read the next message; raises DecryptionError if it is not for us."""
        for token in self._messages.pop(0):
            message = self._read(token, message)
        return self.symmetric.decrypt_and_hash(message)

    def _write(self, token: Token) -> bytes:
        match token:
            case Token.E:
                self.symmetric.mix_hash(self.e.public)
                return self.e.public
            case Token.S:
                return self.symmetric.encrypt_and_hash(self.s.public)
            case Token.E1:
                return self.symmetric.encrypt_and_hash(self.e1.public)
            case Token.EKEM1:
                ciphertext, secret = self.encapsulate(EncapsulationKey(self._re1))
                sealed = self.symmetric.encrypt_and_hash(ciphertext)
                self.symmetric.mix_key(secret)
                return sealed
            case _:
                self._mix(token)
                return b""

    def _read(self, token: Token, rest: bytes) -> bytes:
        length = _FIELDS.get(token)
        if length is None:
            self._mix(token)
            return rest
        if token is Token.E:
            self.re, rest = rest[:length], rest[length:]
            self.symmetric.mix_hash(self.re)
            return rest
        end = length + (TAG_LEN if self.symmetric.has_key else 0)
        field, rest = self.symmetric.decrypt_and_hash(rest[:end]), rest[end:]
        match token:
            case Token.S:
                self.rs = field
            case Token.E1:
                self._re1 = field
            case _:
                self.ciphertext = field
                self.symmetric.mix_key(self.e1.decapsulate(field))
        return rest

    def _mix(self, token: Token) -> None:
        first, second = token.value[0], token.value[1]
        mine, theirs = (first, second) if self._initiator else (second, first)
        pair = self.e if mine == "e" else self.s
        self.symmetric.mix_key(_dh(pair, self.re if theirs == "e" else self.rs))


def _dh(pair: KeyPair, public: bytes) -> bytes:
    if pair.public == ZERO:
        return ZERO  # as the other side computes it
    try:
        return pair.dh(public)
    except InvalidKeyError:
        return ZERO
