"""Connections of those who are no contacts, and how one becomes a request (protocol.md §8.3).

A stranger may connect and waits. Its greeting is shown to the person as a request, unless
``node.requests`` has a reason not to; the stranger learns neither.
"""

from __future__ import annotations

from p2pchat.constants import PENDING_REQUESTS_MAX
from p2pchat.errors import ErrorCode
from p2pchat.identity.trust import Pin, Trust
from p2pchat.node.announcing import Announcements
from p2pchat.node.book import PeerBook, name_of_stranger
from p2pchat.node.endings import REPLACED
from p2pchat.node.environment import Environment
from p2pchat.node.events import ContactRequested
from p2pchat.node.link import Link
from p2pchat.node.peer import Peer
from p2pchat.node.requests import RequestDesk
from p2pchat.node.revocations import RevocationDesk
from p2pchat.node.sessions import shown_by
from p2pchat.session.events import Attach, Close, PeerGreeted
from p2pchat.store.records import ContactRecord


class Strangers:
    """One connection for each stranger, by identity."""

    def __init__(
        self,
        env: Environment,
        book: PeerBook,
        requests: RequestDesk,
        revocations: RevocationDesk,
        announcements: Announcements,
    ) -> None:
        self._env = env
        self._book = book
        self._requests = requests
        self._revocations = revocations
        self._announcements = announcements
        self._links: dict[bytes, Link] = {}

    def __len__(self) -> int:
        return len(self._links)

    def admit(self, link: Link, identity: bytes) -> Attach | Close:
        """Let a stranger connect and wait, unless too many do; a newer connection is the one."""
        previous = self._links.get(identity)
        requests = sum(peer.record.pin.trust is Trust.REQUEST for peer in self._book)
        asking = requests + sum(not self._requests.is_declined(each) for each in self._links)
        held = len(self._links) if self._requests.is_declined(identity) else asking
        if previous is None and held >= PENDING_REQUESTS_MAX:
            return Close(ErrorCode.LIMIT_EXCEEDED, "too many requests are waiting")
        if previous is not None:
            previous.close(ErrorCode.SUPERSEDED, REPLACED)
        self._links[identity] = link
        self._revocations.tell(link, is_contact=False)
        return Attach(accepted=False, name="")

    async def greeted(self, link: Link, event: PeerGreeted) -> Peer | None:
        """Make a request of a stranger's HELLO; return the contact that it is now, if so."""
        identity = link.peer_identity
        if identity is None or self._links.get(identity) is not link or not event.accepted:
            return None
        if self._env.revocations.own is not None:
            return None
        succession = event.announcement.succession
        if succession is not None and await self._announcements.takes_over(succession):
            return None
        if self._requests.is_declined(identity):
            return None  # it waits, like one about whom nobody has decided yet
        if not self._requests.take(link.address):
            link.close(ErrorCode.LIMIT_EXCEEDED, "too many requests came from there")
            return None
        record = ContactRecord(
            contact_id=0,
            name=name_of_stranger(event.name, identity),
            pin=Pin(identity, Trust.REQUEST),
            note=event.note or "",
            added_at_ms=self._env.clock.wall_ms(),
        )
        if link.proof is not None:
            record = shown_by(record, link.proof)
        async with self._book.adding:
            if self._book.by_identity(identity) is not None:
                # The person has added them this very moment: they come back as a contact.
                link.close(ErrorCode.NORMAL, "the contact was changed meanwhile")
                return None
            peer = await self._book.add(record, unique=True)
        self._links.pop(identity, None)
        peer.link, link.peer = link, peer
        if self._env.hub.is_heard:
            self._env.hub.publish(ContactRequested(peer.view()))
        return peer

    def detached(self, link: Link) -> None:
        """The link has ended, a stranger's or not."""
        identity = link.peer_identity
        if identity is not None and self._links.get(identity) is link:
            del self._links[identity]

    def let_wait(self, peer: Peer) -> None:
        """The person has declined this request: its connection goes on as if nothing had been."""
        link, peer.link = peer.link, None
        if isinstance(link, Link):
            link.peer = None
            self._links[peer.identity] = link

    def turn_away(self, identity: bytes) -> None:
        """The person has just added this identity: let it connect anew, as a contact."""
        link = self._links.pop(identity, None)
        if link is not None:
            link.close(ErrorCode.NORMAL, "the contact was changed meanwhile")
