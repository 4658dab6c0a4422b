"""Who we are on the wire: the certificate and key that each connection presents (§3.3).

The stored certificate is presented until half of its life is over; from then on one with the
same key and generation and a new term is signed in memory, so that a node that runs for months
never presents an expired one. Rotating the key itself is another matter and not done here.
"""

from __future__ import annotations

from typing import Final

from p2pchat.config import Config
from p2pchat.constants import CERTIFICATE_LIFETIME_MS
from p2pchat.crypto import x25519
from p2pchat.errors import DamagedStoreError, IdentityError
from p2pchat.identity.certificate import (
    CERTIFICATE_BODY_LEN,
    Certificate,
    issue,
    parse_and_verify,
)
from p2pchat.session.authentication import ConnectionConfig
from p2pchat.session.negotiation import HYBRID_OFFER, OUR_OFFER
from p2pchat.store.ports import ContactRecord, IdentityRecord

_NOT_BEFORE: Final = slice(CERTIFICATE_BODY_LEN - 16, CERTIFICATE_BODY_LEN - 8)


class Credentials:
    """Our identity, ready for connections."""

    def __init__(self, record: IdentityRecord) -> None:
        self.name = record.name
        self._seed = record.signing_seed
        self._static = x25519.key_pair(record.static_private)
        self._certificate = _own(record.certificate)
        if self._certificate.static != self._static.public:
            raise DamagedStoreError("the profile's certificate is for another key")

    @property
    def identity(self) -> bytes:
        """Our 32-byte identity key."""
        return self._certificate.identity

    def for_dialling(
        self, contact: ContactRecord, now_ms: int, settings: Config
    ) -> ConnectionConfig:
        """Return what a connection to a contact needs (R-4.2.5, R-4.3.6)."""
        classical = settings.classical_peers and not contact.post_quantum
        return ConnectionConfig(
            self._current(now_ms),
            self._static,
            expected_identity=contact.pin.identity,
            offer=OUR_OFFER if classical else HYBRID_OFFER,
            peer_static=contact.static,
            cover_interval_s=settings.cover_interval_s,
        )

    def for_listening(self, now_ms: int, settings: Config) -> ConnectionConfig:
        """Return what a connection that somebody else opened needs."""
        return ConnectionConfig(
            self._current(now_ms),
            self._static,
            offer=OUR_OFFER if settings.classical_peers else HYBRID_OFFER,
            stealth=settings.stealth,
            cover_interval_s=settings.cover_interval_s,
        )

    def _current(self, now_ms: int) -> Certificate:
        age_ms = now_ms - self._certificate.not_before_ms
        if not 0 <= age_ms < CERTIFICATE_LIFETIME_MS // 2:
            self._certificate = issue(
                self._seed,
                self._static.public,
                generation=self._certificate.generation,
                now_ms=now_ms,
            )
        return self._certificate


def _own(encoded: bytes) -> Certificate:
    """Read our own certificate, which may have expired meanwhile: checked as of its first day."""
    try:
        first_day_ms = int.from_bytes(encoded[_NOT_BEFORE], "big")
        return parse_and_verify(encoded, now_ms=first_day_ms)
    except IdentityError as error:
        raise DamagedStoreError(f"the profile's own certificate: {error}") from error
