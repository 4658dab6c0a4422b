"""An in-memory network with faults, for tests and for trying things out.

``MemoryNetwork`` joins named hosts inside one event loop. Its streams obey the same rules as
TCP's (one test suite holds both to them) and can be made to suffer what a hostile or broken path
does: cut, flip, drop, repeat and truncate bytes, break, or fall silent. Chance comes from the
given ``rng`` alone, so a seeded run repeats itself. Time does not pass here: a delay is counted
in turns of the event loop, and a partition lasts until it is healed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from p2pchat.crypto.secret import Rng
from p2pchat.errors import IdentityError, TransportError, UnreachableError
from p2pchat.identity.link import parse_address
from p2pchat.transport.base import SEND_BUFFER_BYTES, Listener, Stream
from p2pchat.transport.buffered import BufferedStream

FIRST_FREE_PORT: Final = 40_000
"""Where the search for a free port begins."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, as a chance of 0.0 to 1.0 for each piece that is written.

    Attributes:
        fragment: Cut into pieces of random length.
        flip: One bit changed.
        drop: Lost, the rest goes on.
        repeat: Delivered twice.
        truncate: Cut off in the middle, and the direction ends there.
        reset: The connection breaks.
        delay_turns: Each piece waits up to so many turns of the event loop.
    """

    fragment: float = 0.0
    flip: float = 0.0
    drop: float = 0.0
    repeat: float = 0.0
    truncate: float = 0.0
    reset: float = 0.0
    delay_turns: int = 0


class MemoryNetwork:
    """Hosts that reach each other, unless partitioned."""

    def __init__(self, rng: Rng, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self._rng = rng
        self._listeners: dict[tuple[str, int], Callable[[Stream], None]] = {}
        self._cut: set[frozenset[str]] = set()
        self._pipes: list[_Pipe] = []
        self._dialling: list[asyncio.Future[None]] = []
        self._dialled = 0

    def transport(self, host: str) -> MemoryTransport:
        """Return the transport of ``host``: it listens there and dials from there."""
        return MemoryTransport(self, host)

    def partition(self, one: str, other: str) -> None:
        """Let nothing through between two hosts; what is sent waits."""
        self._cut.add(frozenset((one, other)))

    def heal(self) -> None:
        """End all partitions; what waited is delivered."""
        self._cut.clear()
        for waiter in self._dialling:
            if not waiter.done():
                waiter.set_result(None)
        self._dialling.clear()
        self._pipes = [pipe for pipe in self._pipes if not pipe.is_over]
        for pipe in self._pipes:
            pipe.schedule()

    def is_cut(self, one: str, other: str) -> bool:
        """Tell whether the two hosts are partitioned."""
        return frozenset((one, other)) in self._cut

    def chance(self, probability: float) -> bool:
        """Decide at random; draws nothing for what never happens."""
        return probability > 0 and self.below(1 << 30) < probability * (1 << 30)

    def below(self, bound: int) -> int:
        """Return a random number of 0 to ``bound - 1``."""
        return int.from_bytes(self._rng(8), "big") % bound

    def bind(self, host: str, port: int, accept: Callable[[Stream], None]) -> int:
        """Register a listener; returns its port."""
        if port == 0:
            port = FIRST_FREE_PORT
            while (host, port) in self._listeners:
                port += 1
        if (host, port) in self._listeners:
            raise TransportError(f"cannot listen on {host}:{port}: another program listens there")
        self._listeners[host, port] = accept
        return port

    def unbind(self, host: str, port: int) -> None:
        """Forget a listener."""
        self._listeners.pop((host, port), None)

    async def connect(self, origin: str, host: str, port: int) -> MemoryStream:
        """Connect ``origin`` to a listener; waits as long as the two are partitioned."""
        while self.is_cut(origin, host):
            healed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._dialling.append(healed)
            await healed
        accept = self._listeners.get((host, port))
        if accept is None:
            raise UnreachableError(f"{host}:{port}: connection refused")
        self._dialled += 1
        here = MemoryStream(f"{host}:{port}")
        there = MemoryStream(f"{origin}:{self._dialled}")
        for source, target in ((here, there), (there, here)):
            pipe = _Pipe(self, (origin, host), source, target)
            source.outgoing = pipe
            target.incoming = pipe
            self._pipes.append(pipe)
        self._pipes = [pipe for pipe in self._pipes if not pipe.is_over]
        accept(there)
        return here


class MemoryTransport:
    """The network as one host sees it."""

    def __init__(self, network: MemoryNetwork, host: str) -> None:
        self._network = network
        self._host = host

    async def listen(self, address: str, accept: Callable[[Stream], None]) -> Listener:
        """Listen on this host's name.

        Raises:
            TransportError: Malformed, another host's name, or taken.
        """
        try:
            zero = address.endswith(":0")
            host, port = parse_address(address[:-1] + "1" if zero else address)
        except IdentityError as error:
            raise TransportError(f"cannot listen on {address!r}: {error}") from error
        if host != self._host:
            raise TransportError(
                f"cannot listen on {address}: this computer does not have that address"
            )
        bound = self._network.bind(host, 0 if zero else port, accept)
        return MemoryListener(self._network, host, bound)

    async def dial(self, address: str) -> Stream:
        """Connect from this host.

        Raises:
            UnreachableError: Malformed, or nobody listens there.
        """
        try:
            host, port = parse_address(address)
        except IdentityError as error:
            raise UnreachableError(str(error)) from error
        return await self._network.connect(self._host, host, port)


class MemoryListener:
    """One bound name and port."""

    def __init__(self, network: MemoryNetwork, host: str, port: int) -> None:
        self._network = network
        self._host, self._port = host, port

    @property
    def addresses(self) -> tuple[str, ...]:
        """The bound ``host:port``."""
        return (f"{self._host}:{self._port}",)

    async def aclose(self) -> None:
        """Stop listening."""
        self._network.unbind(self._host, self._port)


class MemoryStream(BufferedStream):
    """One end of a connection; ``outgoing`` and ``incoming`` are set as it is made."""

    outgoing: _Pipe
    incoming: _Pipe

    def __init__(self, peer_address: str) -> None:
        super().__init__(peer_address)
        self._closed = False
        self._reads = True

    @property
    def writable(self) -> bool:
        """Whether the pipe is below its mark."""
        return not self._closed and self.outgoing.pending_bytes < SEND_BUFFER_BYTES

    @property
    def pending_bytes(self) -> int:
        """Bytes on the way."""
        return self.outgoing.pending_bytes

    @property
    def is_closed(self) -> bool:
        """Closed by us, or lost."""
        return self._closed

    @property
    def is_paused(self) -> bool:
        """The owner has not taken enough, and still will."""
        return self._paused and self._reads and not self._gone

    @property
    def is_gone(self) -> bool:
        """Over in both directions."""
        return self._gone

    def write(self, data: bytes) -> None:
        """Send through the pipe and its faults."""
        if data and not self._closed:
            self.outgoing.push(bytes(data))

    def write_eof(self) -> None:
        """End our direction."""
        if not self._closed:
            self._closed = True
            self.outgoing.push_mark(_Mark.END)

    def close(self) -> None:
        """Flush, then end both directions."""
        if self._reads and not self._gone:
            self._reads = False
            self._closed = True
            self.outgoing.push_mark(_Mark.CLOSE)
            self.incoming.schedule()

    def abort(self) -> None:
        """End both directions now."""
        if not self._gone:
            self.outgoing.clear()
            self.outgoing.push_mark(_Mark.RESET)
            self.lost()

    def arrive(self, data: bytes) -> None:
        """Take a piece from the pipe; after ``close`` nobody reads it."""
        if self._reads:
            self._received(data)

    def end(self) -> None:
        """The peer's direction is over."""
        self._ended()

    def lost(self) -> None:
        """The connection is over."""
        self._closed = True
        self._lost()

    def room(self) -> None:
        """The pipe fell below its mark."""
        self._notify()

    def _pause_receiving(self) -> None:
        """The pipe looks at ``is_paused`` before each delivery."""

    def _resume_receiving(self) -> None:
        self.incoming.schedule()


class _Mark(Enum):
    """What can follow the bytes of one direction."""

    END = 1
    CLOSE = 2
    RESET = 3


class _Pipe:
    """One direction: a queue of pieces that suffers the network's faults."""

    def __init__(
        self,
        network: MemoryNetwork,
        hosts: tuple[str, str],
        source: MemoryStream,
        target: MemoryStream,
    ) -> None:
        self._network = network
        self._hosts = hosts
        self._source = source
        self._target = target
        self._queue: deque[bytes | _Mark] = deque()
        self._scheduled = False
        self._wait_turns = 0
        self._truncated = False
        self.pending_bytes = 0
        self.is_over = False

    def push(self, data: bytes) -> None:
        """Queue a piece, or what the faults make of it."""
        network, faults = self._network, self._network.faults
        if self._truncated or network.chance(faults.drop):
            return
        if network.chance(faults.reset):
            self._source.abort()
            return
        if network.chance(faults.flip):
            place = network.below(len(data) * 8)
            flipped = bytearray(data)
            flipped[place // 8] ^= 1 << place % 8
            data = bytes(flipped)
        if network.chance(faults.truncate):
            self._truncated = True
            self._append(data[: network.below(len(data))])
            self._queue.append(_Mark.END)
            self.schedule()
            return
        for _ in range(2 if network.chance(faults.repeat) else 1):
            self._append(data)
        self.schedule()

    def push_mark(self, mark: _Mark) -> None:
        """Queue the end."""
        self._queue.append(mark)
        self.schedule()

    def clear(self) -> None:
        """Lose what is on the way."""
        self._queue.clear()
        self.pending_bytes = 0

    def schedule(self) -> None:
        """Deliver at the next turn of the loop, unless held up."""
        if not self._scheduled and self._can_deliver():
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _can_deliver(self) -> bool:
        if self.is_over or not self._queue or self._network.is_cut(*self._hosts):
            return False
        return not (self._target.is_paused and isinstance(self._queue[0], bytes))

    def _append(self, data: bytes) -> None:
        network = self._network
        while len(data) > 1 and network.chance(network.faults.fragment):
            cut = 1 + network.below(len(data) - 1)
            self._queue.append(data[:cut])
            self.pending_bytes += cut
            data = data[cut:]
        if data:
            self._queue.append(data)
            self.pending_bytes += len(data)

    def _turn(self) -> None:
        self._scheduled = False
        if self._wait_turns == 0 and self._network.faults.delay_turns:
            self._wait_turns = 1 + self._network.below(self._network.faults.delay_turns)
        self._wait_turns = max(0, self._wait_turns - 1)
        if self._wait_turns == 0 and self._can_deliver():
            self._deliver(self._queue.popleft())
        self.schedule()

    def _deliver(self, piece: bytes | _Mark) -> None:
        source, target = self._source, self._target
        if target.is_gone and piece is not _Mark.RESET:
            source.lost()  # as TCP answers bytes for a closed socket with a reset
        match piece:
            case bytes():
                full = self.pending_bytes >= SEND_BUFFER_BYTES
                self.pending_bytes -= len(piece)
                target.arrive(piece)
                if full and self.pending_bytes < SEND_BUFFER_BYTES:
                    source.room()
            case _Mark.END:
                target.end()
            case _Mark.CLOSE:
                target.end()
                source.lost()
                self.is_over = True
            case _Mark.RESET:
                target.lost()
                self.is_over = True
