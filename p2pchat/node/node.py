"""The node: everything that a person or a program can ask of p2pchat (protocol.md §10).

One object for one open profile, in one event loop. It owns the store, the listeners, one task a
contact that seeks connections, and one task a connection. What it returns and publishes are the
plain values of ``node.views``.

A message is safe once ``send`` returns: it is in the store, which is the outbox. Delivery goes
on by itself from there, through reconnects and restarts, until the peer has stored the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Self

from p2pchat import __version__
from p2pchat.config import Config
from p2pchat.constants import (
    LINK_ADDRESSES_MAX,
    MESSAGE_ID_LEN,
    NOTE_MAX_CHARS,
)
from p2pchat.crypto.secret import Rng
from p2pchat.errors import (
    ErrorCode,
    IdentityError,
    LocalProtocolError,
    TrustError,
    UnreachableError,
    UsageError,
)
from p2pchat.identity import safety_number, trust
from p2pchat.identity.keys import peer_id
from p2pchat.identity.link import ContactLink, encode_link, parse_address, parse_link
from p2pchat.identity.trust import Pin, Trust
from p2pchat.node.book import PeerBook, check_name
from p2pchat.node.clock import Clock
from p2pchat.node.credentials import Credentials
from p2pchat.node.dialer import Dialer
from p2pchat.node.environment import Environment
from p2pchat.node.messages import message_view, parse_message_id
from p2pchat.node.peer import Peer
from p2pchat.node.reception import Reception
from p2pchat.node.subscription import Subscription
from p2pchat.node.views import ContactView, IdentityView, MessageView, StatusView
from p2pchat.sanitize import clean_line
from p2pchat.session.messages import check_text
from p2pchat.store.open import OpenProfile
from p2pchat.store.ports import (
    ContactRecord,
    DeliveryState,
    Direction,
    MessageRecord,
    Transaction,
)
from p2pchat.transport.base import Listener, Transport
from p2pchat.transport.interfaces import reachable
from p2pchat.transport.tcp import TcpTransport

__all__ = ["Node", "Subscription"]

GOODBYE_S: Final = 3.0
"""How long ``stop`` waits for peers to answer our goodbye."""
MESSAGES_MAX: Final = 10_000
"""In one answer of ``messages``; more is fetched page by page. A local client alone can ask."""


class Node:
    """One profile, running.

    Args:
        profile: Open; the node closes it in ``stop``.
        config: The person's settings.
        rng: For keys, message ids and jitter.
        clock: The node's only source of time.
        transport: How peers are reached; TCP if not given.
    """

    def __init__(
        self,
        profile: OpenProfile,
        *,
        config: Config,
        rng: Rng,
        clock: Clock,
        transport: Transport | None = None,
    ) -> None:
        self._profile = profile
        self._env = Environment(
            store=profile.store,
            config=config,
            clock=clock,
            rng=rng,
            transport=transport or TcpTransport(),
            credentials=Credentials(profile.identity),
        )
        self._book = PeerBook(self._env)
        self._reception = Reception(self._env, self._book)
        self._dialer = Dialer(self._env, self._book, self._reception)
        self._listeners: list[Listener] = []
        self._stopped = False

    # --- running ---------------------------------------------------------------------------------

    async def start(self, listen: Sequence[str], *, dial: bool = True) -> None:
        """Load the contacts, listen, and begin to seek them.

        Args:
            listen: ``host:port`` each, port 0 for any free one; empty for none.
            dial: False for a process that only reads and queues.

        Raises:
            TransportError: An address cannot be listened on; the node is stopped then.
        """
        self._env.dials = dial
        await self._book.load()
        await self._env.supervisor.start()
        try:
            for address in listen:
                listener = await self._env.transport.listen(address, self._reception.accept)
                self._listeners.append(listener)
        except BaseException:  # whatever it was: no half-started node stays behind
            await self.stop()
            raise
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
        await self._env.supervisor.aclose()
        self._env.hub.close()
        await self._profile.store.close()
        self._profile.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def subscribe(self) -> Subscription:
        """Hear of everything that happens from now on."""
        return self._env.hub.subscribe()

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
        return IdentityView(own.name, peer_id(own.identity), link)

    # --- contacts --------------------------------------------------------------------------------

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
        parsed = parse_link(link)
        if parsed.identity == self._env.credentials.identity:
            raise UsageError("this is your own contact link; send it to the other person")
        chosen = None if name is None else check_name(name)
        if clean_line(note, NOTE_MAX_CHARS) != note:
            raise UsageError(f"a note is one line of at most {NOTE_MAX_CHARS} characters")
        async with self._book.adding:
            peer = self._book.by_identity(parsed.identity)
            if peer is None:
                record = ContactRecord(
                    contact_id=0,
                    name=chosen or self._name_in_link(parsed),
                    pin=Pin(parsed.identity, Trust.UNVERIFIED),
                    addresses=parsed.addresses,
                    added_at_ms=self._env.clock.wall_ms(),
                )
                peer = await self._book.add(record, note, unique=chosen is None)
                self._reception.turn_away_stranger(parsed.identity)
                self._dialer.start(peer)
                return peer.view()
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
            self._greet_anew(peer)
        self._wake(peer)
        return peer.view()

    async def contacts(self) -> list[ContactView]:
        """Return all contacts, by name."""
        return [peer.view() for peer in self._book]

    async def contact(self, contact: str) -> ContactView:
        """Return one contact.

        Args:
            contact: A local name, regardless of case, or a peer id; so everywhere below.

        Raises:
            UnknownContactError: Nobody is called so; so everywhere below.
        """
        return self._book.find(contact).view()

    async def accept(self, contact: str) -> None:
        """Accept a request or a changed key, or unblock.

        A new key starts unverified, with a new session; what waits to be sent goes to it.

        Raises:
            ContactError: The new key belongs to another contact.
        """
        peer = self._book.find(contact)
        before = peer.record.pin
        await peer.update(lambda record: replace(record, pin=trust.on_accept(record.pin)))
        if peer.identity != before.identity:
            await self._forget_identity(peer)
        elif before.trust in (Trust.REQUEST, Trust.BLOCKED):
            self._greet_anew(peer)
        self._wake(peer)

    async def keep(self, contact: str) -> None:
        """Keep the pinned key and dismiss the one that appeared instead.

        The dismissed key changes nothing again until the node is restarted, wherever it answers.
        """
        peer = self._book.find(contact)
        if peer.record.pin.offered is not None:
            peer.dismissed.add(peer.record.pin.offered)
        await peer.update(lambda record: replace(record, pin=trust.on_keep(record.pin)))
        self._wake(peer)

    async def block(self, contact: str) -> None:
        """Block a contact: it may connect, and learns nothing."""
        peer = self._book.find(contact)
        await peer.update(lambda record: replace(record, pin=trust.on_block(record.pin)))
        if peer.link is not None:
            peer.link.close(ErrorCode.NORMAL, "the contact was blocked")

    async def remove(self, contact: str) -> None:
        """Delete a contact, its messages and its session."""
        peer = self._book.find(contact)
        peer.removed = True
        async with peer.attaching:
            if peer.link is not None:
                peer.link.close(ErrorCode.NORMAL, "the contact was removed")
                await peer.link.is_detached.wait()
            await self._book.remove(peer)
        peer.dial.notify()

    async def set_addresses(self, contact: str, addresses: Sequence[str]) -> None:
        """Replace what is known of where a contact is reached.

        Raises:
            UsageError: Malformed, or more than ``LINK_ADDRESSES_MAX``.
        """
        peer = self._book.find(contact)
        if len(addresses) > LINK_ADDRESSES_MAX:
            raise UsageError(f"a contact has at most {LINK_ADDRESSES_MAX} addresses")
        for address in addresses:
            try:
                parse_address(address)
            except IdentityError as error:
                raise UsageError(str(error)) from error
        await peer.update(lambda record: replace(record, addresses=tuple(addresses)))
        self._wake(peer)

    async def safety_number(self, contact: str) -> str:
        """Return the 60 digits to compare."""
        peer = self._book.find(contact)
        return safety_number.safety_number(self._env.credentials.identity, peer.identity)

    async def verify(self, contact: str, number: str) -> Trust:
        """Compare a pasted safety number and mark the contact as verified.

        Raises:
            UsageError: Not 60 digits.
            TrustError: They differ, or another decision comes first.
        """
        peer = self._book.find(contact)
        pinned = peer.identity
        safety_number.compare(await self.safety_number(contact), number)
        now_ms = self._env.clock.wall_ms()

        def verified(record: ContactRecord) -> ContactRecord:
            if record.pin.identity != pinned:
                raise TrustError("the contact's key has just changed; compare again")
            return replace(record, pin=trust.on_verified(record.pin), verified_at_ms=now_ms)

        await peer.update(verified)
        return peer.record.pin.trust

    def retry(self, contact: str | None = None) -> None:
        """Dial now, one contact or all, whatever the back-off says."""
        peers = list(self._book) if contact is None else [self._book.find(contact)]
        for peer in peers:
            self._wake(peer)

    # --- messages --------------------------------------------------------------------------------

    async def send(self, contact: str, text: str) -> MessageView:
        """Queue a message; it is on the disk when this returns.

        Raises:
            UsageError: Empty, longer than 64 KiB, or not text.
            TrustError: The contact is changed, blocked, or only a request.
        """
        peer = self._book.find(contact)
        trust.require_sendable(peer.record.pin)
        try:
            check_text(text)
        except LocalProtocolError as error:
            raise UsageError(str(error)) from error
        record = MessageRecord(
            message_id=self._env.rng(MESSAGE_ID_LEN),
            contact_id=peer.contact_id,
            direction=Direction.OUT,
            text=text,
            sent_at_ms=self._env.clock.wall_ms(),
            state=DeliveryState.QUEUED,
        )
        await self._env.store.write(lambda tx: tx.add_message(record))
        if peer.link is not None:
            peer.link.messages_wait()
        return message_view(peer, record)

    async def cancel(self, contact: str, message_id: str) -> None:
        """Delete a message that has not left yet.

        Raises:
            UsageError: There is none, or it has left.
        """
        peer = self._book.find(contact)
        wanted = parse_message_id(message_id)

        def work(tx: Transaction) -> None:
            record = tx.message(peer.contact_id, wanted)
            if record is None or record.direction is not Direction.OUT:
                raise UsageError("there is no such message of yours")
            if record.state is not DeliveryState.QUEUED:
                raise UsageError(f"too late: the message is {record.state.value}")
            tx.delete_message(peer.contact_id, wanted)

        async with peer.outbox.sealing:
            await self._env.store.write(work)
        peer.outbox.settled([wanted])

    async def messages(
        self,
        contact: str,
        *,
        before: str | None = None,
        limit: int = 50,
        search: str | None = None,
    ) -> list[MessageView]:
        """Return the newest messages, oldest first.

        Args:
            contact: Whose.
            before: Only those before this message id.
            limit: How many, at most ``MESSAGES_MAX``.
            search: Only those that contain all these words.
        """
        peer = self._book.find(contact)
        anchor = None if before is None else parse_message_id(before)
        if not 1 <= limit <= MESSAGES_MAX:
            raise UsageError(f"ask for 1 to {MESSAGES_MAX} messages at once")
        records = await self._env.store.read(
            lambda tx: tx.messages(peer.contact_id, before=anchor, limit=limit, search=search)
        )
        return [message_view(peer, record) for record in records]

    async def mark_read(self, contact: str) -> None:
        """Note that the person has seen everything."""
        peer = self._book.find(contact)
        await self._env.store.write(lambda tx: tx.mark_read(peer.contact_id))
        peer.set_unread(0)
        peer.show()

    async def wait_delivered(
        self,
        contact: str,
        message_id: str,
        timeout: float,  # noqa: ASYNC109  # measured by the node's clock, which a test can move
    ) -> MessageView:
        """Wait until the peer has stored a message.

        Raises:
            UsageError: There is no such message.
            UnreachableError: Not within ``timeout`` seconds; it stays in the outbox.
        """
        peer = self._book.find(contact)
        wanted = parse_message_id(message_id)
        until = self._env.clock.monotonic() + timeout
        while True:
            # The waiter first, then the look: a delivery in between is not missed.
            waiting = peer.outbox.waiter(wanted)
            try:
                record = await self._env.store.read(lambda tx: tx.message(peer.contact_id, wanted))
                if record is None or record.direction is not Direction.OUT:
                    raise UsageError("there is no such message of yours")
                if record.state not in (DeliveryState.QUEUED, DeliveryState.SENT):
                    return message_view(peer, record)
                await waiting.until(self._env.clock, until)
            except TimeoutError:
                reason = peer.offline_reason() or "the contact has not confirmed it"
                raise UnreachableError(
                    f"not delivered within {timeout:g} s: {reason}; the message stays queued"
                ) from None
            finally:
                waiting.close()

    # --- inside ----------------------------------------------------------------------------------

    def _name_in_link(self, link: ContactLink) -> str:
        try:
            return check_name(clean_line(link.name, len(link.name)))
        except UsageError:
            return peer_id(link.identity)[:8]

    def _wake(self, peer: Peer) -> None:
        peer.backoff.reset()
        peer.dial.notify()

    def _greet_anew(self, peer: Peer) -> None:
        """The person has accepted: a connection that waits for it goes on."""
        if peer.link is not None:
            peer.link.accept()

    async def _forget_identity(self, peer: Peer) -> None:
        """Another key is pinned: nothing of the old one's session may be used for it."""
        async with peer.attaching:
            if peer.link is not None:
                peer.link.close(ErrorCode.NORMAL, "the contact's key was replaced")
                await peer.link.is_detached.wait()
            await self._env.store.write(lambda tx: tx.break_session(peer.contact_id))
