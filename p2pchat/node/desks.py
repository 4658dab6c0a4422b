"""The desks of one node: who does what, and who needs whom.

Each desk is one subject and knows the ones that it works with. What people and programs call is
``node.Node``, in groups by subject (``contact_calls``, ``message_calls``) that find contacts by
name and hand over to a desk; all of them stand on the desks made here. Nothing runs yet.
"""

from __future__ import annotations

from p2pchat.config import Config
from p2pchat.crypto.secret import Rng
from p2pchat.node.announcing import Announcements
from p2pchat.node.audit_desk import AuditDesk
from p2pchat.node.book import PeerBook
from p2pchat.node.clock import Clock
from p2pchat.node.contacts import ContactDesk
from p2pchat.node.conversations import ConversationDesk
from p2pchat.node.credentials import Credentials
from p2pchat.node.dialer import Dialer
from p2pchat.node.environment import Environment
from p2pchat.node.expiry import Expiry
from p2pchat.node.history import HistoryDesk
from p2pchat.node.journal import Journal
from p2pchat.node.keys import KeyDesk
from p2pchat.node.locks import LockDesk
from p2pchat.node.reception import Reception
from p2pchat.node.record_desk import RecordDesk
from p2pchat.node.revocations import RevocationDesk
from p2pchat.store.open import OpenProfile
from p2pchat.transport.base import Listener, Transport
from p2pchat.transport.tcp import TcpTransport


class Desks:
    """What a node is made of; ``node.Node`` explains its parameters and its public desks."""

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
        self.history = HistoryDesk(self._env, profile.store, self._book)
        self._conversations = ConversationDesk(self._env)
        self._records = RecordDesk(self._env)
        self._changes = self._reception.changes
        self._expiry = Expiry(self._env, self._book)
        self._listeners: list[Listener] = []
        self._stopped = False
