"""Someone with a full recording of a connection, and whatever secrets a test gives him.

He follows Noise's key schedule through the recording by himself, token by token. Where he lacks a
secret he puts a guess in its place, and goes on: what does not open, he hashes all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from p2pchat.constants import KEY_LEN, TAG_LEN
from p2pchat.crypto import kem, x25519
from p2pchat.crypto.kem import KemKeyPair
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import DecryptionError
from p2pchat.noise.patterns import Token, parse_protocol_name
from p2pchat.noise.symmetric import CipherState, SymmetricState
from p2pchat.session.frames import Kind, decode_inner
from p2pchat.session.negotiation import Offer, Suite, encode_preamble


@dataclass
class Recording:
    """What went over the wire, and every private key that was used, for the tests to hand out.

    Attributes:
        flights: Bodies of the handshake messages, in order.
        frames: Bodies of the transport frames, of the initiator and of the responder.
        statics: Of the initiator and of the responder.
        ephemerals: The same.
        kem_pair: The initiator's, of a hybrid suite.
    """

    suite: Suite
    offer: Offer
    statics: tuple[KeyPair, KeyPair]
    ephemerals: tuple[KeyPair, KeyPair]
    kem_pair: KemKeyPair | None
    flights: list[bytes] = field(default_factory=list)
    frames: tuple[list[bytes], list[bytes]] = field(default_factory=lambda: ([], []))

    @property
    def dh(self) -> Mapping[Token, bytes]:
        """Every Diffie-Hellman result, as someone who has broken X25519 finds it."""
        (s_i, s_r), (e_i, e_r) = self.statics, self.ephemerals
        return {
            Token.EE: x25519.dh(e_i.private, e_r.public),
            Token.ES: x25519.dh(e_i.private, s_r.public),
            Token.SE: x25519.dh(s_i.private, e_r.public),
            Token.SS: x25519.dh(s_i.private, s_r.public),
        }

    def from_statics(self) -> Mapping[Token, bytes]:
        """What both static private keys and the public ephemerals give."""
        (s_i, s_r), (e_i, e_r) = self.statics, self.ephemerals
        return {
            Token.ES: x25519.dh(s_r.private, e_i.public),
            Token.SE: x25519.dh(s_i.private, e_r.public),
            Token.SS: x25519.dh(s_i.private, s_r.public),
        }


@dataclass
class Loot:
    """What he could read.

    Attributes:
        opened: Number of the handshake message and which field of it.
        frames: Kinds of the transport frames that opened.
    """

    opened: list[tuple[int, str]] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)


Guess = Callable[[Token], bytes | None]
"""For a secret that he lacks; None leaves the step out."""


def listen_in(
    recording: Recording,
    *,
    dh: Mapping[Token, bytes],
    decapsulate: Callable[[bytes], bytes] | None,
    guess: Guess,
) -> Loot:
    """Read what these secrets open.

    Args:
        recording: Everything that was sent.
        dh: The Diffie-Hellman results that he has.
        decapsulate: How he finds the KEM secret; None if he cannot.
        guess: What he puts in place of what he lacks.
    """
    protocol = parse_protocol_name(recording.suite.noise_name)
    symmetric = SymmetricState(protocol.name.encode("ascii"), protocol.hash)
    symmetric.mix_hash(encode_preamble(recording.suite.number, recording.offer))
    if recording.suite.knows_responder:
        symmetric.mix_hash(recording.statics[1].public)
    loot = Loot()

    def take(number: int, name: str, data: bytes) -> bytes:
        sealed = symmetric.has_key
        try:
            content = symmetric.decrypt_and_hash(data)
        except DecryptionError:
            symmetric.mix_hash(data)
            return b""
        if sealed:
            loot.opened.append((number, name))
        return content

    def mix(secret: bytes | None) -> None:
        if secret is not None:
            symmetric.mix_key(secret)

    for number, (message, pattern) in enumerate(
        zip(recording.flights, protocol.messages, strict=True), 1
    ):
        rest = message
        for token in pattern.tokens:
            tag = TAG_LEN if symmetric.has_key else 0
            match token:
                case Token.E:
                    symmetric.mix_hash(rest[:KEY_LEN])
                    rest = rest[KEY_LEN:]
                case Token.S:
                    take(number, "s", rest[: KEY_LEN + tag])
                    rest = rest[KEY_LEN + tag :]
                case Token.E1:
                    take(number, "e1", rest[: kem.ENCAPSULATION_KEY_LEN + tag])
                    rest = rest[kem.ENCAPSULATION_KEY_LEN + tag :]
                case Token.EKEM1:
                    ciphertext = take(number, "ekem1", rest[: kem.CIPHERTEXT_LEN + tag])
                    rest = rest[kem.CIPHERTEXT_LEN + tag :]
                    mix(guess(token) if decapsulate is None else decapsulate(ciphertext))
                case _:
                    mix(dh[token] if token in dh else guess(token))
        take(number, "payload", rest)
    first, second, _ = symmetric.split()
    for cipher, frames in zip((first, second), recording.frames, strict=True):
        loot.frames += _kinds(cipher, frames)
    return loot


def _kinds(cipher: CipherState, frames: list[bytes]) -> list[int]:
    """Open each frame by itself, at its own nonce."""
    found: list[int] = []
    key, _ = cipher.checkpoint()
    for number, frame in enumerate(frames):
        cipher.restore((key, number))
        try:
            kind, _ = decode_inner(cipher.decrypt_with_ad(b"", frame))
        except DecryptionError:
            continue
        found.append(Kind(kind))
    return found
