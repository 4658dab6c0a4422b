"""A peer that is only a ``Connection`` and a stream: it does what no honest node does."""

from __future__ import annotations

import asyncio

from p2pchat.crypto import x25519
from p2pchat.identity.certificate import issue
from p2pchat.identity.keys import generate_identity
from p2pchat.session.authentication import ConnectionConfig
from p2pchat.session.connection import Connection
from p2pchat.session.events import (
    Attach,
    ConnectionClosed,
    Event,
    PeerAuthenticated,
    SessionChanged,
)
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
        self.stream: Stream
        self.connection: Connection
        self.events: list[Event] = []

    async def dial(self, target: Person, *, accepted: bool = True, note: str = "") -> None:
        """Connect, prove who we are, and send a HELLO."""
        now_ms = self.world.clock.wall_ms()
        certificate = issue(self.identity.seed, self.static.public, generation=0, now_ms=now_ms)
        expected = target.node._env.credentials.identity
        self.stream = await self.world.transport(self.name).dial(target.listen)
        self.connection = Connection(
            ConnectionConfig(certificate, self.static, expected),
            initiator=True,
            now=self.world.clock.monotonic(),
            now_ms=now_ms,
            rng=self.world.rng,
        )
        self.events = []
        self.write()
        await self.read_until(PeerAuthenticated)
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

    async def read_until(self, kind: type[Event]) -> None:
        """Feed the connection until it reports an event of this kind."""
        async with asyncio.timeout(10):
            while not any(isinstance(event, kind) for event in self.events):
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
