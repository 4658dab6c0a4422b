"""The node: everything that a person or a program can ask of p2pchat (protocol.md §10).

One object for one open profile, in one event loop. It owns the store, the listeners, one task a
contact that seeks connections, and one task a connection. What it returns and publishes are the
plain values of ``node.views``.

A message is safe once ``send`` returns: it is in the store, which is the outbox. Delivery goes
on by itself from there, through reconnects and restarts, until the peer has stored the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

from p2pchat import __version__
from p2pchat.constants import LINK_ADDRESSES_MAX
from p2pchat.crypto.secret import Secret
from p2pchat.identity.keys import peer_id
from p2pchat.identity.link import ContactLink, encode_link
from p2pchat.node import listening
from p2pchat.node.backups import back_up
from p2pchat.node.contact_calls import ContactCalls
from p2pchat.node.message_calls import MessageCalls
from p2pchat.node.subscription import Subscription
from p2pchat.node.views import BackupView, IdentityView, KeyView, RevokedView, StatusView
from p2pchat.transport.interfaces import reachable

__all__ = ["Node", "Subscription"]

GOODBYE_S: Final = 3.0
"""How long ``stop`` waits for peers to answer our goodbye."""


class Node(ContactCalls, MessageCalls):
    """One profile, running.

    Args:
        profile: Open; the node closes it in ``stop``.
        config: The person's settings.
        rng: For keys, message ids and jitter.
        clock: The node's only source of time.
        transport: How peers are reached; TCP if not given.

    Attributes:
        audit: Shows, verifies and exports the log of key and trust events.
        locks: What unlocks the profile.
        history: Searches, exports and shortens what is stored.
    """

    # --- running ---------------------------------------------------------------------------------

    async def start(self, listen: Sequence[str], *, dial: bool = True) -> None:
        """Load the contacts, listen, and begin to seek them.

        Args:
            listen: ``host:port`` each; port 0 for the one of last time, or any free one; empty
                for none.
            dial: False for a process that only reads and queues.

        Raises:
            TransportError: An address cannot be listened on; the node is stopped then.
        """
        self._env.dials = dial
        await self.locks.take_over_failures()
        await self._book.load()
        await self._revocations.load()
        await self._announcements.load()
        await self._reception.requests.load()
        await self._env.supervisor.start()
        await self._journal.begin(self._profile.store)
        await self._expiry.sweep()
        self._env.supervisor.spawn(self._expiry.run, "expiry")
        try:
            if dial or listen:
                await self._keys.start()
                self.history.start()
            for address in listen:
                listener = await listening.listen(
                    self._env.transport, self._env.store, address, self._reception.accept
                )
                self._listeners.append(listener)
        except BaseException:  # whatever it was: no half-started node stays behind
            await self.stop()
            raise
        if dial or listen:
            await self._reception.sessions.take_over_loss()
        if self._profile.store.stale:
            await self._keys.renew()
        for peer in self._book:
            self._dialer.start(peer)

    async def stop(self) -> None:
        """Say goodbye to everybody, finish what is being stored, close the profile."""
        if self._stopped:
            return
        self._stopped = True
        for listener in self._listeners:
            await listener.aclose()
        self._env.dials = False
        await self._reception.close_all(GOODBYE_S)
        await self._journal.end()
        await self._env.supervisor.aclose()
        self._env.hub.close()
        await self._profile.store.close()
        self._profile.close()
        self._env.credentials.wipe()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def subscribe(self) -> Subscription:
        """Hear of everything that happens from now on."""
        return self._env.hub.subscribe()

    async def back_up(self, path: str, passphrase: Secret) -> BackupView:
        """Write an encrypted backup of everything but sessions to a new file.

        Args:
            path: Absolute.
            passphrase: Of the backup.

        Raises:
            UsageError: The path is not absolute, or the passphrase empty.
            StoreError: The file exists or the disk refuses.
        """
        return await back_up(self._env, self._profile, path, passphrase)

    # --- ourselves -------------------------------------------------------------------------------

    def status(self) -> StatusView:
        """Return the node as a whole."""
        return StatusView(
            version=__version__,
            peer_id=peer_id(self._env.credentials.identity),
            listen=tuple(item for one in self._listeners for item in one.addresses),
            contacts_online=sum(peer.online for peer in self._book),
        )

    def identity(self) -> IdentityView:
        """Return our name, peer id, and the link to hand out."""
        own = self._env.credentials
        addresses = reachable(self.status().listen)[:LINK_ADDRESSES_MAX]
        link = encode_link(ContactLink(own.identity, own.name, addresses))
        revocation = self._env.revocations.own
        revoked_at_ms = None if revocation is None else revocation.revoked_at_ms
        return IdentityView(own.name, peer_id(own.identity), link, revoked_at_ms)

    def revocation_certificate(self) -> str:
        """Return the line that revokes our identity wherever it is given; to be kept."""
        return self._revocations.certificate()

    async def revoke(self, certificate: str | None = None) -> RevokedView:
        """Revoke our own identity, or the one that a certificate names; there is no way back.

        Raises:
            KeyStatementError: The certificate does not parse or verify.
            UsageError: It is of somebody who is no contact.
        """
        revoked = await self._revocations.revoke(certificate)
        if self._env.revocations.own is not None:
            await self._keys.renew()
        return revoked

    async def key_status(self) -> tuple[KeyView, ...]:
        """Return our long-lived keys, with their purposes and ages."""
        return await self._keys.status()

    async def rotate_key(self) -> KeyView:
        """Replace our static key and return the new one; no session or safety number changes.

        Raises:
            CertificateError: The clock is out of all bounds, or the generations are used up.
            TrustError: Our identity is revoked.
        """
        made = await self._keys.rotate()
        self.retry()  # who has refused the old key may take this one
        return made
