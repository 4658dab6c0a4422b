"""A peer that is only a ``Connection`` and a stream: it does what no honest node does."""

from __future__ import annotations

import asyncio

from p2pchat.crypto import x25519
from p2pchat.identity.certificate import Certificate, issue
from p2pchat.identity.keys import generate_identity
from p2pchat.session.connection import Connection
from p2pchat.session.credentials import ConnectionConfig
from p2pchat.session.events import (
    Attach,
    ConnectionClosed,
    Event,
    PeerAuthenticated,
    SessionChanged,
)
from p2pchat.session.negotiation import OUR_OFFER, Offer
from p2pchat.transport.base import Stream
from tests.support.node_world import Person, World


class RawPeer:
    """An identity that dials a node by hand.

    Attributes:
        commits: Claims to have stored every change, so that its session goes on.
    """

    def __init__(self, world: World, name: str = "mallory", *, commits: bool = True) -> None:
        self.commits = commits
        self.world = world
        self.name = name
        self.identity = generate_identity(rng=world.rng)
        self.static = x25519.generate(rng=world.rng)
        self.certificate: Certificate | None = None
        self.stream: Stream
        self.connection: Connection
        self.events: list[Event] = []

    def config(
        self, target: Person, *, knows: bytes | None, offer: Offer = OUR_OFFER
    ) -> ConnectionConfig:
        """Who we are to ``target``; ``knows`` is the static key that we take for its own."""
        certificate = self.certificate or issue(
            self.identity.seed,
            self.static.public,
            generation=0,
            now_ms=self.world.clock.wall_ms(),
        )
        expected = target.node._env.credentials.identity
        return ConnectionConfig(certificate, self.static, expected, offer, knows)

    async def open(
        self,
        target: Person,
        *,
        knows: bytes | None = None,
        now_ms: int | None = None,
        offer: Offer = OUR_OFFER,
    ) -> bytes:
        """Connect and send the first message, which is returned with what is before it."""
        self.stream = await self.world.transport(self.name).dial(target.listen)
        self.connection = Connection(
            self.config(target, knows=knows, offer=offer),
            initiator=True,
            now=self.world.clock.monotonic(),
            now_ms=self.world.clock.wall_ms() if now_ms is None else now_ms,
            rng=self.world.rng,
        )
        self.events = []
        data = self.connection.data_to_send()
        self.stream.write(data)
        return data

    async def dial(self, target: Person, *, accepted: bool = True, note: str = "") -> None:
        """Connect, prove who we are, and send a HELLO."""
        await self.open(target)
        await self.read_until(PeerAuthenticated)
        self.greet(accepted=accepted, note=note)

    def greet(self, *, accepted: bool = True, note: str = "") -> None:
        """Send a HELLO."""
        self.connection.send(
            Attach(accepted=accepted, name=self.name, note=note),
            now=self.world.clock.monotonic(),
        )
        self.write()

    def write(self) -> None:
        """Send whatever the connection has to say."""
        data = self.connection.data_to_send()
        if data:
            self.stream.write(data)

    async def read_until(self, *kinds: type[Event]) -> None:
        """Feed the connection until it reports an event of one of these kinds."""
        async with asyncio.timeout(10):
            while not any(isinstance(event, kinds) for event in self.events):
                assert not self.connection.is_closed, self.closed
                data = await self.stream.read()
                self.connection.receive_data(data, now=self.world.clock.monotonic())
                while (event := self.connection.next_event()) is not None:
                    self.events.append(event)
                    if isinstance(event, SessionChanged) and self.commits:
                        self.connection.committed(event.revision)  # it stores nothing
                self.write()

    @property
    def closed(self) -> ConnectionClosed:
        """How it ended."""
        return next(event for event in self.events if isinstance(event, ConnectionClosed))
