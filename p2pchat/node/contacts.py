"""What a person can do with contacts (protocol.md §3.6, §8.3).

Every change is written to the store first; then the contact's connection and the seeking of one
follow it. Whether a change of trust is allowed, ``identity.trust`` decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from p2pchat.constants import LINK_ADDRESSES_MAX, NOTE_MAX_CHARS
from p2pchat.errors import ErrorCode, IdentityError, TrustError, UsageError
from p2pchat.identity import safety_number, trust
from p2pchat.identity.keys import key_id
from p2pchat.identity.link import ContactLink, parse_address, parse_link
from p2pchat.identity.trust import Pin, Trust, VerifiedBy
from p2pchat.node.book import PeerBook, check_name, name_of_stranger
from p2pchat.node.dialer import Dialer
from p2pchat.node.environment import Environment
from p2pchat.node.events import ContactChanged, ContactRemoved
from p2pchat.node.journal import Journal
from p2pchat.node.peer import Peer
from p2pchat.node.reception import Reception
from p2pchat.sanitize import clean_line
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.records import ContactRecord


class ContactDesk:
    """Adds, accepts, blocks, removes, verifies."""

    def __init__(
        self,
        env: Environment,
        book: PeerBook,
        reception: Reception,
        dialer: Dialer,
        journal: Journal,
    ) -> None:
        self._env = env
        self._book = book
        self._journal = journal
        self._reception = reception
        self._dialer = dialer

    async def add(self, link: str, name: str | None, note: str) -> Peer:
        """Add whoever a link names, or learn new addresses of somebody known."""
        self._env.revocations.require_own_key()
        parsed = parse_link(link)
        if parsed.identity == self._env.credentials.identity:
            raise UsageError("this is your own contact link; send it to the other person")
        chosen = None if name is None else check_name(name)
        if clean_line(note, NOTE_MAX_CHARS) != note:
            raise UsageError(f"a note is one line of at most {NOTE_MAX_CHARS} characters")
        if self._env.revocations.refuses(parsed.identity):
            raise TrustError("this link is of a key that its owner has revoked; ask for a new one")
        async with self._book.adding:
            peer = self._book.by_identity(parsed.identity)
            if peer is None:
                return await self._add_new(parsed, chosen, note)
        if peer.record.pin.trust is Trust.BLOCKED:
            raise TrustError(f"{peer.record.name} is blocked; accept the contact first")
        was_request = peer.record.pin.trust is Trust.REQUEST
        await peer.update(
            lambda record: replace(
                record,
                name=chosen or record.name,
                addresses=parsed.addresses or record.addresses,
                pin=trust.on_accept(record.pin) if was_request else record.pin,
            )
        )
        if was_request:
            _greet_anew(peer)
        self.seek(peer)
        return peer

    async def _add_new(self, link: ContactLink, chosen: str | None, note: str) -> Peer:
        record = ContactRecord(
            contact_id=0,
            name=chosen or name_of_stranger(link.name, link.identity),
            pin=Pin(link.identity, Trust.UNVERIFIED),
            addresses=link.addresses,
            added_at_ms=self._env.clock.wall_ms(),
        )
        peer = await self._book.add(record, note, unique=chosen is None)
        await self._reception.requests.forget(link.identity)
        self._reception.strangers.turn_away(link.identity)
        self._env.hub.publish(ContactChanged(peer.view()))  # another client may have added it
        self._dialer.start(peer)
        return peer

    async def accept(self, peer: Peer) -> None:
        """Accept a request or a changed key, or unblock."""
        self._env.revocations.require_own_key()
        before = peer.record.pin
        if before.offered is not None and self._env.revocations.refuses(before.offered):
            raise TrustError("the new key is revoked, too; the contact needs a new link")
        await peer.update(lambda record: replace(record, pin=trust.on_accept(record.pin)))
        if peer.identity != before.identity:
            if peer.link is not None:
                peer.link.close(ErrorCode.NORMAL, "the contact's key was replaced")
            self._reception.strangers.turn_away(peer.identity)
        elif before.trust in (Trust.REQUEST, Trust.BLOCKED):
            _greet_anew(peer)
        self.seek(peer)

    async def keep(self, peer: Peer) -> None:
        """Keep the pinned key and dismiss the one that appeared instead."""
        if peer.record.pin.offered is not None:
            peer.dismissed.add(peer.record.pin.offered)

        def kept(record: ContactRecord) -> ContactRecord:
            was_verified = record.verified_at_ms is not None
            return replace(record, pin=trust.on_keep(record.pin, was_verified=was_verified))

        await peer.update(kept)
        self.seek(peer)

    async def block(self, peer: Peer) -> None:
        """Block: it may connect, and learns nothing (R-8.3.1)."""
        await peer.update(lambda record: replace(record, pin=trust.on_block(record.pin)))
        if peer.link is not None:
            peer.link.close(ErrorCode.NORMAL, "the contact was blocked")

    async def decline(self, peer: Peer) -> None:
        """Dismiss a request: the stranger learns nothing, and is not shown again for a day."""
        if peer.record.pin.trust is not Trust.REQUEST:
            raise UsageError(f"{peer.record.name} is no request; block or remove the contact")
        await self._reception.requests.decline(peer.identity)
        peer.removed = True
        async with peer.attaching:
            self._reception.strangers.let_wait(peer)
            await self._book.remove(peer)
        self._gone(peer)

    async def remove(self, peer: Peer) -> None:
        """Delete a contact, its messages and its session."""
        peer.removed = True
        async with peer.attaching:
            if peer.link is not None:
                peer.link.close(ErrorCode.NORMAL, "the contact was removed")
                await peer.link.is_detached.wait()
            await self._book.remove(peer)
        self._gone(peer)

    def _gone(self, peer: Peer) -> None:
        peer.dial.notify()
        self._env.hub.publish(ContactRemoved(peer.record.name))

    async def set_addresses(self, peer: Peer, addresses: Sequence[str]) -> None:
        """Replace what is known of where a contact is reached."""
        if len(addresses) > LINK_ADDRESSES_MAX:
            raise UsageError(f"a contact has at most {LINK_ADDRESSES_MAX} addresses")
        for address in addresses:
            try:
                parse_address(address)
            except IdentityError as error:
                raise UsageError(str(error)) from error
        await peer.update(lambda record: replace(record, addresses=tuple(addresses)))
        self.seek(peer)

    def safety_number(self, peer: Peer) -> str:
        """Return the 60 digits to compare."""
        return safety_number.safety_number(self._env.credentials.identity, peer.identity)

    async def verify(self, peer: Peer, number: str) -> Trust:
        """Compare a pasted safety number and mark the contact as verified."""
        pinned = peer.identity
        now_ms = self._env.clock.wall_ms()
        try:
            safety_number.compare(self.safety_number(peer), number)
        except TrustError:
            await self._journal.record(
                AuditEvent(
                    AuditKind.VERIFICATION_FAILED,
                    now_ms,
                    pinned,
                    key_id(pinned),
                    {"method": "safety number"},
                )
            )
            raise

        def verified(record: ContactRecord) -> ContactRecord:
            if record.pin.identity != pinned:
                raise TrustError("the contact's key has just changed; compare again")
            return replace(
                record,
                pin=trust.on_verified(record.pin),
                verified_at_ms=now_ms,
                verified_by=VerifiedBy.NUMBER,
                secret_tries=0,
            )

        await peer.update(verified)
        return peer.record.pin.trust

    def seek(self, peer: Peer) -> None:
        """Dial now, whatever the back-off says."""
        peer.backoff.reset()
        peer.dial.notify()


def _greet_anew(peer: Peer) -> None:
    """The person has accepted: a connection that waits for it goes on."""
    if peer.link is not None:
        peer.link.accept()
