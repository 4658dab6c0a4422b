"""From the first byte to a proven peer: preamble, Noise, certificates (protocol.md §4, §5).

Drives Noise XX or IK, classical or hybrid, over whole frames and checks everything that must
hold before the peer counts as authenticated (§5.4). It holds no buffer and no clock: the
Connection feeds it. A first message that cannot be read, because it is for an old static key or
of a suite that is not known here, is answered once by RETRY; the handshake that follows is bound
to what failed (§5.6).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from p2pchat.constants import KEY_LEN
from p2pchat.crypto import x25519
from p2pchat.crypto.kdf import hkdf_sha256
from p2pchat.crypto.secret import Rng
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import CryptoError, ErrorCode, LocalProtocolError, ProtocolError
from p2pchat.identity.certificate import Certificate
from p2pchat.noise.handshake import HandshakeState
from p2pchat.noise.symmetric import CipherState
from p2pchat.session.credentials import CertifiedKey, ConnectionConfig, require_fit
from p2pchat.session.delivery import SessionSeed, ratchet_seed
from p2pchat.session.frames import ClearKind
from p2pchat.session.negotiation import (
    SUITES,
    Choice,
    Preamble,
    Suite,
    choose,
    decode_offer,
    encode_offer,
    encode_preamble,
    known_suites,
)
from p2pchat.session.payloads import (
    FirstPayload,
    LastPayload,
    ResponderPayload,
    decode_payload,
    encode_payload,
)

SEED_LABEL: Final = b"p2pchat/1 ratchet seed"
_SEED_LEN: Final = 3 * KEY_LEN + 16
SUITE_LEN: Final = 2


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The result: a proven peer and the keys of this connection.

    Attributes:
        presented: Our certificate, as the peer saw it.
        certificate: The peer's, verified.
        choice: Version, suites and features in common.
        suite: The suite in use.
        send: Cipher for our transport frames.
        receive: Cipher for theirs.
        handshake_hash: 32 bytes.
        seed: For a new session, if the stored one cannot be resumed.
        ratchet_pair: The responder's fresh ratchet pair; None on the initiator.
        remote_ratchet_key: The same key's public half on the initiator, else None.
    """

    presented: Certificate
    certificate: Certificate
    choice: Choice
    suite: Suite
    send: CipherState
    receive: CipherState
    handshake_hash: bytes
    seed: SessionSeed
    ratchet_pair: KeyPair | None
    remote_ratchet_key: bytes | None


class Authentication:
    """One connection's handshake, at most one RETRY included; one use."""

    def __init__(self, config: ConnectionConfig, *, initiator: bool, now_ms: int, rng: Rng) -> None:
        self._config = config
        self._initiator = initiator
        self._now_ms = now_ms
        self._rng = rng
        self._own = CertifiedKey(config.certificate, config.static)
        self._preamble = b""
        self._noise: HandshakeState | None = None
        self._choice: Choice | None = None
        self._suite: Suite | None = None
        self._first_message = b""
        self._certificate: Certificate | None = None
        self._ratchet_pair: KeyPair | None = None
        self._remote_ratchet_key: bytes | None = None

    @property
    def peer_certificate(self) -> Certificate | None:
        """The peer's certificate once it verified, even if it is not the peer we wanted."""
        return self._certificate

    @property
    def suite(self) -> Suite:
        """The suite of the handshake under way."""
        if self._suite is None:
            raise LocalProtocolError("no suite is in use", ErrorCode.INTERNAL)
        return self._suite

    # --- Initiator --------------------------------------------------------------------------------

    def begin(self) -> tuple[bytes, bytes]:
        """Return the preamble and Noise message 1 (R-4.2.5).

        Raises:
            LocalProtocolError: The offer has no suite that can be used with what is known.
        """
        usable = [
            suite
            for suite in known_suites(self._config.offer)
            if not suite.knows_responder or self._config.peer_static is not None
        ]
        if not usable:
            raise LocalProtocolError("no suite of the offer can begin with this peer")
        self._suite = max(usable, key=lambda suite: suite.number)
        self._preamble = encode_preamble(self._suite.number, self._config.offer)
        self._start_noise(self._preamble)
        return self._preamble, self._write_message_1()

    def read_retry(self, body: bytes) -> bytes:
        """Take a RETRY and return the first message of the handshake that it asks for (R-5.6.3).

        Raises:
            ProtocolError: It asks for what we did not offer or cannot begin with.
        """
        suite = SUITES.get(int.from_bytes(body, "big")) if len(body) == SUITE_LEN else None
        if (
            suite is None
            or suite.knows_responder
            or suite == self._suite
            or suite.number not in self._config.offer.suites
        ):
            raise ProtocolError("the peer asks for a handshake that was not offered")
        self._retry_with(suite)
        return self._write_message_1()

    def read_message_2(self, message: bytes) -> tuple[bytes | None, Authenticated]:
        """Check the responder; return message 3, which IK has not, and the result.

        Raises:
            ProtocolError: Malformed, downgraded, wrong certificate or identity.
            CryptoError: The message does not authenticate.
        """
        payload = decode_payload(self._engine.read_message(message), ResponderPayload)
        self._choice = choose(self._config.offer, decode_offer(payload.offer))
        if self.suite not in self._choice.suites:
            # The responder's offer is authentic, so someone changed ours on its way.
            raise ProtocolError(
                "a weaker cipher suite is in use than both sides know",
                ErrorCode.DOWNGRADE_DETECTED,
            )
        self._remote_ratchet_key = payload.ratchet
        self._check_peer(payload.cert)
        if self.suite.knows_responder:
            return None, self._finish()
        final = self._engine.write_message(
            encode_payload(LastPayload(self._own.certificate.encoded))
        )
        return final, self._finish()

    def _write_message_1(self) -> bytes:
        if self.suite.knows_responder:
            payload = encode_payload(FirstPayload(self._own.certificate.encoded, self._now_ms))
        else:
            payload = b""
        message = self._engine.write_message(payload)
        self._first_message = message
        return message

    # --- Responder --------------------------------------------------------------------------------

    def read_preamble(self, preamble: Preamble) -> None:
        """Negotiate (R-4.3.1 to R-4.3.3); the message that follows may still need a RETRY.

        Raises:
            ProtocolError: Nothing in common.
        """
        self._preamble = preamble.encoded
        self._choice = choose(self._config.offer, preamble.offer)
        suite = SUITES.get(preamble.suite)
        if suite in self._choice.suites:
            self._suite = suite
            self._start_noise(preamble.encoded)

    def read_message_1(self, message: bytes) -> tuple[Certificate, int] | None:
        """Read the first message; an IK one names its sender and its time (R-5.3.2, R-5.6.1).

        Returns:
            The certificate and the time of an IK message, which the shell judges; None for XX.

        Raises:
            RetryNeeded: It cannot be read, but a first contact can be had.
            ProtocolError: It has a payload in the clear, or a certificate that does not hold.
            CryptoError: An XX message is malformed.
        """
        self._first_message = message
        if self._noise is None:
            raise RetryNeeded
        if not self.suite.knows_responder:
            if self._noise.read_message(message):
                raise ProtocolError("the first handshake message has a payload")
            return None
        first = decode_payload(self._read_known(message), FirstPayload)
        return self._check_peer(first.cert), first.time

    def _read_known(self, message: bytes) -> bytes:
        """Open an IK message 1 with our static key, or with the one before it (R-3.3.8)."""
        try:
            return self._engine.read_message(message)
        except CryptoError as error:
            previous = self._config.previous
            if previous is None:
                raise RetryNeeded from error
        self._own = previous
        self._start_noise(self._preamble)
        try:
            return self._engine.read_message(message)
        except CryptoError as error:
            raise RetryNeeded from error

    def retry(self) -> bytes:
        """Return the body of a RETRY and begin anew, bound to what could not be used (R-5.6.2)."""
        if self._choice is None:
            raise LocalProtocolError("there was no preamble", ErrorCode.INTERNAL)
        suite = self._choice.first_contact
        if suite == self._suite:
            raise ProtocolError("the handshake cannot be begun again", ErrorCode.HANDSHAKE_FAILED)
        self._certificate = None
        self._retry_with(suite)
        return suite.number.to_bytes(SUITE_LEN, "big")

    def answer(self) -> bytes:
        """Return message 2 with our payload; with IK that completes the handshake."""
        self._ratchet_pair = x25519.generate(rng=self._rng)
        return self._engine.write_message(
            encode_payload(
                ResponderPayload(
                    encode_offer(self._config.offer),
                    self._own.certificate.encoded,
                    self._ratchet_pair.public,
                )
            )
        )

    def finish_known(self) -> Authenticated:
        """After an answered IK message: return the result, which the peer has yet to confirm."""
        return self._finish()

    def read_message_3(self, message: bytes) -> Authenticated:
        """Check the initiator of XX, return the result.

        Raises:
            ProtocolError: Malformed or wrong certificate.
            CryptoError: The message does not authenticate.
        """
        payload = decode_payload(self._engine.read_message(message), LastPayload)
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

    # --- Both -------------------------------------------------------------------------------------

    @property
    def _engine(self) -> HandshakeState:
        if self._noise is None:
            raise LocalProtocolError("the handshake has not begun", ErrorCode.INTERNAL)
        return self._noise

    def _start_noise(self, prologue: bytes) -> None:
        known = self._initiator and self.suite.knows_responder
        self._noise = HandshakeState(
            self.suite.noise_name,
            initiator=self._initiator,
            prologue=prologue,
            rng=self._rng,
            s=self._own.pair,
            rs=self._config.peer_static if known else None,
        )

    def _retry_with(self, suite: Suite) -> None:
        """Begin a handshake whose prologue holds the failed first message and the RETRY."""
        self._suite = suite
        self._own = CertifiedKey(self._config.certificate, self._config.static)
        failed = hashlib.sha256(self._first_message).digest()
        retry = bytes([ClearKind.RETRY]) + suite.number.to_bytes(SUITE_LEN, "big")
        self._start_noise(self._preamble + failed + retry)

    def _check_peer(self, encoded: bytes) -> Certificate:
        """Check the peer's certificate, and that it is whom we dialled (R-5.4.1 to R-5.4.5)."""
        certificate = require_fit(
            encoded, self._config, static=self._engine.remote_static, now_ms=self._now_ms
        )
        self._certificate = certificate
        if self._config.expected_identity not in (None, certificate.identity):
            raise ProtocolError("another identity answered", ErrorCode.WRONG_IDENTITY)
        return certificate

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
            presented=self._own.certificate,
            certificate=self._certificate,
            choice=self._choice,
            suite=self.suite,
            send=split.send,
            receive=split.receive,
            handshake_hash=split.handshake_hash,
            seed=SessionSeed(session_id, seed, split.handshake_hash + first + second),
            ratchet_pair=self._ratchet_pair,
            remote_ratchet_key=self._remote_ratchet_key,
        )


class RetryNeeded(Exception):  # noqa: N818  # not an error: an ordinary turn of the handshake
    """The first message cannot be used; ``Authentication.retry`` asks for another."""
