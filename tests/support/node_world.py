"""Real nodes on real profiles, in one process, over the in-memory network or TCP.

Only the password hash is made cheap. Waiting is always for something to become true, under one
deadline; nothing sleeps for a fixed time.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from p2pchat.config import Config
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.node.clock import Clock, SystemClock
from p2pchat.node.events import MessageArrived, NodeEvent
from p2pchat.node.node import Node, Subscription
from p2pchat.node.views import ContactView, MessageView
from p2pchat.store.open import OpenProfile, PassphraseUnlock, Unlock, create_profile, open_profile
from p2pchat.store.ports import Store
from p2pchat.transport.base import Transport
from p2pchat.transport.memory import Faults, MemoryNetwork
from p2pchat.transport.tcp import TcpTransport
from tests.support.net_clock import ManualClock
from tests.support.net_random import seeded_rng

DEADLINE_S = 10.0
UNLOCK = PassphraseUnlock(Secret(b"correct horse"))
QUICK = Config(retry_first_s=0.1, retry_max_s=0.2)


class Person:
    """One profile, and the node that runs on it now and then.

    Attributes:
        clock: The world's, unless a test gives another before a start.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.clock = world.clock
        self.path = world.folder / name
        self.listen = f"{name}:4000" if world.network else "127.0.0.1:0"
        self._node: Node | None = None
        self._events: list[NodeEvent] = []
        self._subscription: Subscription | None = None
        self._profile: OpenProfile | None = create_profile(
            self.path,
            name=name.capitalize(),
            unlock=world.unlock,
            rng=world.rng,
            now_ms=world.clock.wall_ms(),
            memory_kib=8,
        )

    @property
    def node(self) -> Node:
        assert self._node is not None, f"{self.name} does not run"
        return self._node

    @property
    def events(self) -> list[NodeEvent]:
        """Everything that the node has announced, over all its runs."""
        self._collect()
        return self._events

    def arrived(self) -> list[str]:
        """The texts announced, in the order of their arrival."""
        return [event.message.text for event in self.events if isinstance(event, MessageArrived)]

    async def start(
        self,
        *,
        listen: bool = True,
        dial: bool = True,
        wrap_store: Callable[[Store], Store] | None = None,
    ) -> Node:
        now_ms = self.world.clock.wall_ms()
        profile = self._profile or open_profile(self.path, unlock=self.world.unlock, now_ms=now_ms)
        self._profile = None
        self._node = Node(
            profile,
            config=self.world.config,
            rng=self.world.rng,
            clock=self.clock,
            transport=self.world.transport(self.name),
        )
        if wrap_store is not None:
            self._node._env.store = wrap_store(self._node._env.store)
        self._subscription = self._node.subscribe()
        await self._node.start([self.listen] if listen else [], dial=dial)
        if listen:
            self.listen = self._node.status().listen[0]  # the same port after a restart
        return self._node

    async def stop(self) -> None:
        if self._profile is not None:
            self._profile.close()
            self._profile = None
        if self._node is not None:
            await self._node.stop()
            self._collect()
            self._node = None

    def save(self, label: str) -> None:
        """Copy the profile's folder, as a backup tool would; the node must not run."""
        assert self._node is None
        shutil.copytree(self.path, self.world.folder / f"{self.name}.{label}")

    def restore(self, label: str) -> None:
        """Put the copy back."""
        assert self._node is None
        shutil.rmtree(self.path)
        shutil.copytree(self.world.folder / f"{self.name}.{label}", self.path)

    async def texts(self, contact: str) -> list[str]:
        """All incoming texts of a contact, as stored."""
        return [view.text for view in await self.history(contact) if view.direction == "in"]

    async def history(self, contact: str) -> list[MessageView]:
        return await self.node.messages(contact, limit=1000)

    def _collect(self) -> None:
        if self._subscription is not None:
            while self._subscription.pending:
                self._events.append(self._subscription.pop())


class World:
    """A network and the people on it."""

    def __init__(
        self,
        folder: Path,
        *,
        network: MemoryNetwork | None,
        clock: Clock | None = None,
        config: Config = QUICK,
        seed: int = 1,
        unlock: Unlock = UNLOCK,
    ) -> None:
        self.folder = folder
        self.network = network
        self.clock = clock or SystemClock()
        self.config = config
        self.unlock = unlock
        self.rng: Rng = seeded_rng(seed)
        self.people: list[Person] = []

    def transport(self, name: str) -> Transport:
        return self.network.transport(name) if self.network else TcpTransport()

    def person(self, name: str) -> Person:
        person = Person(self, name)
        self.people.append(person)
        return person

    async def two(self) -> tuple[Person, Person]:
        """Return alice and bob, running, each with the other's link added."""
        alice, bob = self.person("alice"), self.person("bob")
        await alice.start()
        await bob.start()
        await introduce(alice, bob)
        return alice, bob

    async def close(self) -> None:
        for person in self.people:
            await person.stop()


def memory_world(
    folder: Path,
    *,
    faults: Faults | None = None,
    seed: int = 1,
    clock: Clock | None = None,
    config: Config = QUICK,
    unlock: Unlock = UNLOCK,
) -> World:
    network = MemoryNetwork(seeded_rng(seed + 1000), faults)
    return World(folder, network=network, clock=clock, seed=seed, config=config, unlock=unlock)


async def introduce(one: Person, other: Person) -> None:
    """Let both add each other, and wait until both are online."""
    await one.node.add_contact(other.node.identity().link)
    await other.node.add_contact(one.node.identity().link)
    await online(one, other.name)
    await online(other, one.name)


async def until(
    condition: Callable[[], bool], *, clock: Clock | None = None, deadline_s: float = DEADLINE_S
) -> None:
    """Wait until something is true; looks again every millisecond.

    With a manual ``clock``, ten milliseconds of its time pass at each look, so that back-offs end.
    """
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.001)
            if isinstance(clock, ManualClock):
                clock.advance(0.01)


async def online(person: Person, contact: str) -> None:
    await until(lambda: view_of(person, contact).online, clock=person.world.clock)


def view_of(person: Person, contact: str) -> ContactView:
    """The contact as ``person`` sees it now."""
    return person.node._book.find(contact).view()


async def delivered(person: Person, contact: str) -> None:
    """Wait until every message that ``person`` has sent to ``contact`` is delivered."""
    for view in await person.history(contact):
        if view.direction == "out" and view.state != "delivered":
            async with asyncio.TaskGroup() as group:
                forever = 1e9  # on the node's clock; ``until`` limits the real time
                waiting = group.create_task(
                    person.node.wait_delivered(contact, view.message_id, forever)
                )
                await until(waiting.done, clock=person.world.clock)
