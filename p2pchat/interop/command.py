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

from p2pchat.errors import UsageError

Write = Callable[[str], None]


def run(args: Namespace, write: Write) -> int:
    """Run one of the kit's commands.

    Raises:
        UsageError: Arguments that do not belong together.
    """
    match args.kind:
        case "noise-vectors":
            _allow(args)
            if not args.target:
                raise UsageError("noise-vectors needs a FILE")
            from p2pchat.interop import noise_vectors

            return noise_vectors.run(args.target, write)
        case "vectors":
            _allow(args, "check", "print", "write")
            from p2pchat.interop.vectors import command

            return command.run(args, write)
        case "peer":
            _allow(args, "listen", "dial", "expect", "seed")
            return _peer(args, write)
        case _:
            _allow(args, "listen", "seed", "json", "patience")
            return _check(args, write)


def _allow(args: Namespace, *names: str) -> None:
    """Refuse options of the other commands."""
    every = ("check", "print", "write", "listen", "dial", "expect", "seed", "json", "patience")
    for name in every:
        if getattr(args, name) and name not in names:
            raise UsageError(f"interop {args.kind} has no --{name}")


def _one_address(args: Namespace) -> tuple[str, bool]:
    """Return the address of ``check``, and whether we listen there."""
    given = [*args.target, *([args.listen] if args.listen else [])]
    if len(given) != 1:
        raise UsageError("interop check takes one HOST:PORT, or --listen HOST:PORT")
    return given[0], bool(args.listen)


def _peer(args: Namespace, write: Write) -> int:
    from p2pchat.identity.keys import parse_peer_id
    from p2pchat.interop.peer import ScriptedPeer
    from p2pchat.interop.personas import persona, seeded_rng
    from p2pchat.node.clock import SystemClock
    from p2pchat.transport.tcp import TcpTransport

    if args.target or bool(args.listen) == bool(args.dial):
        raise UsageError("interop peer takes --listen HOST:PORT or --dial HOST:PORT")
    if args.expect and not args.dial:
        raise UsageError("--expect belongs to --dial")
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

    address, listens = _one_address(args)
    return asyncio.run(
        command.check(
            address,
            listens=listens,
            seed=args.seed or "1",
            patience=args.patience or command.PATIENCE_S,
            as_json=args.json,
            write=write,
        )
    )
