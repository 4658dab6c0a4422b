"""``p2pchat interop KIND``: the kit's commands, from arguments to an exit code.

``noise-vectors FILE…``, ``vectors``, ``peer`` and ``check``; each part is imported when it is
asked for.
"""

from __future__ import annotations

import asyncio
import signal
from argparse import Namespace
from collections.abc import Callable, Coroutine
from typing import Any

Write = Callable[[str], None]


def run(args: Namespace, write: Write) -> int:
    """Run one of the kit's commands; the parser has seen to it that the arguments fit."""
    match args.kind:
        case "noise-vectors":
            from p2pchat.interop import noise_vectors

            return noise_vectors.run(args.target, write)
        case "vectors":
            from p2pchat.interop.vectors import command

            return command.run(args.check, args.write, show=args.print, say=write)
        case "peer":
            return _peer(args, write)
        case _:
            return _check(args, write)


def _peer(args: Namespace, write: Write) -> int:
    from p2pchat.identity.keys import parse_peer_id
    from p2pchat.interop.peer import ScriptedPeer
    from p2pchat.interop.personas import persona, seeded_rng
    from p2pchat.node.clock import SystemClock
    from p2pchat.transport.tcp import TcpTransport

    expected = parse_peer_id(args.expect) if args.expect else None
    seed = args.seed or "1"
    peer = ScriptedPeer(
        persona("kit-peer", seed),
        clock=SystemClock(),
        rng=seeded_rng(f"{seed}/peer"),
        say=write,
    )

    async def work() -> None:
        transport = TcpTransport()
        if args.dial:
            peer.announce(args.dial, "dial")
            await peer.dial(transport, args.dial, expected)
            return
        async with asyncio.TaskGroup() as group:
            listener = await transport.listen(
                args.listen,
                lambda stream: _spawn(group, peer.serve(stream, initiator=False)),
            )
            peer.announce(listener.addresses[0], "listen")
            await asyncio.Event().wait()

    asyncio.run(_until_signal(work()))
    return 0


def _spawn(group: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> None:
    group.create_task(work)


async def _until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Run until done, or until SIGINT or SIGTERM, which are a proper end."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)


def _check(args: Namespace, write: Write) -> int:
    from p2pchat.interop.check import command

    return asyncio.run(
        command.check(
            args.listen or args.target[0],
            listens=bool(args.listen),
            seed=args.seed or "1",
            patience=args.patience or command.PATIENCE_S,
            as_json=args.json,
            write=write,
        )
    )
