"""Notices: what a proven peer tells outside the ratchet (protocol.md §7.8).

A notice belongs to one connection and depends on no session. Here it gets its bounds and its
type; what it says is checked and acted on by whoever it concerns. Peers that do not know a kind
ignore it (R-7.3.2), so nothing may depend on a notice having been understood.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, assert_never

from p2pchat.constants import HASH_LEN, NOTICE_MAX_BYTES
from p2pchat.errors import LocalProtocolError, ProtocolError
from p2pchat.identity.certificate import CERTIFICATE_LEN
from p2pchat.session.delivery import INDEX_MAX
from p2pchat.session.frames import Kind
from p2pchat.session.ledger import Head

_LEDGER: Final = struct.Struct(f">Q{HASH_LEN}s")


@dataclass(frozen=True, slots=True)
class CertificateNotice:
    """The sender's newest static key certificate, 149 bytes, not yet verified."""

    encoded: bytes


@dataclass(frozen=True, slots=True)
class RevokedNotice:
    """A statement that an identity is revoked, not yet verified."""

    statement: bytes


@dataclass(frozen=True, slots=True)
class CompareNotice:
    """One message of a comparison of a shared secret, not yet read."""

    body: bytes


@dataclass(frozen=True, slots=True)
class LedgerNotice:
    """What the sender has seen delivered so far (§8.6)."""

    sent: Head


@dataclass(frozen=True, slots=True)
class TypingNotice:
    """The sender's person is writing, or is not any more."""

    writing: bool


Notice = CertificateNotice | RevokedNotice | CompareNotice | LedgerNotice | TypingNotice
NOTICE_KINDS: Final = frozenset(
    {Kind.CERTIFICATE, Kind.REVOKED, Kind.COMPARE, Kind.LEDGER, Kind.TYPING}
)


def encode_notice(notice: Notice) -> tuple[Kind, bytes]:
    """Return the kind and the body of the notice's frame.

    Raises:
        LocalProtocolError: It is out of bounds.
    """
    match notice:
        case CertificateNotice(encoded):
            kind, body = Kind.CERTIFICATE, encoded
        case RevokedNotice(statement):
            kind, body = Kind.REVOKED, statement
        case CompareNotice(body):
            kind = Kind.COMPARE
        case LedgerNotice(sent):
            kind, body = Kind.LEDGER, _LEDGER.pack(sent.count, sent.digest)
        case TypingNotice(writing):
            kind, body = Kind.TYPING, bytes([writing])
        case _ as unreachable:
            assert_never(unreachable)
    try:
        decode_notice(kind, body)
    except ProtocolError as error:
        raise LocalProtocolError(str(error)) from error
    return kind, body


def decode_notice(kind: Kind, body: bytes) -> Notice:
    """Return the notice that a frame of one of ``NOTICE_KINDS`` carries (R-7.8.1).

    Raises:
        ProtocolError: Empty, too long, or of the wrong length for its kind.
    """
    if not 1 <= len(body) <= NOTICE_MAX_BYTES:
        raise ProtocolError("a notice is empty or too long")
    match kind:
        case Kind.CERTIFICATE:
            if len(body) != CERTIFICATE_LEN:
                raise ProtocolError("a frame's body has the wrong length")
            return CertificateNotice(body)
        case Kind.REVOKED:
            return RevokedNotice(body)
        case Kind.LEDGER:
            if len(body) != _LEDGER.size:
                raise ProtocolError("a frame's body has the wrong length")
            count, digest = _LEDGER.unpack(body)
            if count > INDEX_MAX:
                raise ProtocolError("a ledger counts more than there can be")
            return LedgerNotice(Head(count, digest))
        case Kind.COMPARE:
            return CompareNotice(body)
        case Kind.TYPING:
            if body not in (b"\x00", b"\x01"):
                raise ProtocolError("a frame's body has the wrong length or value")
            return TypingNotice(body == b"\x01")
        case _:
            raise ProtocolError("this frame is no notice")
