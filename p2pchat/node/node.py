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
from p2pchat.config import Config
from p2pchat.constants import LINK_ADDRESSES_MAX
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.errors import UnreachableError, UsageError
from p2pchat.identity.keys import peer_id
from p2pchat.identity.link import ContactLink, encode_link
from p2pchat.identity.on_record import OnRecord, RecordStep
from p2pchat.identity.trust import Trust
from p2pchat.node import listening
from p2pchat.node.announcing import Announcements
from p2pchat.node.audit_desk import AuditDesk
from p2pchat.node.backups import back_up
from p2pchat.node.book import PeerBook
from p2pchat.node.clock import Clock
from p2pchat.node.contacts import ContactDesk
from p2pchat.node.credentials import Credentials
from p2pchat.node.dialer import Dialer
from p2pchat.node.environment import Environment
from p2pchat.node.expiry import Expiry
from p2pchat.node.history import HistoryDesk
from p2pchat.node.journal import Journal
from p2pchat.node.keys import KeyDesk
from p2pchat.node.locks import LockDesk
from p2pchat.node.messages import message_view, parse_message_id
from p2pchat.node.reception import Reception
from p2pchat.node.record_desk import RecordDesk
from p2pchat.node.revocations import RevocationDesk
from p2pchat.node.subscription import Subscription
from p2pchat.node.views import (
    BackupView,
    ContactView,
    IdentityView,
    KeyView,
    LedgerView,
    MessageView,
    RevokedView,
    StatusView,
)
from p2pchat.session.vanishing import TimerStep, Vanishing
from p2pchat.store.open import OpenProfile
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState, Direction, MessageKind
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

    Attributes:
        audit: Shows, verifies and exports the log of key and trust events.
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
        self._revocations = RevocationDesk(self._env, self._book)
        self._announcements = Announcements(self._env, self._book)
        self._journal = Journal(self._env)
        self._reception = Reception(
            self._env, self._book, self._journal, self._revocations, self._announcements
        )
        self._dialer = Dialer(self._env, self._book, self._reception)
        self._desk = ContactDesk(
            self._env, self._book, self._reception, self._dialer, self._journal
        )
        self._keys = KeyDesk(self._env, profile, self._reception)
        self.audit = AuditDesk(self._env, profile.store.audit_head, self._journal)
        self.locks = LockDesk(self._env, profile)
        """What unlocks the profile."""
        self.history = HistoryDesk(self._env, profile.store, self._book)
        self._records = RecordDesk(self._env)
        self._changes = self._reception.changes
        self._expiry = Expiry(self._env, self._book)
        self._listeners: list[Listener] = []
        self._stopped = False

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
        if self._profile.store.stale:
            await self._reception.forget_sessions(self._profile.store.stale)
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
        if revoked.ours:
            await self._keys.renew()
        return revoked

    async def key_status(self) -> tuple[KeyView, ...]:
        """Return our long-lived keys, with their purposes and ages."""
        return await self._keys.status()

    async def rotate_key(self) -> KeyView:
        """Replace our static key and return the new one; no session or safety number changes.

        Raises:
            CertificateError: The clock is out of all bounds, or the generations are used up.
        """
        return await self._keys.rotate()

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
        return (await self._desk.add(link, name, note)).view()

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

    # --- messages --------------------------------------------------------------------------------

    async def send(self, contact: str, text: str) -> MessageView:
        """Queue a message; it is on the disk when this returns.

        Raises:
            UsageError: Empty, longer than 64 KiB, or not text.
            TrustError: The contact is changed, blocked, or only a request.
        """
        peer = self._book.find(contact)
        return message_view(peer, await self._changes.send(peer, text))

    async def reply(self, contact: str, message_id: str, text: str) -> MessageView:
        """Queue a message that answers another one; otherwise as ``send``.

        Raises:
            UsageError: There is no message to answer, or the text cannot be sent.
        """
        peer = self._book.find(contact)
        wanted = parse_message_id(message_id)
        return message_view(peer, await self._changes.send(peer, text, wanted))

    async def edit(self, contact: str, message_id: str, text: str) -> None:
        """Replace the text of a message of ours, for both (§9.5).

        Raises:
            UsageError: It is none of ours or too old, the text cannot be sent, or the contact's
                program does not know edited messages; so, with what each needs, below.
            TrustError: Nothing may be sent to the contact; so below.
        """
        await self._changes.edit(self._book.find(contact), parse_message_id(message_id), text)

    async def delete(self, contact: str, message_id: str) -> None:
        """Delete a message of ours, for both; what has not left yet leaves no trace."""
        await self._changes.delete(self._book.find(contact), parse_message_id(message_id))

    async def react(self, contact: str, message_id: str, emoji: str) -> None:
        """Set our reaction to a message of either side; an empty one takes it back."""
        await self._changes.react(self._book.find(contact), parse_message_id(message_id), emoji)

    def typing(self, contact: str, *, writing: bool) -> bool:
        """Tell a contact that the person writes; returns whether the settings let it be told."""
        return self._reception.typing.tell(self._book.find(contact), writing=writing)

    async def timer(self, contact: str, step: TimerStep, seconds: int = 0) -> Vanishing:
        """Propose that messages disappear after some seconds, accept, decline or end it (§9.6)."""
        return await self._changes.timer(self._book.find(contact), step, seconds)

    async def record(self, contact: str, step: RecordStep) -> OnRecord:
        """Propose to go on the record with a contact, accept, decline or end it (§9.4).

        Raises:
            UsageError: That is no answer to where you stand.
            TrustError: Nothing may be sent to the contact.
        """
        return await self._records.step(self._book.find(contact), step)

    async def sign(self, contact: str, text: str) -> MessageView:
        """Sign a statement for a contact and queue it; it proves for good who said it.

        Raises:
            UsageError: Empty, longer than 64 KiB, or not text.
            TrustError: You have not both agreed, or nothing may be sent to the contact.
        """
        peer = self._book.find(contact)
        return message_view(peer, await self._records.sign(peer, text))

    async def export_statement(self, contact: str, message_id: str) -> str:
        """Return a statement, given or received, as a text that anybody can check.

        Raises:
            UsageError: There is no such statement.
        """
        wanted = parse_message_id(message_id)
        return await self._records.export(self._book.find(contact), wanted)

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
            if record.kind not in (MessageKind.TEXT, MessageKind.STATEMENT):
                raise UsageError("such a word is not taken back; say another one")
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
        after_ms: int | None = None,
        before_ms: int | None = None,
        oldest: bool = False,
    ) -> list[MessageView]:
        """Return the newest messages, oldest first.

        Args:
            contact: Whose.
            before: Only those before this message id.
            limit: How many, at most ``MESSAGES_MAX``.
            search: Only those that contain all these words.
            after_ms: Only those that state this time or a later one.
            before_ms: Only those that state an earlier time.
            oldest: The oldest of all these, in place of the newest; not with ``search``.
        """
        peer = self._book.find(contact)
        anchor = None if before is None else parse_message_id(before)
        if not 1 <= limit <= MESSAGES_MAX:
            raise UsageError(f"ask for 1 to {MESSAGES_MAX} messages at once")
        records = await self._env.store.read(
            lambda tx: tx.messages(
                peer.contact_id,
                before=anchor,
                limit=limit,
                search=search,
                after_ms=after_ms,
                before_ms=before_ms,
                oldest=oldest,
            )
        )
        return [message_view(peer, record) for record in records]

    async def ledger(self, contact: str, limit: int = 50) -> list[LedgerView]:
        """Return what differed between the two sides' accounts, newest first."""
        return await self._reception.ledgers.findings(self._book.find(contact), limit)

    async def mark_read(self, contact: str) -> None:
        """Note that the person has seen everything."""
        await self._changes.read(self._book.find(contact))

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
