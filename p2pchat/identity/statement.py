"""Statements on the record: what somebody signed for somebody, for good (protocol.md §9.4).

A statement is signed by a *statement key*, which the identity certifies for nothing else: so the
identity itself still signs certificates only, and no other signature of it can be taken for a
word that somebody said. Everything needed to check one stands in its bytes, which are verified as
they came and never put together again.

Deliberately absent: who agreed to what, and the time of whoever checks: a statement holds as long
as it was made within its key's term, whenever it is read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from p2pchat.constants import (
    KEY_LEN,
    SIGNATURE_LEN,
    STATEMENT_KEY_LIFETIME_MS,
    TEXT_MAX_BYTES,
)
from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import CryptoError, StatementError

KEY_LABEL: Final = b"p2pchat/1 statement key certificate\x00"
STATEMENT_LABEL: Final = b"p2pchat/1 statement\x00"
FORMAT: Final = 1
_KEY_BODY: Final = struct.Struct(">B32s32sQQ")
KEY_CERTIFICATE_LEN: Final = _KEY_BODY.size + SIGNATURE_LEN
"""145 bytes."""
_HEAD: Final = struct.Struct(">B32s32sQ")
STATEMENT_MIN_LEN: Final = KEY_CERTIFICATE_LEN + _HEAD.size + 1 + SIGNATURE_LEN
STATEMENT_MAX_LEN: Final = STATEMENT_MIN_LEN - 1 + TEXT_MAX_BYTES
_TIME_MAX_MS: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class StatementKey:
    """A statement key as its certificate names it: the identity, the key, and its term."""

    identity: bytes
    public: bytes
    not_before_ms: int
    not_after_ms: int

    def is_current(self, now_ms: int) -> bool:
        """Whether it may sign now."""
        return self.not_before_ms <= now_ms <= self.not_after_ms


@dataclass(frozen=True, slots=True)
class Statement:
    """A verified statement: who said what to whom, and when by their own clock."""

    signer: bytes
    recipient: bytes
    at_ms: int
    text: str


def certify(identity_seed: Secret, public: bytes, *, now_ms: int) -> bytes:
    """Return the 145-byte certificate of a 32-byte statement key, from now on.

    Raises:
        StatementError: The key is not 32 bytes, or no certificate can hold the time.
    """
    if len(public) != KEY_LEN or not 0 <= now_ms <= _TIME_MAX_MS:
        raise StatementError("no statement key can be certified so: is the clock wrong?")
    identity = ed25519.public_key(identity_seed)
    body = _KEY_BODY.pack(FORMAT, identity, public, now_ms, now_ms + STATEMENT_KEY_LIFETIME_MS)
    return body + ed25519.sign(identity_seed, KEY_LABEL + body)


def read_certificate(encoded: bytes) -> StatementKey:
    """Check a statement key's certificate (R-9.4.1).

    Raises:
        StatementError: Length, format, signature or term is wrong.
    """
    if len(encoded) != KEY_CERTIFICATE_LEN:
        raise StatementError(f"a statement key's certificate has {KEY_CERTIFICATE_LEN} bytes")
    body, signature = encoded[: _KEY_BODY.size], encoded[_KEY_BODY.size :]
    number, identity, public, not_before_ms, not_after_ms = _KEY_BODY.unpack(body)
    if number != FORMAT:
        raise StatementError(f"format {number} of a statement key's certificate is unknown")
    _check(identity, KEY_LABEL + body, signature, "the statement key is not certified")
    if not_after_ms <= not_before_ms:
        raise StatementError("the statement key was never valid")
    return StatementKey(identity, public, not_before_ms, not_after_ms)


def sign(seed: Secret, certificate: bytes, *, recipient: bytes, at_ms: int, text: str) -> bytes:
    """Return the bytes of a statement: certificate, head, text, signature.

    Args:
        seed: Of the statement key.
        certificate: Of the same key, verified.
        recipient: 32-byte identity whom it is said to.
        at_ms: Wall clock, within the key's term.
        text: 1..65536 bytes of UTF-8.
    """
    identity = read_certificate(certificate).identity
    body = _HEAD.pack(FORMAT, identity, recipient, at_ms) + text.encode()
    return certificate + body + ed25519.sign(seed, STATEMENT_LABEL + body)


def verify(signed: bytes) -> Statement:
    """Return what the bytes of a statement say, if they hold (R-9.4.1 to R-9.4.3).

    Raises:
        StatementError: They do not; the message says why.
    """
    if not STATEMENT_MIN_LEN <= len(signed) <= STATEMENT_MAX_LEN:
        raise StatementError("these bytes are no statement: their length is wrong")
    key = read_certificate(signed[:KEY_CERTIFICATE_LEN])
    body, signature = signed[KEY_CERTIFICATE_LEN:-SIGNATURE_LEN], signed[-SIGNATURE_LEN:]
    number, signer, recipient, at_ms = _HEAD.unpack_from(body)
    if number != FORMAT:
        raise StatementError(f"format {number} of a statement is unknown")
    if signer != key.identity:
        raise StatementError("the statement names another signer than its key's certificate")
    _check(key.public, STATEMENT_LABEL + body, signature, "the signature does not hold")
    if not key.is_current(at_ms) or at_ms > _TIME_MAX_MS:
        raise StatementError("the statement was not made within its key's term")
    try:
        text = body[_HEAD.size :].decode()
    except UnicodeDecodeError as error:
        raise StatementError("the statement's text is not UTF-8") from error
    return Statement(signer, recipient, at_ms, text)


def verify_from(signed: bytes, *, signer: bytes, recipient: bytes) -> Statement:
    """Do the same, and insist on who said it to whom (R-9.4.4).

    Raises:
        StatementError: It does not hold, or is of or for somebody else.
    """
    statement = verify(signed)
    if (statement.signer, statement.recipient) != (signer, recipient):
        raise StatementError("the statement is another person's, or meant for another")
    return statement


def _check(public: bytes, message: bytes, signature: bytes, problem: str) -> None:
    try:
        ed25519.verify(public, message, signature)
    except CryptoError as error:
        raise StatementError(problem) from error
