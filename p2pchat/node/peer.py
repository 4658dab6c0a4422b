"""One contact while the node runs: its record, its connection, why it is away.

The record is a copy of the stored one and changes only after the store has committed; the
connection is at most one (protocol.md §10.2). Changes of what a person sees are published here,
once each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from p2pchat.constants import SESSION_RESETS_PER_HOUR
from p2pchat.errors import ErrorCode, UnknownContactError
from p2pchat.identity.keys import peer_id
from p2pchat.identity.on_record import OnRecord
from p2pchat.identity.trust import Trust, may_converse
from p2pchat.node.audit_events import trust_events
from p2pchat.node.backoff import Backoff
from p2pchat.node.environment import Environment
from p2pchat.node.events import ContactChanged
from p2pchat.node.limits import HourlyBudget
from p2pchat.node.on_record import forget_state
from p2pchat.node.opening import Opening
from p2pchat.node.outbox import Outbox
from p2pchat.node.presence import NOT_TRIED, Reason, explain
from p2pchat.node.tasks import Signal
from p2pchat.node.views import ContactView
from p2pchat.sanitize import clean_line
from p2pchat.session.events import PeerAuthenticated
from p2pchat.session.notices import Notice
from p2pchat.session.vanishing import Vanishing
from p2pchat.store.audit_types import AuditEvent
from p2pchat.store.ports import Transaction
from p2pchat.store.records import ContactRecord

ROTATIONS_RECORDED_PER_HOUR: Final = 6
"""A contact's new static keys beyond this are learned but not recorded: whoever rotates without
end must not push everything else out of our audit log."""


class Attached(Protocol):
    """What a contact knows of its connection; ``node.link`` has the one implementation.

    Attributes:
        opening: Who dialled, and when.
        race: The round of dialling that it belongs to, if any.
        proof: What the handshake proved.
        is_detached: Set once it will write nothing more to the store.
    """

    opening: Opening
    race: object
    proof: PeerAuthenticated | None
    is_detached: asyncio.Event

    @property
    def is_open(self) -> bool:
        """Whether messages flow."""

    def close(self, code: ErrorCode, reason: str) -> None:
        """Say goodbye as soon as the current round is over."""

    def accept(self) -> None:
        """The person accepted this peer."""

    def tell(self, notice: Notice) -> None:
        """Tell the peer something outside the ratchet as soon as greetings are exchanged."""

    def messages_wait(self) -> None:
        """There is something in the outbox."""


class Peer:
    """One contact.

    Attributes:
        record: As stored.
        link: The attached connection, authenticated as this contact.
        attaching: Held while a connection takes the place of another.
        note: What our first request says; empty once the contact has accepted us.
        resets: Sessions made anew within the hour.
        rotations: New static keys of the contact that the audit log was told of within the hour.
        session_lost: Why the stored session was dropped on this side, until the next one starts.
        told_revoked: It knows that our own identity is revoked.
        compare_asked: The contact asks to compare a phrase now.
        on_record: Whether both agreed to be on the record, or who has proposed it.
        dismissed: Keys that appeared in this one's place and that the person decided against.
        untold: Messages delivered since the peer was last told how many (§8.6).
        dial: Wakes the dialling task: something changed, or the person asks.
    """

    def __init__(self, env: Environment, record: ContactRecord, note: str = "") -> None:
        self._env = env
        self.record = record
        self.link: Attached | None = None
        self.attaching = asyncio.Lock()
        self.note = note
        self.reason = NOT_TRIED
        self.resets = HourlyBudget(SESSION_RESETS_PER_HOUR)
        self.rotations = HourlyBudget(ROTATIONS_RECORDED_PER_HOUR)
        self.session_lost = ""
        self.outbox = Outbox(env.store, record.contact_id, env.expiring)
        self.backoff = Backoff(
            env.rng,
            first_s=env.config.retry_first_s,
            longest_s=env.config.retry_max_s,
            now=env.clock.monotonic(),
        )
        self.untold = 0
        self.dial = Signal()
        self.told_revoked = False
        self.dismissed: set[bytes] = set()
        self.compare_asked = False
        self.on_record = OnRecord.OFF
        self.vanishing = Vanishing()
        self.removed = False
        self._shown: object = self._essence()

    @property
    def contact_id(self) -> int:
        """The store's number of this contact."""
        return self.record.contact_id

    @property
    def identity(self) -> bytes:
        """The pinned identity key."""
        return self.record.pin.identity

    @property
    def online(self) -> bool:
        """Messages can flow now."""
        return self.link is not None and self.link.is_open

    @property
    def verify_first(self) -> bool:
        """The person's settings hold messages back until this contact is verified."""
        return self._env.config.verified_only and self.record.pin.trust is Trust.UNVERIFIED

    @property
    def wants_dialling(self) -> bool:
        """Whether a connection should be sought."""
        return (
            not self.removed
            and self.link is None
            and not self.attaching.locked()
            and bool(self.record.addresses)
            and may_converse(self.record.pin)
            and not (self.told_revoked and self._env.revocations.own is not None)
        )

    def records_rotation(self, static: bytes) -> bool:
        """Tell whether the audit log should have that the contact's static key is this one now."""
        if self.record.static in (None, static):
            return False
        return self.rotations.take(self._env.clock.monotonic())

    async def update(
        self, change: Callable[[ContactRecord], ContactRecord], *events: AuditEvent
    ) -> None:
        """Change the stored record, then this copy; the audit log gets ``events`` if it differs.

        With another identity key, everything that belongs to the old one goes in the same
        transaction: its session, its certificate's generation, the comparison of its number.

        Raises:
            UnknownContactError: It was removed meanwhile.
            ContactError: The name or the identity belongs to another contact.
        """

        def work(tx: Transaction) -> ContactRecord:
            current = tx.contact(self.contact_id)
            if current is None:
                raise UnknownContactError("that contact was removed")
            changed = change(current)
            if changed.pin.identity != current.pin.identity:
                tx.break_session(self.contact_id)
                tx.forget_ledger(self.contact_id)
                forget_state(tx, self.contact_id)
                tx.changes(self.contact_id).forget_agreements()
                changed = replace(
                    changed,
                    certificate_generation=0,
                    verified_at_ms=None,
                    verified_by=None,
                    secret_tries=0,
                    post_quantum=False,
                    static=None,
                    handshake_time_ms=0,
                )
            if changed != current:
                for event in events:
                    tx.audit(event)
            for event in trust_events(current, changed, self._env.clock.wall_ms()):
                tx.audit(event)
            return tx.put_contact(changed)

        held_back, identity = self.verify_first, self.identity
        self.record = await self._env.store.write(work)
        if self.identity != identity:
            self.on_record = OnRecord.OFF
            self.vanishing = Vanishing()
        if held_back and self.link is not None:
            self.link.messages_wait()
        self.show()

    def set_unread(self, unread: int) -> None:
        """Follow the store's count; that nothing is unread any more is news to other clients."""
        was_seen = self.record.unread > unread == 0
        self.record = replace(self.record, unread=unread)
        if was_seen:
            self._shown = None
            self.show()

    def away(self, reason: Reason) -> None:
        """Note why the contact is not reachable."""
        self.reason = reason
        self.show()

    def offline_reason(self) -> str:
        """Return the sentence for the person; empty while online."""
        if self.online:
            return ""
        reason = explain(
            self.reason,
            revoked=self.record.pin.revoked_at_ms is not None,
            trust=self.record.pin.trust,
            has_addresses=bool(self.record.addresses),
            dials=self._env.dials,
        )
        if self._env.revocations.own is None:
            return reason
        if self.told_revoked:
            return "your key is revoked, and they know"
        return f"your key is revoked, and they do not know yet: {reason}"

    def view(self) -> ContactView:
        """Return the contact as the person sees it."""
        record = self.record
        offered = record.pin.offered
        return ContactView(
            contact=record.name,
            name=record.name,
            peer_id=peer_id(record.pin.identity),
            trust=record.pin.trust,
            online=self.online,
            post_quantum=record.post_quantum,
            unread=record.unread,
            note=clean_line(record.note, len(record.note)),
            addresses=record.addresses,
            offline_reason=self.offline_reason(),
            offered_peer_id=peer_id(offered)
            if record.pin.trust is Trust.CHANGED and offered is not None
            else None,
            verified_at_ms=record.verified_at_ms,
            verified_by=record.verified_by,
            compare_asked=self.compare_asked,
            verify_first=self.verify_first,
            on_record=self.on_record,
            revoked_at_ms=record.pin.revoked_at_ms,
            announced=record.pin.announced,
            vanishing=self.vanishing,
        )

    def show(self) -> None:
        """Publish the contact if something that a person sees has changed."""
        essence = self._essence()
        if essence != self._shown:
            self._shown = essence
            if self._env.hub.is_heard and not self.removed:
                self._env.hub.publish(ContactChanged(self.view()))

    def _essence(self) -> object:
        record = self.record
        reason = None if self.online else self.reason
        return (record.name, record.pin, self.online, record.post_quantum, record.addresses,
                record.verified_at_ms, reason, self.on_record,
                self.told_revoked, self.vanishing)  # fmt: skip
