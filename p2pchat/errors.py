"""Every error that crosses a room's border (protocol.md §12 for those with a wire code).

Internals raise the narrow class; borders translate. Messages are for the local person or log:
nothing of them is ever sent to a peer, who learns a code at most.
"""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """What a peer may learn when we refuse or close (protocol.md §12)."""

    NORMAL = 0x0000
    PROTOCOL_VIOLATION = 0x0001
    UNSUPPORTED_VERSION = 0x0002
    HANDSHAKE_FAILED = 0x0003
    CERTIFICATE_INVALID = 0x0004
    WRONG_IDENTITY = 0x0005
    DOWNGRADE_DETECTED = 0x0006
    LIMIT_EXCEEDED = 0x0007
    TIMEOUT = 0x0008
    SUPERSEDED = 0x0009
    SESSION_BROKEN = 0x000A
    GOING_AWAY = 0x000B
    INTERNAL = 0x000C
    TRUNCATED = 0x000D
    KEY_REVOKED = 0x000E


class P2PChatError(Exception):
    """Root of all errors that p2pchat raises on purpose."""


class CryptoError(P2PChatError):
    """A primitive refused its input."""


class InvalidKeyError(CryptoError):
    """A key has the wrong length, or a Diffie-Hellman result is all zero."""


class DecryptionError(CryptoError):
    """Authentication failed; forged, replayed and damaged are deliberately one case."""


class SignatureError(CryptoError):
    """A signature does not verify."""


class TooManySkippedError(DecryptionError):
    """A message lies further ahead than ``MAX_SKIP`` allows (protocol.md §6.5)."""


class IdentityError(P2PChatError):
    """An identity object is malformed: peer id, link, certificate."""


class StatementError(P2PChatError):
    """A statement does not hold, or cannot be made."""


class LinkError(IdentityError):
    """A contact link does not parse."""


class CertificateError(IdentityError):
    """A static-key certificate is malformed, expired, or not the expected one."""


class KeyStatementError(IdentityError):
    """A statement about an identity, a revocation or a succession, does not parse or verify."""


class ProtocolError(P2PChatError):
    """Either side broke the protocol; carries the wire code."""

    def __init__(self, message: str, code: ErrorCode = ErrorCode.PROTOCOL_VIOLATION) -> None:
        super().__init__(message)
        self.code = code


class LocalProtocolError(ProtocolError):
    """The caller asked for something that the protocol does not allow now."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that the protocol does not allow."""


class DamagedStateError(P2PChatError):
    """A stored snapshot of a state is not one that this program wrote."""


class StoreError(P2PChatError):
    """The profile's store failed."""


class LockedError(StoreError):
    """No passphrase was given, or it is wrong."""


class DamagedStoreError(StoreError):
    """The store's files are not what they should be; nothing was written."""


class AuditError(P2PChatError):
    """The audit log, or an export of it, is not what was recorded.

    Attributes:
        sequence: Of the first record that is wrong or missing; None if it is none of them.
    """

    def __init__(self, message: str, sequence: int | None = None) -> None:
        super().__init__(message)
        self.sequence = sequence


class ProfileInUseError(StoreError):
    """Another process holds the profile."""


class NoProfileError(StoreError):
    """The profile has no identity yet."""


class ProfileExistsError(StoreError):
    """The profile has an identity already; it is never overwritten."""


class TransportError(P2PChatError):
    """A connection could not be made, or broke."""


class UnreachableError(TransportError):
    """No address of the peer answered in time."""


class ContactError(P2PChatError):
    """A request about a contact cannot be met."""


class UnknownContactError(ContactError):
    """No contact has that name or peer id."""


class TrustError(ContactError):
    """Refused because of the contact's trust state."""


class UsageError(P2PChatError):
    """The person's request is malformed; the message says how to mend it."""
