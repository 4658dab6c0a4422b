"""What a contact's certificate tells once the handshake is over (protocol.md §3.3, §7.8).

A contact that has rotated its static key says so on the connections that it has. It is learned
without a word to the person, since nothing changes for them; the audit log has it.
"""

from __future__ import annotations

from dataclasses import replace

from p2pchat.errors import (
    CertificateError,
    CryptoError,
    ErrorCode,
    ProtocolError,
    UnknownContactError,
)
from p2pchat.identity.certificate import Certificate, parse_and_verify
from p2pchat.node.credentials import key_event
from p2pchat.node.environment import Environment
from p2pchat.node.link import Link
from p2pchat.store.audit_types import AuditKind
from p2pchat.store.records import ContactRecord


class CertificateDesk:
    """Learns the newest static keys of contacts."""

    def __init__(self, env: Environment) -> None:
        self._env = env

    async def noticed(self, link: Link, encoded: bytes) -> None:
        """Dial with the contact's new key from now on; of a stranger nothing is kept (R-7.8.5).

        Raises:
            ProtocolError: CERTIFICATE_INVALID: it does not hold; nothing has changed.
        """
        now_ms = self._env.clock.wall_ms()
        certificate = self._verified(link, encoded, now_ms)
        if link.peer is None:
            return
        events = []
        if link.peer.records_rotation(certificate.static):
            events.append(key_event(AuditKind.KEY_ROTATED, certificate, now_ms))
        try:
            await link.peer.update(lambda record: _learned(record, certificate), *events)
        except UnknownContactError:
            return  # removed meanwhile

    def _verified(self, link: Link, encoded: bytes, now_ms: int) -> Certificate:
        """Check it as the handshake does, for the identity that it has proven (R-7.8.4)."""
        try:
            certificate = parse_and_verify(encoded, now_ms=now_ms)
        except (CertificateError, CryptoError) as error:
            raise ProtocolError(str(error), ErrorCode.CERTIFICATE_INVALID) from error
        if certificate.identity != link.peer_identity:
            raise ProtocolError(
                "the peer told another identity's certificate", ErrorCode.CERTIFICATE_INVALID
            )
        if self._env.credentials.holds(certificate.static):
            raise ProtocolError("the peer has our own static key", ErrorCode.CERTIFICATE_INVALID)
        return certificate


def _learned(record: ContactRecord, certificate: Certificate) -> ContactRecord:
    if record.pin.identity != certificate.identity:
        return record  # the person has accepted another key: the connection is about to end
    if certificate.generation < record.certificate_generation:
        raise ProtocolError("an outdated certificate was told", ErrorCode.CERTIFICATE_INVALID)
    return replace(record, certificate_generation=certificate.generation, static=certificate.static)
