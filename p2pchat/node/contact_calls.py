"""What a node can be asked about contacts (protocol.md §3.6, §3.8, §8.3).

A contact is named as the person names it; the desks are handed the one that is meant. Everywhere
``contact`` is a local name, regardless of case, or a peer id, and ``UnknownContactError`` says
that nobody is called so.
"""

from __future__ import annotations

from collections.abc import Sequence

from p2pchat.identity.trust import Trust
from p2pchat.node.desks import Desks
from p2pchat.node.views import ContactView


class ContactCalls(Desks):
    """The node's contacts: add, accept, compare, reach, remove."""

    async def add_contact(self, link: str, name: str | None = None, note: str = "") -> ContactView:
        """Add whoever a link names; a link of somebody known brings new addresses.

        Args:
            link: ``p2pchat:…``.
            name: Local name; the link's own if not given, made unique.
            note: What our first request says, at most ``NOTE_MAX_CHARS``.

        Raises:
            LinkError: The link does not parse.
            UsageError: Our own link, or a name or note that cannot be.
            ContactError: The name belongs to another contact.
            TrustError: That identity is blocked.
        """
        return (await self._desk.add(link, name, note)).view()

    async def contacts(self) -> list[ContactView]:
        """Return all contacts, by name."""
        return [peer.view() for peer in self._book]

    async def contact(self, contact: str) -> ContactView:
        """Return one contact."""
        return self._book.find(contact).view()

    async def accept(self, contact: str) -> None:
        """Accept a request or a changed key, or unblock.

        A new key starts unverified, with a new session; what waits to be sent goes to it.

        Raises:
            ContactError: The new key belongs to another contact.
        """
        await self._desk.accept(self._book.find(contact))

    async def keep(self, contact: str) -> None:
        """Keep the pinned key and dismiss the one that appeared instead.

        The dismissed key changes nothing again until the node is restarted, wherever it answers.
        """
        await self._desk.keep(self._book.find(contact))

    async def block(self, contact: str) -> None:
        """Block a contact: it may connect, and learns nothing."""
        await self._desk.block(self._book.find(contact))

    async def decline(self, contact: str) -> None:
        """Dismiss a request: it disappears, and the stranger learns nothing.

        Raises:
            UsageError: The contact is no request.
        """
        await self._desk.decline(self._book.find(contact))

    async def remove(self, contact: str) -> None:
        """Delete a contact, its messages and its session."""
        await self._desk.remove(self._book.find(contact))

    async def set_addresses(self, contact: str, addresses: Sequence[str]) -> None:
        """Replace what is known of where a contact is reached.

        Raises:
            UsageError: Malformed, or more than ``LINK_ADDRESSES_MAX``.
        """
        await self._desk.set_addresses(self._book.find(contact), addresses)

    async def safety_number(self, contact: str) -> str:
        """Return the 60 digits to compare."""
        return self._desk.safety_number(self._book.find(contact))

    async def verify(self, contact: str, number: str) -> Trust:
        """Compare a pasted safety number and mark the contact as verified.

        Raises:
            UsageError: Not 60 digits.
            TrustError: They differ, or another decision comes first.
        """
        return await self._desk.verify(self._book.find(contact), number)

    async def compare(self, contact: str, phrase: str) -> str:
        """Compare a phrase with a contact who is online, or take part in a comparison (§3.8).

        Returns:
            ``asked`` if the other person has to type now, ``answered`` if they have; how it ends
            is announced.

        Raises:
            UsageError: The phrase cannot be used, or a comparison is under way.
            TrustError: Another decision comes first, or all tries are used up.
            UnreachableError: The contact is not online.
        """
        return await self._reception.comparisons.offer(self._book.find(contact), phrase)

    def compare_cancel(self, contact: str) -> None:
        """Break off the comparison with a contact, or decline the one that it asks for."""
        self._reception.comparisons.cancel(self._book.find(contact))

    async def compare_again(self, contact: str) -> None:
        """Allow new tries after too many wrong phrases: the person's decision."""
        await self._reception.comparisons.allow_again(self._book.find(contact))

    def retry(self, contact: str | None = None) -> None:
        """Dial now, one contact or all, whatever the back-off says."""
        peers = list(self._book) if contact is None else [self._book.find(contact)]
        for peer in peers:
            self._desk.seek(peer)
