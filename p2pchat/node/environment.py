"""What the parts of one node share, and nothing else: no part reaches into another."""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pchat.config import Config
from p2pchat.crypto.secret import Rng
from p2pchat.node.clock import Clock
from p2pchat.node.credentials import Credentials
from p2pchat.node.revoked import Revocations
from p2pchat.node.subscription import Hub
from p2pchat.node.tasks import Signal, Supervisor
from p2pchat.store.ports import Store
from p2pchat.transport.base import Transport


@dataclass(slots=True)
class Environment:
    """Store, settings, time, chance, network, tasks, listeners, revocations.

    Attributes:
        dials: Whether this process opens connections by itself.
        expiring: Wakes who does what is due to messages: there is a new time to wait for.
    """

    store: Store
    config: Config
    clock: Clock
    rng: Rng
    transport: Transport
    credentials: Credentials
    dials: bool = True
    hub: Hub = field(default_factory=Hub)
    supervisor: Supervisor = field(default_factory=Supervisor)
    revocations: Revocations = field(default_factory=Revocations)
    expiring: Signal = field(default_factory=Signal)
