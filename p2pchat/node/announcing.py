"""What an identity has gone through, said in the greeting (protocol.md §3.7, §8.3).

That we are on another computer since some day, our contacts should know; that a contact is, the
person should, once. It is a courtesy of the honest: whoever stole a kit will not say so.
"""

from __future__ import annotations

from typing import Final

from p2pchat.constants import CERTIFICATE_CLOCK_SKEW_MS
from p2pchat.identity.keys import key_id
from p2pchat.node.environment import Environment
from p2pchat.node.peer import Peer
from p2pchat.node.views import KeyNews, KeyNewsKind
from p2pchat.session.greeting import NOTHING_ANNOUNCED, Announcement
from p2pchat.store.open import RECOVERED_AT_KEY
from p2pchat.store.ports import AuditEvent, AuditKind, Transaction

TOLD_KEY: Final = "contact.{}.recovered_at_ms"
"""Setting of a contact: the latest recovery that the person was told of."""


class Announcements:
    """Says ours and hears theirs."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.ours = NOTHING_ANNOUNCED

    async def load(self) -> None:
        """Read what we have to say."""
        recovered = await self._env.store.read(lambda tx: tx.get_setting(RECOVERED_AT_KEY))
        self.ours = Announcement(None if recovered is None else int(recovered))

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
