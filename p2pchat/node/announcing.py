"""What an identity has gone through, said in the greeting (protocol.md §3.7, §8.3).

That we are on another computer since some day, our contacts should know; that a contact is, the
person should, once. It is a courtesy of the honest: whoever stole a kit will not say so. That we
have another identity now we say with both keys; of a contact it is shown, and the person decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from p2pchat.constants import CERTIFICATE_CLOCK_SKEW_MS
from p2pchat.identity.keys import key_id, peer_id
from p2pchat.identity.succession import Succession, parse_succession
from p2pchat.identity.trust import Trust, on_announced
from p2pchat.node.book import PeerBook
from p2pchat.node.environment import Environment
from p2pchat.node.events import KeyNews, KeyNewsKind
from p2pchat.node.peer import Peer
from p2pchat.session.greeting import Announcement
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.open import RECOVERED_AT_KEY
from p2pchat.store.ports import Transaction
from p2pchat.store.records import ContactRecord, SuccessionRecord

TOLD_KEY: Final = "contact.{}.recovered_at_ms"
"""Setting of a contact: the latest recovery that the person was told of."""


class Announcements:
    """Says ours and hears theirs."""

    def __init__(self, env: Environment, book: PeerBook) -> None:
        self._env = env
        self._book = book
        self._recovered_at_ms: int | None = None
        self._succession: Succession | None = None

    async def load(self) -> None:
        """Read what we have to say."""
        own = self._env.credentials.identity

        def work(tx: Transaction) -> tuple[str | None, SuccessionRecord | None]:
            return tx.get_setting(RECOVERED_AT_KEY), tx.succession_to(own)

        recovered, kept = await self._env.store.read(work)
        self._recovered_at_ms = int(recovered) if recovered else None
        self._succession = None if kept is None else parse_succession(kept.statement)

    def to(self, contact: ContactRecord) -> Announcement:
        """Return what a contact is to be told; who we were, only those who knew us (R-3.7.9)."""
        said = self._succession
        knew_us = said is not None and contact.added_at_ms <= said.at_ms
        return Announcement(self._recovered_at_ms, said if knew_us else None)

    async def takes_over(self, succession: Succession) -> bool:
        """A stranger takes a contact's place, it says; True if that is no request (R-3.7.10)."""
        identity = succession.new
        peer = self._book.by_identity(succession.old)
        if peer is None or peer.record.pin.revoked_at_ms is not None:
            return False
        if peer.record.pin.trust is Trust.REQUEST:
            return False
        if identity in peer.dismissed or peer.record.pin.trust is Trust.BLOCKED:
            return True  # decided already; whoever it is, he is not told so
        now_ms = self._env.clock.wall_ms()

        def work(tx: Transaction) -> ContactRecord | None:
            contact = tx.contact(peer.contact_id)
            if contact is None or contact.pin.identity != succession.old:
                return None
            pin = on_announced(contact.pin, identity)
            if pin == contact.pin:
                return contact
            tx.put_succession(
                SuccessionRecord(succession.old, identity, succession.encoded, now_ms)
            )
            context = {"other": peer_id(identity), "source": "announced"}
            kind = AuditKind.KEY_CHANGED
            tx.audit(AuditEvent(kind, now_ms, succession.old, key_id(identity), context))
            return tx.put_contact(replace(contact, pin=pin))

        before = peer.record.pin
        contact = await self._env.store.write(work)
        if contact is not None and contact.pin != before:
            peer.record = contact
            peer.show()
            self._env.hub.publish(KeyNews(contact.name, KeyNewsKind.ANNOUNCED, succession.at_ms))
        return contact is not None

    async def heard(self, peer: Peer, announcement: Announcement) -> None:
        """A contact's greeting; what is new in it is told to the person once (R-3.7.7)."""
        at_ms = announcement.recovered_at_ms
        now_ms = self._env.clock.wall_ms()
        # Who became a contact after it has never known another computer of theirs.
        earliest = peer.record.added_at_ms
        if at_ms is None or not earliest < at_ms <= now_ms + CERTIFICATE_CLOCK_SKEW_MS:
            return
        key = TOLD_KEY.format(peer.contact_id)

        def work(tx: Transaction) -> bool:
            if at_ms <= int(tx.get_setting(key) or 0):
                return False
            tx.put_setting(key, str(at_ms))
            identity = peer.identity
            tx.audit(AuditEvent(AuditKind.RECOVERED, now_ms, identity, key_id(identity)))
            return True

        if await self._env.store.write(work):
            self._env.hub.publish(KeyNews(peer.record.name, KeyNewsKind.RECOVERED, at_ms))
