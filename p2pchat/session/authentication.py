"""From the first byte to a proven peer: preamble, Noise XX, certificates (protocol.md §4, §5).

Drives one Noise handshake over whole frames and checks everything that must hold before the
peer counts as authenticated (§5.4). It holds no buffer and no clock: the Connection feeds it.
Nothing outside this object changes until the last check passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from p2pchat.constants import KEY_LEN, OFFER_MAX_BYTES
from p2pchat.crypto import x25519
from p2pchat.crypto.kdf import hkdf_sha256
from p2pchat.crypto.secret import Rng
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import (
    CertificateError,
    CryptoError,
    ErrorCode,
    LocalProtocolError,
    ProtocolError,
)
from p2pchat.identity.certificate import CERTIFICATE_LEN, Certificate, parse_and_verify
from p2pchat.noise.handshake import HandshakeState
from p2pchat.noise.symmetric import CipherState
from p2pchat.session.codec import convert, decode_map, encode_map
from p2pchat.session.delivery import SessionSeed, ratchet_seed
from p2pchat.session.frames import pad_payload, unpad_payload
from p2pchat.session.negotiation import (
    OUR_OFFER,
    SUITE_NAMES,
    SUITE_XX,
    Choice,
    Offer,
    Preamble,
    choose,
    decode_offer,
    encode_offer,
    encode_preamble,
)

SEED_LABEL: Final = b"p2pchat/1 ratchet seed"
_SEED_LEN: Final = 3 * KEY_LEN + 16
PAYLOAD_MAX_BYTES: Final = 2048
"""The responder's payload: an offer, a certificate, a key; the rest is spare for later fields."""

_Key = Annotated[bytes, msgspec.Meta(min_length=KEY_LEN, max_length=KEY_LEN)]
_EncodedCertificate = Annotated[
    bytes, msgspec.Meta(min_length=CERTIFICATE_LEN, max_length=CERTIFICATE_LEN)
]


class _ResponderPayload(msgspec.Struct, frozen=True):
    """Payload of XX message 2 (§5.3)."""

    offer: Annotated[bytes, msgspec.Meta(max_length=OFFER_MAX_BYTES)]
    cert: _EncodedCertificate
    ratchet: _Key


class _InitiatorPayload(msgspec.Struct, frozen=True):
    """Payload of XX message 3 (§5.3)."""

    cert: _EncodedCertificate


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """Who we are on this connection.

    Attributes:
        certificate: Ours, for ``static``.
        static: Our Noise static key pair.
        expected_identity: Whom the initiator dials; None on the listening side.
        offer: What we can do.
    """

    certificate: Certificate
    static: KeyPair
    expected_identity: bytes | None = None
    offer: Offer = OUR_OFFER


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The result: a proven peer and the keys of this connection.

    Attributes:
        certificate: The peer's, verified.
        choice: Version, suite and features in use.
        send: Cipher for our transport frames.
        receive: Cipher for theirs.
        handshake_hash: 32 bytes.
        seed: For a new session, if the stored one cannot be resumed.
        ratchet_pair: The responder's fresh ratchet pair; None on the initiator.
        remote_ratchet_key: The same key's public half on the initiator, else None.
    """

    certificate: Certificate
    choice: Choice
    send: CipherState
    receive: CipherState
    handshake_hash: bytes
    seed: SessionSeed
    ratchet_pair: KeyPair | None
    remote_ratchet_key: bytes | None


class Authentication:
    """One handshake, one use."""

    def __init__(self, config: ConnectionConfig, *, initiator: bool, now_ms: int, rng: Rng) -> None:
        self._config = config
        self._initiator = initiator
        self._now_ms = now_ms
        self._rng = rng
        self._noise: HandshakeState | None = None
        self._choice: Choice | None = None
        self._suite = SUITE_XX
        self._certificate: Certificate | None = None
        self._ratchet_pair: KeyPair | None = None
        self._remote_ratchet_key: bytes | None = None

    @property
    def peer_certificate(self) -> Certificate | None:
        """The peer's certificate once it verified, even if it is not the peer we wanted."""
        return self._certificate

    def begin(self) -> tuple[bytes, bytes]:
        """As initiator: return the preamble and Noise message 1."""
        self._suite = max(self._config.offer.suites)
        preamble = encode_preamble(self._suite, self._config.offer)
        self._start_noise(preamble)
        return preamble, self._engine.write_message()

    def read_preamble(self, preamble: Preamble) -> None:
        """As responder: negotiate (R-4.3.1 to R-4.3.3).

        Raises:
            ProtocolError: Nothing in common, or not the best of it.
        """
        self._choice = choose(self._config.offer, preamble.offer)
        self._suite = preamble.suite
        self._check_choice(self._choice)
        self._start_noise(preamble.encoded)

    def read_message_1(self, message: bytes) -> bytes:
        """As responder: read ``e``, return message 2 with our payload (R-5.3.2).

        Raises:
            ProtocolError: The payload is not empty: it would be in the clear.
            CryptoError: The message is malformed.
        """
        if self._engine.read_message(message):
            raise ProtocolError("the first handshake message has a payload")
        self._ratchet_pair = x25519.generate(rng=self._rng)
        return self._engine.write_message(
            _payload(
                offer=encode_offer(self._config.offer),
                cert=self._config.certificate.encoded,
                ratchet=self._ratchet_pair.public,
            )
        )

    def read_message_2(self, message: bytes) -> tuple[bytes, Authenticated]:
        """As initiator: check the responder, return message 3 and the result.

        Raises:
            ProtocolError: Malformed, downgraded, wrong certificate or identity.
            CryptoError: The message does not authenticate.
        """
        payload = convert(_content(self._engine.read_message(message)), _ResponderPayload)
        self._choice = choose(self._config.offer, decode_offer(payload.offer))
        self._check_choice(self._choice)
        self._remote_ratchet_key = payload.ratchet
        self._check_peer(payload.cert)
        final = self._engine.write_message(_payload(cert=self._config.certificate.encoded))
        return final, self._finish()

    def read_message_3(self, message: bytes) -> Authenticated:
        """As responder: check the initiator, return the result.

        Raises:
            ProtocolError: Malformed or wrong certificate.
            CryptoError: The message does not authenticate.
        """
        payload = convert(_content(self._engine.read_message(message)), _InitiatorPayload)
        self._check_peer(payload.cert)
        return self._finish()

    def refusal_cipher(self) -> CipherState | None:
        """Return what encrypts a refusal, if the initiator reads nothing else any more.

        Who has sent message 3 is in the transport phase: a REFUSE in the clear would look to it
        like a forged frame, and it would never learn that, say, its certificate has expired.
        """
        if self._initiator or self._noise is None or not self._noise.is_complete:
            return None
        return self._noise.split().send

    @property
    def _engine(self) -> HandshakeState:
        if self._noise is None:
            raise LocalProtocolError("the handshake has not begun", ErrorCode.INTERNAL)
        return self._noise

    def _start_noise(self, prologue: bytes) -> None:
        self._noise = HandshakeState(
            SUITE_NAMES[self._suite],
            initiator=self._initiator,
            prologue=prologue,
            rng=self._rng,
            s=self._config.static,
        )

    def _check_choice(self, choice: Choice) -> None:
        """Abort unless the suite in use is the best that both know (R-4.3.3)."""
        if choice.suite != self._suite:
            raise ProtocolError(
                "a weaker cipher suite is in use than both sides know",
                ErrorCode.DOWNGRADE_DETECTED,
            )

    def _check_peer(self, encoded: bytes) -> None:
        """Check the peer's certificate against everything that we know (R-5.4.1 to R-5.4.5)."""
        try:
            certificate = parse_and_verify(encoded, now_ms=self._now_ms)
        except (CertificateError, CryptoError) as error:
            raise ProtocolError(str(error), ErrorCode.CERTIFICATE_INVALID) from error
        own = self._config
        if certificate.static != self._engine.remote_static:
            raise ProtocolError(
                "the certificate is for another static key", ErrorCode.CERTIFICATE_INVALID
            )
        if certificate.identity == own.certificate.identity:
            raise ProtocolError("the peer has our own identity", ErrorCode.WRONG_IDENTITY)
        if certificate.static == own.static.public:
            raise ProtocolError("the peer has our own static key", ErrorCode.CERTIFICATE_INVALID)
        self._certificate = certificate
        if own.expected_identity not in (None, certificate.identity):
            raise ProtocolError("another identity answered", ErrorCode.WRONG_IDENTITY)

    def _finish(self) -> Authenticated:
        if self._certificate is None or self._choice is None:
            raise LocalProtocolError("the handshake is not complete", ErrorCode.INTERNAL)
        split = self._engine.split()
        ours, theirs = self._config.certificate.identity, self._certificate.identity
        first, second = (ours, theirs) if self._initiator else (theirs, ours)
        keys = hkdf_sha256(
            salt=split.chaining_key.reveal(),
            input_key=b"",
            info=SEED_LABEL + split.handshake_hash,
            length=_SEED_LEN,
        )
        split.chaining_key.wipe()
        seed, session_id = ratchet_seed(keys)
        return Authenticated(
            certificate=self._certificate,
            choice=self._choice,
            send=split.send,
            receive=split.receive,
            handshake_hash=split.handshake_hash,
            seed=SessionSeed(session_id, seed, split.handshake_hash + first + second),
            ratchet_pair=self._ratchet_pair,
            remote_ratchet_key=self._remote_ratchet_key,
        )


def _payload(**fields: bytes) -> bytes:
    return pad_payload(encode_map(dict(fields)))


def _content(payload: bytes) -> dict[str, object]:
    return decode_map(unpad_payload(payload), max_bytes=PAYLOAD_MAX_BYTES)
