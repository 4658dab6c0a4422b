"""Revoking an identity, ours or a contact's, and telling those whom it concerns (§3.7, §7.8).

What is revoked is refused from the same moment on: the store first, then the connections. Our own
revocation is told to each contact, now or when it is next met; a contact has learnt of it when it
closes with KEY_REVOKED, and is then sought no more. Whether a certificate is genuine its signature
says, so anybody may bring it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from p2pchat.constants import HANDSHAKE_TIMEOUT_S
from p2pchat.errors import ErrorCode, KeyStatementError, ProtocolError, UsageError
from p2pchat.identity.keys import key_id, peer_id
from p2pchat.identity.revocation import (
    Revocation,
    encode_revocation_text,
    parse_revocation,
    parse_revocation_text,
    revoked_identity,
)
from p2pchat.identity.trust import on_revoked
from p2pchat.node.book import PeerBook
from p2pchat.node.environment import Environment
from p2pchat.node.events import IdentityRevoked, KeyNews, KeyNewsKind
from p2pchat.node.link import Link
from p2pchat.node.peer import Peer
from p2pchat.node.views import RevokedView
from p2pchat.session.notices import RevokedNotice
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.ports import Transaction
from p2pchat.store.records import ContactRecord, RevocationRecord

TOLD_KEY: Final = "contact.{}.told_revoked"
"""Setting of a contact: hexadecimal, the identity of ours that it knows to be revoked."""
REVOKED: Final = "the key is revoked"


class RevocationDesk:
    """Takes and gives revocations."""

    def __init__(self, env: Environment, book: PeerBook) -> None:
        self._env = env
        self._book = book

    async def load(self) -> None:
        """Read what is revoked; the contacts are loaded."""
        own = self._env.credentials.identity

        def work(tx: Transaction) -> tuple[list[RevocationRecord], set[int]]:
            told = {
                record.contact_id
                for record in tx.contacts()
                if tx.get_setting(TOLD_KEY.format(record.contact_id)) == own.hex()
            }
            return tx.revocations(), told

        records, told = await self._env.store.read(work)
        for record in records:
            self._env.revocations.put(record, identity=own)
        for peer in self._book:
            peer.told_revoked = peer.contact_id in told

    # --- what the person does -------------------------------------------------------------------

    def certificate(self) -> str:
        """Return our own revocation certificate as one line to be kept; nothing is revoked."""
        return encode_revocation_text(self._own())

    async def revoke(self, text: str | None) -> RevokedView:
        """Revoke our own identity, or the one that a certificate names; there is no way back.

        Raises:
            KeyStatementError: The certificate does not parse or verify.
            UsageError: It is of somebody who is no contact.
        """
        revocation = self._own() if text is None else parse_revocation_text(text)
        identity = revocation.identity
        kept = self._env.revocations.certificate(identity)
        ours = identity == self._env.credentials.identity or (kept is not None and kept.ours)
        if not ours and not self._concerns(identity):
            raise UsageError(
                f"this certificate revokes {peer_id(identity)}, which is neither you nor one of "
                "your contacts"
            )
        await self._take(revocation, source="certificate")
        peer = self._book.by_identity(identity)
        untold = sum(not each.told_revoked for each in self._book) if ours else 0
        return RevokedView(peer_id(identity), ours, peer.record.name if peer else "", untold)

    # --- what peers say -------------------------------------------------------------------------

    async def noticed(self, link: Link, statement: bytes) -> None:
        """A peer says that an identity is revoked: its own, or that of somebody we know (R-3.7.3).

        Raises:
            ProtocolError: Not a revocation; or the peer's own, which ends the connection.
        """
        sender = link.peer_identity
        try:
            identity = revoked_identity(statement)
            if identity != sender and not self._concerns(identity):
                return  # of nobody here: not even worth a signature
            revocation = parse_revocation(statement)
        except KeyStatementError as error:
            raise ProtocolError(str(error)) from error
        if self._concerns(identity):
            await self._take(revocation, source="owner" if identity == sender else "friend")
        if identity == sender:
            raise ProtocolError(REVOKED, ErrorCode.KEY_REVOKED)

    def tell(self, link: Link, *, is_contact: bool) -> None:
        """Tell a proven peer which of our identities are revoked.

        A stranger learns of the current one only: what we were before is our contacts' business.
        """
        for record in self._env.revocations.published:
            if is_contact or record is self._env.revocations.own:
                link.tell(RevokedNotice(record.statement))

    def acknowledged(self, peer: Peer) -> None:
        """A contact has closed with KEY_REVOKED: it knows."""
        if self._env.revocations.own is None or peer.told_revoked:
            return
        peer.told_revoked = True
        peer.show()
        own = self._env.credentials.identity.hex()

        async def note() -> None:
            key = TOLD_KEY.format(peer.contact_id)
            await self._env.store.write(lambda tx: tx.put_setting(key, own))

        self._env.supervisor.spawn(note, f"told {peer.contact_id}")

    # --- both -----------------------------------------------------------------------------------

    def _own(self) -> Revocation:
        identity = self._env.credentials.identity
        kept = self._env.revocations.certificate(identity)
        if kept is None:
            raise UsageError("this profile keeps no revocation certificate")
        return Revocation(identity, kept.statement)

    def _concerns(self, identity: bytes) -> bool:
        return identity == self._env.credentials.identity or any(
            identity in (peer.identity, peer.record.pin.offered) for peer in self._book
        )

    async def _take(self, revocation: Revocation, *, source: str) -> None:
        """Put a verified revocation into effect: stored, then refused; harmless when known."""
        env, identity = self._env, revocation.identity
        kept = env.revocations.certificate(identity)
        if kept is not None and kept.revoked_at_ms is not None:
            return
        at_ms, own = env.clock.wall_ms(), env.credentials.identity

        def work(tx: Transaction) -> tuple[RevocationRecord, ContactRecord | None]:
            tx.put_revocation(
                RevocationRecord(identity, revocation.encoded, at_ms, ours=identity == own)
            )
            context = {"source": source}
            tx.audit(AuditEvent(AuditKind.KEY_REVOKED, at_ms, identity, key_id(identity), context))
            contact = next((each for each in tx.contacts() if each.pin.identity == identity), None)
            if contact is not None:
                tx.break_session(contact.contact_id)
                pin = on_revoked(contact.pin, at_ms)
                contact = tx.put_contact(replace(contact, pin=pin))
            (record,) = (each for each in tx.revocations() if each.identity == identity)
            return record, contact

        record, contact = await env.store.write(work)
        env.revocations.put(record, identity=own)
        peer = self._book.by_identity(identity)
        if peer is not None and contact is not None:
            peer.record = contact
            peer.show()
            env.hub.publish(KeyNews(contact.name, KeyNewsKind.REVOKED, at_ms))
            env.supervisor.spawn(lambda: self._part(peer), f"part {peer.contact_id}")
        if record.ours:
            if identity == own:
                env.hub.publish(IdentityRevoked(at_ms))
            self._publish()

    async def _part(self, peer: Peer) -> None:
        """End a revoked contact's connection; what its last round has stored goes with it."""
        async with peer.attaching:
            if peer.link is not None:
                peer.link.close(ErrorCode.KEY_REVOKED, REVOKED)
                await peer.link.is_detached.wait()
            await self._env.store.write(lambda tx: tx.break_session(peer.contact_id))

    def _publish(self) -> None:
        """Tell who is connected, and seek the others."""
        clock = self._env.clock
        for peer in self._book:
            if peer.link is not None:
                for record in self._env.revocations.published:
                    peer.link.tell(RevokedNotice(record.statement))
            peer.backoff.reset()
            peer.dial.notify()
            peer.show()
        if self._env.revocations.own is not None:
            # Who runs a program that does not know notices does not close; we do not go on either.
            clock.call_at(clock.monotonic() + HANDSHAKE_TIMEOUT_S, self._leave)

    def _leave(self) -> None:
        for peer in self._book:
            if peer.online and peer.link is not None:
                peer.link.close(ErrorCode.GOING_AWAY, "our key is revoked")
