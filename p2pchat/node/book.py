"""All contacts of the running node: finding one by what a person types, naming a new one.

A handle is a local name (regardless of case) or a peer id. No local name looks like a peer id,
so a handle never means two contacts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from p2pchat.constants import NAME_MAX_BYTES
from p2pchat.errors import IdentityError, UnknownContactError, UsageError
from p2pchat.identity.keys import key_id, parse_peer_id, peer_id
from p2pchat.identity.on_record import OnRecord
from p2pchat.node.audit_events import trust_events
from p2pchat.node.environment import Environment
from p2pchat.node.on_record import forget_state, stored_state
from p2pchat.node.peer import Peer
from p2pchat.sanitize import clean_line
from p2pchat.session.vanishing import Vanishing
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.ports import Transaction
from p2pchat.store.records import ContactRecord, name_key_of

SHORT_ID_CHARS: Final = 8
"""Names a stranger that gives no usable name."""
_NOTE_KEY: Final = "contact.{}.note"


class PeerBook:
    """The contacts, by identity and by name.

    Attributes:
        adding: Held from looking whether an identity is known until it is added.
    """

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.adding = asyncio.Lock()
        self._peers: dict[int, Peer] = {}

    def __iter__(self) -> Iterator[Peer]:
        return iter(sorted(self._peers.values(), key=lambda peer: name_key_of(peer.record.name)))

    async def load(self) -> None:
        """Read all contacts from the store."""

        def work(tx: Transaction) -> list[tuple[ContactRecord, str, OnRecord, Vanishing]]:
            return [
                (
                    record,
                    tx.get_setting(_NOTE_KEY.format(record.contact_id)) or "",
                    stored_state(tx, record.contact_id),
                    tx.changes(record.contact_id).vanishing(),
                )
                for record in tx.contacts()
            ]

        for record, note, on_record, vanishing in await self._env.store.read(work):
            peer = self._peers[record.contact_id] = Peer(self._env, record, note)
            peer.on_record = on_record
            peer.vanishing = vanishing

    async def add(self, record: ContactRecord, note: str = "", *, unique: bool = False) -> Peer:
        """Store a new contact, with the note for our first request.

        Args:
            record: With ``contact_id`` 0.
            note: Kept until the contact has accepted us.
            unique: Find a free name if it is taken.

        Raises:
            ContactError: The name or the identity belongs to another contact.
        """

        def work(tx: Transaction) -> ContactRecord:
            wanted = record
            if unique:
                taken = {name_key_of(other.name) for other in tx.contacts()}
                wanted = replace(record, name=_free_name(record.name, taken))
            stored = tx.put_contact(wanted)
            tx.put_setting(_NOTE_KEY.format(stored.contact_id), note)
            for event in trust_events(None, stored, self._env.clock.wall_ms()):
                tx.audit(event)
            return stored

        stored = await self._env.store.write(work)
        peer = Peer(self._env, stored, note)
        self._peers[stored.contact_id] = peer
        return peer

    async def set_note(self, peer: Peer, note: str) -> None:
        """Replace the note that our next request says."""
        if peer.note != note:
            peer.note = note
            key = _NOTE_KEY.format(peer.contact_id)
            await self._env.store.write(lambda tx: tx.put_setting(key, note))

    async def remove(self, peer: Peer) -> None:
        """Delete a contact with everything that belongs to it."""
        record = peer.record
        identity = record.pin.identity
        removed = AuditEvent(
            AuditKind.CONTACT_REMOVED,
            self._env.clock.wall_ms(),
            identity,
            key_id(identity),
            {"trust": record.pin.trust.value},
        )

        def work(tx: Transaction) -> None:
            tx.remove_contact(peer.contact_id)
            tx.put_setting(_NOTE_KEY.format(peer.contact_id), "")
            tx.audit(removed)
            forget_state(tx, peer.contact_id)

        await self._env.store.write(work)
        self._peers.pop(peer.contact_id, None)

    def by_number(self, contact_id: int) -> Peer | None:
        """Return the contact that the store knows by this number."""
        return self._peers.get(contact_id)

    def by_identity(self, identity: bytes) -> Peer | None:
        """Return the contact that this key is pinned for."""
        for peer in self._peers.values():
            if peer.identity == identity:
                return peer
        return None

    def find(self, handle: str) -> Peer:
        """Return the contact that a person means.

        Raises:
            UnknownContactError: Nobody has that name or peer id.
        """
        wanted = name_key_of(handle.strip())
        for peer in self._peers.values():
            if name_key_of(peer.record.name) == wanted:
                return peer
        try:
            peer_found = self.by_identity(parse_peer_id(wanted))
        except IdentityError:
            peer_found = None
        if peer_found is None:
            raise UnknownContactError(f"no contact is called {clean_line(handle, 80)!r}")
        return peer_found


def check_name(name: str) -> str:
    """Return a name for a contact as it may be stored.

    Raises:
        UsageError: Empty, too long, not one clean line, or it looks like a peer id.
    """
    name = name.strip()
    if not name or len(name.encode(errors="replace")) > NAME_MAX_BYTES:
        raise UsageError(f"a name has 1 to {NAME_MAX_BYTES} bytes of UTF-8")
    if clean_line(name, NAME_MAX_BYTES) != name:
        raise UsageError("a name is one line without control or invisible characters")
    if _is_peer_id(name):
        raise UsageError("a name must not look like a peer id")
    return name


def name_of_stranger(offered: str | None, identity: bytes) -> str:
    """Return a usable name from what a stranger calls itself, or from its key."""
    try:
        return check_name(offered or "")
    except UsageError:
        return peer_id(identity)[:SHORT_ID_CHARS]


def _free_name(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 1
    while name_key_of(name) in taken:
        number += 1
        suffix = f" ({number})"
        stem = wanted
        while len((stem + suffix).encode()) > NAME_MAX_BYTES:
            stem = stem[:-1]
        name = stem + suffix
    return name


def _is_peer_id(name: str) -> bool:
    try:
        parse_peer_id(name_key_of(name))
    except IdentityError:
        return False
    return True
