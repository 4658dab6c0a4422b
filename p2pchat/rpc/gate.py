"""The service of a profile that can be locked: with it goes the node, the process stays.

Locking stops the node, closes the store and drops what both held; all that is kept is the
profile's file lock, the socket, and what the caller can do: unlock, or end the process. Every
other method is answered with ``LOCKED``. Unlocking opens the profile as a start would.

Connections outlive it: their notifications say ``node.locked`` and ``node.unlocked``, after which
a client lists anew. What this cannot do: Python frees memory without overwriting it, so traces of
keys and messages stay until the system uses the pages again (SECURITY.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from p2pchat.rpc import params as p
from p2pchat.rpc.connection import FINISH_S
from p2pchat.rpc.failures import to_rpc_error
from p2pchat.rpc.idle import IdleWatch
from p2pchat.rpc.notifications import Notifications
from p2pchat.rpc.protocol import RpcCode, RpcError
from p2pchat.rpc.service import Service
from p2pchat.store.unlocking import Unlock

if TYPE_CHECKING:
    from p2pchat.node.node import Node

LOCKED: Final = "the profile is locked; p2pchat unlock opens it"

_Event = tuple[str, dict[str, Any]]


class Gate:
    """The methods of a node that comes and goes.

    Args:
        start: Opens the profile and starts its node.
        check: Tells whether something would open the profile, for who finds it open.
        on_stop: Called when a client asks the process to end; None where it may not.
        idle: Touched by each call; None where idleness is none of the calls' business.
    """

    SIDE_BY_SIDE: ClassVar = Service.SIDE_BY_SIDE
    UNORDERED: ClassVar = Service.UNORDERED

    def __init__(
        self,
        start: Callable[[Unlock], Awaitable[Node]],
        check: Callable[[Unlock], Awaitable[None]],
        *,
        on_stop: Callable[[], None] | None = None,
        idle: IdleWatch | None = None,
    ) -> None:
        self._start = start
        self._check = check
        self._on_stop = on_stop
        self._idle = idle
        self._node: Node | None = None
        self._service: Service | None = None
        self._turn = asyncio.Lock()
        self._running: dict[asyncio.Timeout, str] = {}
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._streams: set[GateStream] = set()
        self._untold: _Event | None = None

    async def call(self, method: str, params: dict[str, Any] | list[Any]) -> object:
        """Run one method (see ``Service.call``).

        Raises:
            RpcError: Every failure; ``LOCKED`` for all but a few methods while it is locked.
        """
        if self._idle is not None:
            self._idle.touch()
        if method == "node.lock":
            p.convert(params, p.Params)
            await self.lock()
            return {}
        if method == "node.unlock":
            return await self._unlock(p.convert(params, p.UnlockParams))
        if self._service is not None:
            return await self._pass_on(self._service, method, params)
        if method == "node.stop" and self._on_stop is not None:
            self._on_stop()
            return {}
        raise RpcError(RpcCode.LOCKED, LOCKED)

    def subscribe(self) -> GateStream:
        """Begin to collect notifications, over all lockings to come."""
        stream = GateStream(self._streams.discard)
        self._streams.add(stream)
        if self._service is not None:
            self._tell_failures()
            stream.follow(self._service.subscribe())
        return stream

    async def unlock(self, unlock: Unlock) -> int:
        """Open the profile and start its node, or only check ``unlock`` if that is done.

        Returns:
            How many wrong passphrases were tried before, since somebody was last told.

        Raises:
            LockedError: Not with this.
            P2PChatError: The profile or an address cannot be used; it stays locked.
        """
        # Shielded: a client that hangs up must not leave a profile half open.
        return await asyncio.shield(self._open(unlock))

    async def lock(self) -> None:
        """Stop the node and let go of everything that was unlocked; harmless when locked."""
        await asyncio.shield(self._close(recorded=True))

    async def close(self) -> None:
        """Lock for good, which is no event of the profile's; notifications end as well."""
        await asyncio.shield(self._close(recorded=False))
        for stream in tuple(self._streams):
            stream.close()

    def take_failures(self) -> int:
        """Return the number of wrong passphrases before this opening, once."""
        untold, self._untold = self._untold, None
        count: int = untold[1]["count"] if untold is not None else 0
        return count

    async def _open(self, unlock: Unlock) -> int:
        async with self._turn:
            if self._node is not None:
                await self._check(unlock)
                return 0
            node = await self._start(unlock)
            self._node, self._service = node, Service(node, on_stop=self._on_stop)
            failures = node.locks.failures
            if failures:
                told = {"count": len(failures), "last_at_ms": failures[-1]}
                self._untold = ("unlock.failures", told)
            for stream in self._streams:
                stream.tell(("node.unlocked", {}))
            self._tell_failures()
            for stream in self._streams:
                stream.follow(self._service.subscribe())
            return len(failures)

    async def _close(self, *, recorded: bool) -> None:
        async with self._turn:
            node, self._node, self._service = self._node, None, None
            if node is None:
                return
            await self._settle()
            try:
                if recorded:
                    await node.locks.note_lock()
            finally:  # a full disk must not keep it open
                await node.stop()
            for stream in self._streams:
                stream.tell(("node.locked", {}))
        del node
        gc.collect()  # sessions and their tasks refer to each other in circles

    async def _unlock(self, params: p.UnlockParams) -> object:
        try:
            return {"failures": await self.unlock(p.to_unlock(params.passphrase))}
        except Exception as error:  # noqa: BLE001  # the border: whatever failed becomes an answer
            raise to_rpc_error(error) from None

    async def _pass_on(
        self, service: Service, method: str, params: dict[str, Any] | list[Any]
    ) -> object:
        async with self._interruptible(method):
            return await service.call(method, params)

    @contextlib.asynccontextmanager
    async def _interruptible(self, method: str) -> AsyncIterator[None]:
        """Run a call so that locking can end it."""
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._running[scope] = method
                self._quiet.clear()
                try:
                    yield
                finally:
                    del self._running[scope]
                    if not self._running:
                        self._quiet.set()
        except TimeoutError:
            raise RpcError(RpcCode.LOCKED, LOCKED) from None

    async def _settle(self) -> None:
        """End what waits at once, and let what works finish if it does not take long."""
        now = asyncio.get_running_loop().time()
        for scope, method in self._running.items():
            scope.reschedule(now if method in self.UNORDERED else now + FINISH_S)
        await self._quiet.wait()

    def _tell_failures(self) -> None:
        """Give the one warning to whoever listens; without a listener it waits for the next."""
        if self._untold is not None and self._streams:
            for stream in self._streams:
                stream.tell(self._untold)
            self._untold = None


class GateStream:
    """Notifications of one client: of one node after the other, and of the gate in between."""

    def __init__(self, on_close: Callable[[GateStream], None]) -> None:
        self._parts: deque[Notifications | _Event] = deque()
        self._on_close = on_close
        self._closed = False
        self._more = asyncio.Event()

    def __aiter__(self) -> GateStream:
        return self

    async def __anext__(self) -> _Event:
        """Return the next notification; ends after ``close``."""
        while not self._closed:
            if not self._parts:
                self._more.clear()
                await self._more.wait()
                continue
            part = self._parts[0]
            if isinstance(part, tuple):
                self._parts.popleft()
                return part
            try:
                return await anext(part)
            except StopAsyncIteration:  # that node has stopped, and all it said was read
                if self._parts and self._parts[0] is part:
                    self._parts.popleft()
        raise StopAsyncIteration

    def follow(self, notifications: Notifications) -> None:
        """Go on with these when what is there has been read."""
        self._parts.append(notifications)
        self._more.set()

    def tell(self, event: _Event) -> None:
        """Add a notification of the gate's own, between those of two nodes."""
        self._parts.append(event)
        self._more.set()

    def close(self) -> None:
        """Stop collecting; the iteration ends."""
        if self._closed:
            return
        self._closed = True
        for part in self._parts:
            if isinstance(part, Notifications):
                part.close()
        self._more.set()
        self._on_close(self)
