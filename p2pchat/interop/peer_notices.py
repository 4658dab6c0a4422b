"""What the scripted peer makes of notices (protocol.md §3.7, §7.8): it checks them like a node.

It keeps no ledger and has no person who would compare a phrase or see somebody type.
"""

from __future__ import annotations

from p2pchat.errors import (
    CertificateError,
    CryptoError,
    ErrorCode,
    KeyStatementError,
    ProtocolError,
)
from p2pchat.identity.certificate import Certificate, parse_and_verify
from p2pchat.identity.revocation import parse_revocation, revoked_identity
from p2pchat.session.comparison_steps import decode_step
from p2pchat.session.notices import CertificateNotice, CompareNotice, Notice, RevokedNotice


def learned(
    notice: Notice,
    sender: bytes,
    *,
    generation: int,
    own_static: bytes,
    is_open: bool,
    now_ms: int,
) -> Certificate | None:
    """Return the sender's new certificate, if the notice brings one.

    Args:
        notice: What was told.
        sender: The 32-byte identity that the connection has proven.
        generation: The greatest of that identity that we have authenticated.
        own_static: Our static public key.
        is_open: Whether the connection is OPEN.
        now_ms: Wall clock.

    Raises:
        ProtocolError: The notice is not true, or not allowed now; or the sender is revoked.
    """
    match notice:
        case CertificateNotice(encoded):
            try:
                certificate = parse_and_verify(encoded, now_ms=now_ms)
            except (CertificateError, CryptoError) as error:
                raise ProtocolError(str(error), ErrorCode.CERTIFICATE_INVALID) from error
            if (
                certificate.identity != sender
                or certificate.static == own_static
                or certificate.generation < generation
            ):
                raise ProtocolError("not the sender's newest key", ErrorCode.CERTIFICATE_INVALID)
            return certificate
        case RevokedNotice(statement):
            try:
                if revoked_identity(statement) == sender:
                    parse_revocation(statement)
                    raise ProtocolError("the key is revoked", ErrorCode.KEY_REVOKED)
            except KeyStatementError as error:
                raise ProtocolError(str(error)) from error
        case CompareNotice(body):
            if not is_open:
                raise ProtocolError("a comparison needs an open session")
            decode_step(body)
        case _:
            pass
    return None
