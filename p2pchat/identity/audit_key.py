"""The key that signs the audit log, and the certificate by which the identity vouches for it.

Of local meaning only: it never crosses a connection. It is a key of its own, so that what signs
the log can sign nothing else, and what a peer sees can sign no log. Derived once, when the log
begins, from the identity's seed and a salt: a profile of an earlier version gets its own without
asking anybody, and two logs of one identity have two keys.

Layout of a certificate, 129 bytes::

    format 1 | identity 32 | audit key 32 | Ed25519 signature of the identity 64

What is signed is ``AUDIT_CERTIFICATE_LABEL`` and everything before the signature.
"""

from __future__ import annotations

from typing import Final

from p2pchat.constants import KEY_LEN, SIGNATURE_LEN
from p2pchat.crypto import ed25519
from p2pchat.crypto.kdf import hkdf_sha256
from p2pchat.crypto.secret import Secret
from p2pchat.errors import CertificateError, CryptoError

AUDIT_CERTIFICATE_LABEL: Final = b"p2pchat/1 audit key certificate\x00"
"""Precedes the signed bytes, so that no other signature of the identity can be taken for one."""
AUDIT_KEY_LABEL: Final = b"p2pchat/1 audit key\x00"
"""HKDF's info: nothing else is derived from an identity's seed."""
AUDIT_CERTIFICATE_FORMAT: Final = 1
_BODY_LEN: Final = 1 + 2 * KEY_LEN
AUDIT_CERTIFICATE_LEN: Final = _BODY_LEN + SIGNATURE_LEN


def derive_audit_seed(identity_seed: Secret, salt: bytes) -> Secret:
    """Return the 32-byte Ed25519 seed of a new log.

    Args:
        identity_seed: 32 bytes.
        salt: 16 bytes or more that no other log of this identity has; not secret.
    """
    return Secret(
        hkdf_sha256(
            salt=salt, input_key=identity_seed.reveal(), info=AUDIT_KEY_LABEL, length=KEY_LEN
        )
    )


def certify_audit_key(identity_seed: Secret, audit_key: bytes) -> bytes:
    """Return the 129-byte certificate of a 32-byte audit key.

    Raises:
        InvalidKeyError: The seed is not 32 bytes.
        CertificateError: The audit key is not 32 bytes.
    """
    if len(audit_key) != KEY_LEN:
        raise CertificateError(f"an audit key has {KEY_LEN} bytes")
    identity = ed25519.public_key(identity_seed)
    body = bytes([AUDIT_CERTIFICATE_FORMAT]) + identity + audit_key
    return body + ed25519.sign(identity_seed, AUDIT_CERTIFICATE_LABEL + body)


def verify_audit_certificate(encoded: bytes) -> tuple[bytes, bytes]:
    """Check a certificate and return the identity and the audit key, 32 bytes each.

    Raises:
        CertificateError: Length, format or signature is wrong.
    """
    if len(encoded) != AUDIT_CERTIFICATE_LEN:
        raise CertificateError(f"an audit key's certificate has {AUDIT_CERTIFICATE_LEN} bytes")
    body, signature = encoded[:_BODY_LEN], encoded[_BODY_LEN:]
    if body[0] != AUDIT_CERTIFICATE_FORMAT:
        raise CertificateError(f"format {body[0]} of an audit key's certificate is unknown")
    identity, audit_key = body[1 : 1 + KEY_LEN], body[1 + KEY_LEN :]
    try:
        ed25519.verify(identity, AUDIT_CERTIFICATE_LABEL + body, signature)
    except CryptoError as error:
        raise CertificateError("the audit key's certificate does not verify") from error
    return identity, audit_key
