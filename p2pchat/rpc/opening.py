"""A client of a profile, whoever holds it: another process by its socket, or this one.

``open_client`` is what commands and the terminal app use. It waits a little for a process that
has the profile but no socket yet, since a short command holds one for about a second. Nothing
here asks the person for anything: what unlocks comes as an argument.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from p2pchat.errors import LockedError, ProfileInUseError
from p2pchat.rpc import unix
from p2pchat.rpc.client import Client, LocalClient, SocketClient
from p2pchat.rpc.protocol import RpcCode, RpcError
from p2pchat.store.profile import Profile

if TYPE_CHECKING:
    from p2pchat.config import Config
    from p2pchat.node.node import Node
    from p2pchat.rpc.gate import Gate
    from p2pchat.rpc.idle import IdleWatch
    from p2pchat.store.lock import ProfileLock
    from p2pchat.store.open import Unlock

ANSWER_S: Final = 5.0
"""A node that does not tell its status in this time is stuck."""
PATIENCE_S: Final = 10.0
"""So long a profile may be held by a process without a socket: it starts, or ends soon."""
_PAUSE_S: Final = 0.1


async def attach(path: Path) -> SocketClient | None:
    """Return a client of the process that serves the profile, or None if none does.

    Raises:
        ProfileInUseError: It accepts connections but does not answer.
        StoreError: The socket may not be used.
    """
    connected = unix.connect(Profile(path).socket)
    if connected is None:
        return None
    client = await SocketClient.open(connected)
    try:
        async with asyncio.timeout(ANSWER_S):
            await client.call("node.status")
    except RpcError as error:
        if error.code == RpcCode.LOCKED:  # alive: what is asked of it next says that it is locked
            return client
        await client.close()
        raise
    except TimeoutError:
        await client.close()
        raise ProfileInUseError(
            f"the p2pchat process that holds {path} does not answer; end it and try again"
        ) from None
    except BaseException:  # whatever it was, the socket must not stay
        await client.close()
        raise
    return client


def is_served(path: Path) -> bool:
    """Tell whether a process listens at the profile's socket, so that nothing need be unlocked.

    Raises:
        StoreError: The socket may not be used.
    """
    connected = unix.connect(Profile(path).socket)
    if connected is None:
        return False
    connected.close()
    return True


async def open_client(
    path: Path,
    *,
    unlock: Unlock | None,
    network: bool = False,
    listen: Sequence[str] | None = None,
) -> Client:
    """Return a client of the profile's node, started in this process if none runs.

    Args:
        path: The profile's folder.
        unlock: Not looked at when another process holds the profile; None if that was the case.
        network: A node started here dials, listens and serves the profile's socket; without, it
            only reads and writes the store.
        listen: Where; by default as the profile's settings say.

    Raises:
        ProfileInUseError: Held by a process that does not answer.
        LockedError: ``unlock`` is None and no process holds the profile any more.
        P2PChatError: The profile cannot be opened (see ``store.open.open_profile``), or no
            address of ``listen`` can be had.
    """
    give_up = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        if (client := await attach(path)) is not None:
            return client
        if unlock is None:
            raise LockedError("the node that held the profile has just ended; try again")
        try:
            return await HeldProfile.open(path, unlock=unlock, network=network, listen=listen)
        except ProfileInUseError as error:
            if asyncio.get_running_loop().time() >= give_up:
                raise ProfileInUseError(f"{error}, which does not answer; end it first") from None
        await asyncio.sleep(_PAUSE_S)


class HeldProfile(LocalClient):
    """A profile that this process holds, with its node; a client of that node.

    Attributes:
        service: For further connections.
    """

    service: Gate

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        unlock: Unlock,
        network: bool,
        listen: Sequence[str] | None = None,
        dial: bool | None = None,
        on_stop: Callable[[], None] | None = None,
        idle: IdleWatch | None = None,
    ) -> HeldProfile:
        """Open the profile and start its node.

        Args:
            path: The profile's folder.
            unlock: What the person offers; costs about a second.
            network: Listen, dial, and serve the profile's socket.
            listen: Where; by default as the profile's settings say.
            dial: Whether to dial, if that is not the same as ``network``.
            on_stop: Called when a client asks the process to end.
            idle: Touched by each call.

        Raises:
            P2PChatError: As for ``open_client``; nothing stays open then.
        """
        # Late: a command that finds a running node needs neither libraries nor store.
        from p2pchat.config import load_config
        from p2pchat.rpc.gate import Gate
        from p2pchat.rpc.server import SocketServer
        from p2pchat.store.open import hold_profile

        profile = Profile(path)
        config = load_config(profile.config)
        async with contextlib.AsyncExitStack() as stack:
            lock = hold_profile(path)
            stack.callback(lock.release)
            addresses: Sequence[str] = config.listen if listen is None else listen
            start = _starter(
                path,
                lock,
                config,
                listen=addresses if network else [],
                dial=network if dial is None else dial,
            )
            gate = Gate(start, _checker(path), on_stop=on_stop, idle=idle)
            stack.push_async_callback(gate.close)
            await gate.unlock(unlock)
            if network:
                server = SocketServer(profile.socket, gate)
                await server.start()
                stack.push_async_callback(server.close)
            client = cls(gate, on_close=stack.pop_all().aclose)
            client.service = gate
            return client


def _starter(
    path: Path, lock: ProfileLock, config: Config, *, listen: Sequence[str], dial: bool
) -> Callable[[Unlock], Awaitable[Node]]:
    """Return what opens the profile and starts its node, each time that it is unlocked."""
    from p2pchat.crypto.secret import system_rng
    from p2pchat.node.clock import SystemClock
    from p2pchat.node.node import Node
    from p2pchat.store.open import open_profile

    async def start(unlock: Unlock) -> Node:
        clock = SystemClock()
        opened = await asyncio.to_thread(
            open_profile, path, unlock=unlock, now_ms=clock.wall_ms(), lock=lock
        )
        node = Node(opened, config=config, rng=system_rng, clock=clock)
        try:
            await node.start(listen, dial=dial)
        except BaseException:  # whatever it was: no open store stays behind
            await node.stop()
            raise
        return node

    return start


def _checker(path: Path) -> Callable[[Unlock], Awaitable[None]]:
    """Return what tells whether something would open the profile."""
    from p2pchat.node.clock import SystemClock
    from p2pchat.store.unlocking import check_unlock

    async def check(unlock: Unlock) -> None:
        now_ms = SystemClock().wall_ms()
        await asyncio.to_thread(check_unlock, Profile(path), unlock, now_ms=now_ms)

    return check
