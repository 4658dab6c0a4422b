"""Who we are on the wire: the certificate and key that each connection presents (§3.3).

A stored certificate is presented until half of its life is over; from then on one with the same
key and generation and a new term is signed in memory, so that a node that runs for months never
presents an expired one. When the key itself is replaced, ``node.keys`` decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from p2pchat.config import Config
from p2pchat.constants import CERTIFICATE_LIFETIME_MS, STATIC_KEY_OVERLAP_MS
from p2pchat.crypto import x25519
from p2pchat.crypto.secret import Secret
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import DamagedStoreError, IdentityError
from p2pchat.identity.certificate import (
    CERTIFICATE_BODY_LEN,
    Certificate,
    issue,
    parse_and_verify,
)
from p2pchat.identity.keys import key_id
from p2pchat.session.credentials import CertifiedKey, ConnectionConfig
from p2pchat.session.negotiation import HYBRID_OFFER, OUR_OFFER
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.records import ContactRecord, IdentityRecord, PreviousStaticKey

_NOT_BEFORE: Final = slice(CERTIFICATE_BODY_LEN - 16, CERTIFICATE_BODY_LEN - 8)


class Credentials:
    """Our identity, ready for connections.

    Attributes:
        name: Our own.
        made_at_ms: Wall clock when the static key was made.
        previous_until_ms: Wall clock when the key before it is of no more use; None without one.
    """

    def __init__(self, record: IdentityRecord) -> None:
        self.use(record)

    def use(self, record: IdentityRecord) -> None:
        """Present what the record holds, from the next connection on.

        Raises:
            DamagedStoreError: A key and its certificate do not belong together.
        """
        current = _own(record.static_private, record.certificate)
        before = record.previous
        self._previous = None if before is None else _own(before.private, before.certificate)
        self.previous_until_ms = None if before is None else before.until_ms
        self.made_at_ms = current.certificate.not_before_ms
        self.name = record.name
        self._seed = record.signing_seed
        self._static = current.pair
        self._certificate = current.certificate

    @property
    def identity(self) -> bytes:
        """Our 32-byte identity key."""
        return self._certificate.identity

    @property
    def previous(self) -> Certificate | None:
        """The stored certificate of the static key before this one, while that is kept."""
        return None if self._previous is None else self._previous.certificate

    def holds(self, static: bytes) -> bool:
        """Tell whether a 32-byte static key is one of ours."""
        previous = self.previous
        return static == self._static.public or (previous is not None and static == previous.static)

    def wipe(self) -> None:
        """Drop the private keys; nothing can be dialled or accepted afterwards."""
        self._seed.wipe()
        self._static.private.wipe()
        if self._previous is not None:
            self._previous.pair.private.wipe()

    def for_dialling(
        self, contact: ContactRecord, now_ms: int, settings: Config
    ) -> ConnectionConfig:
        """Return what a connection to a contact needs (R-4.2.5, R-4.3.6)."""
        classical = settings.classical_peers and not contact.post_quantum
        return ConnectionConfig(
            self.certificate(now_ms),
            self._static,
            expected_identity=contact.pin.identity,
            offer=OUR_OFFER if classical else HYBRID_OFFER,
            peer_static=contact.static,
            cover_interval_s=settings.cover_interval_s,
            previous=self._for_latecomers(now_ms),
        )

    def for_listening(self, now_ms: int, settings: Config) -> ConnectionConfig:
        """Return what a connection that somebody else opened needs."""
        return ConnectionConfig(
            self.certificate(now_ms),
            self._static,
            offer=OUR_OFFER if settings.classical_peers else HYBRID_OFFER,
            stealth=settings.stealth,
            cover_interval_s=settings.cover_interval_s,
            previous=self._for_latecomers(now_ms),
        )

    def certificate(self, now_ms: int) -> Certificate:
        """Return the static key's certificate, valid for a good while yet."""
        self._certificate = self._renewed(self._certificate, now_ms)
        return self._certificate

    def _for_latecomers(self, now_ms: int) -> CertifiedKey | None:
        """Return the previous key while its overlap lasts (R-3.3.8)."""
        if self._previous is None or self.previous_until_ms is None:
            return None
        if now_ms >= self.previous_until_ms:
            return None  # of no more use, even before it is deleted
        certificate = self._renewed(self._previous.certificate, now_ms)
        return CertifiedKey(certificate, self._previous.pair)

    def _renewed(self, certificate: Certificate, now_ms: int) -> Certificate:
        if 0 <= now_ms - certificate.not_before_ms < CERTIFICATE_LIFETIME_MS // 2:
            return certificate
        return issue(
            self._seed, certificate.static, generation=certificate.generation, now_ms=now_ms
        )


def rotated(
    record: IdentityRecord, static: KeyPair, now_ms: int, *, at_least: int = 0
) -> IdentityRecord:
    """Return the record with a new static key; the old one becomes the previous (R-3.3.6).

    Raises:
        CertificateError: No certificate can hold this time, or there is no greater generation.
        DamagedStoreError: The record's own certificate is not.
    """
    current = _own(record.static_private, record.certificate).certificate.generation
    generation = max(current + 1, at_least)
    certificate = issue(record.signing_seed, static.public, generation=generation, now_ms=now_ms)
    return replace(
        record,
        static_private=static.private,
        certificate=certificate.encoded,
        previous=PreviousStaticKey(
            record.static_private, record.certificate, now_ms + STATIC_KEY_OVERLAP_MS
        ),
    )


def key_event(kind: AuditKind, certificate: Certificate, now_ms: int) -> AuditEvent:
    """Return what the audit log says of a static key, ours or a contact's."""
    return AuditEvent(
        kind,
        now_ms,
        certificate.identity,
        key_id(certificate.static),
        {"purpose": "static", "generation": certificate.generation},
    )


def _own(private: Secret, encoded: bytes) -> CertifiedKey:
    """Read a key of ours; its certificate may have expired: it is checked as of its first day."""
    try:
        first_day_ms = int.from_bytes(encoded[_NOT_BEFORE], "big")
        certificate = parse_and_verify(encoded, now_ms=first_day_ms)
    except IdentityError as error:
        raise DamagedStoreError(f"the profile's own certificate: {error}") from error
    pair = x25519.long_term_key_pair(private)
    if certificate.static != pair.public:
        raise DamagedStoreError("the profile's certificate is for another key")
    return CertifiedKey(certificate, pair)
