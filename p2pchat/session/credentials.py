"""What we bring to a connection, and what a peer's certificate must stand up to (protocol.md §5.4).

The keys are the shell's; which of them a handshake uses is ``Authentication``'s business.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import CertificateError, CryptoError, ErrorCode, ProtocolError
from p2pchat.identity.certificate import Certificate, parse_and_verify
from p2pchat.session.negotiation import OUR_OFFER, Offer


@dataclass(frozen=True, slots=True)
class CertifiedKey:
    """A static key pair of ours with its certificate."""

    certificate: Certificate
    pair: KeyPair


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """Who we are on this connection.

    Attributes:
        certificate: Ours, for ``static``.
        static: Our Noise static key pair.
        expected_identity: Whom the initiator dials; None on the listening side.
        offer: What we can do.
        peer_static: The static key that the dialled contact had last time, if known; 32 bytes.
        stealth: Listening: answer nobody who does not know our static key, whatever the offer
            says of first contacts (§5.7).
        cover_interval_s: Once messages flow, send one frame of one size each time this many
            seconds have passed (§7.7); None sends when there is something to say.
        previous: Listening: the key before ``static``, for who knows no newer one (R-3.3.8).
    """

    certificate: Certificate
    static: KeyPair
    expected_identity: bytes | None = None
    offer: Offer = OUR_OFFER
    peer_static: bytes | None = None
    stealth: bool = False
    cover_interval_s: float | None = None
    previous: CertifiedKey | None = None


def require_fit(
    encoded: bytes, own: ConnectionConfig, *, static: bytes | None, now_ms: int
) -> Certificate:
    """Check a peer's certificate against what Noise has shown and what is ours.

    Args:
        encoded: As the peer sent it.
        own: Our side; whom it expects is not looked at.
        static: The static key that the peer used in this handshake; 32 bytes.
        now_ms: The time that the certificate has to hold at.

    Raises:
        ProtocolError: It does not verify, is for another static key, or is our own.
    """
    try:
        certificate = parse_and_verify(encoded, now_ms=now_ms)
    except (CertificateError, CryptoError) as error:
        raise ProtocolError(str(error), ErrorCode.CERTIFICATE_INVALID) from error
    if certificate.static != static:
        raise ProtocolError(
            "the certificate is for another static key", ErrorCode.CERTIFICATE_INVALID
        )
    if certificate.identity == own.certificate.identity:
        raise ProtocolError("the peer has our own identity", ErrorCode.WRONG_IDENTITY)
    previous = own.previous
    if certificate.static == own.static.public or (
        previous is not None and certificate.static == previous.pair.public
    ):
        raise ProtocolError("the peer has our own static key", ErrorCode.CERTIFICATE_INVALID)
    return certificate
