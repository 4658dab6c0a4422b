"""``node``: run without a screen, for programs (``--rpc stdio``) or until a signal ends it.

With ``--rpc stdio`` nothing but JSON-RPC is written to standard output: its descriptor is moved
away first, and what anybody prints goes to standard error. The end of input ends the node, since
whoever started it is gone; SIGTERM and SIGINT end it as cleanly.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from p2pchat.cli.logs import log_to_stderr
from p2pchat.cli.opening import profile_path
from p2pchat.cli.output import warn_of_failures
from p2pchat.cli.unlock import unlock_for
from p2pchat.config import load_config
from p2pchat.errors import ProfileInUseError, UsageError
from p2pchat.identity.link import parse_address
from p2pchat.node.clock import SystemClock
from p2pchat.rpc.channels import PipeChannel
from p2pchat.rpc.connection import serve
from p2pchat.rpc.idle import IdleWatch
from p2pchat.rpc.opening import PATIENCE_S, HeldProfile, is_served
from p2pchat.store.open import Unlock
from p2pchat.store.profile import Profile

_PAUSE_S: Final = 0.1


def run_node(args: Namespace) -> int:
    """Run a node until its input ends, a signal comes, or a client stops it."""
    listen = _listen(args.listen)
    path = profile_path(args)
    if is_served(path):
        raise ProfileInUseError(f"a p2pchat process serves {path} already; end that one first")
    unlock = unlock_for(path, args.passphrase_file)
    lock_after_s = load_config(Profile(path).config).lock_after_s
    log_to_stderr()
    stdio = args.rpc == "stdio"
    requests, answers = _take_stdio() if stdio else (-1, -1)
    idle = IdleWatch(lock_after_s, SystemClock().wall_ms) if lock_after_s else None
    return asyncio.run(_run(path, unlock, listen, requests, answers, idle))


def _listen(given: Sequence[str] | None) -> list[str] | None:
    if given is None:
        return None  # as the settings say
    if "none" in given:
        if len(given) > 1:
            raise UsageError("--listen none stands alone: it means that nothing is accepted")
        return []
    for address in given:
        host, _, port = address.rpartition(":")
        parse_address(f"{host}:1" if port == "0" else address)  # 0 is no peer's port
    return list(given)


def _take_stdio() -> tuple[int, int]:
    """Keep standard input and output for JSON-RPC alone; return their new descriptors."""
    sys.stdout.flush()
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return requests, answers


async def _run(
    path: Path,
    unlock: Unlock,
    listen: Sequence[str] | None,
    requests: int,
    answers: int,
    idle: IdleWatch | None,
) -> int:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    held = await _open(path, unlock, listen, ending, idle)
    del unlock  # it would stay in memory as long as the node runs
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(held.close)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        if idle is not None:
            stack.callback(tasks.create_task(idle.run(held.service.lock)).cancel)
        if requests >= 0:
            # Answers and notifications only: a program that asks knows when we are ready.
            await serve(PipeChannel(requests, answers), held.service, ending=ending)
        else:
            await _announce(held)
            await ending.wait()
    return 0


async def _open(
    path: Path,
    unlock: Unlock,
    listen: Sequence[str] | None,
    ending: asyncio.Event,
    idle: IdleWatch | None,
) -> HeldProfile:
    """Open the profile; a short command that holds it is waited for."""
    give_up = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            return await HeldProfile.open(
                path,
                unlock=unlock,
                network=True,
                listen=listen,
                on_stop=ending.set,
                idle=idle,
            )
        except ProfileInUseError:
            if is_served(path) or asyncio.get_running_loop().time() >= give_up:
                raise
        await asyncio.sleep(_PAUSE_S)


async def _announce(held: HeldProfile) -> None:
    if failures := held.service.take_failures():
        warn_of_failures(failures)
    status = await held.call("node.status")
    identity = await held.call("identity.show")
    for address in status["listen"]:
        print(f"listening on {address}")
    print(f"link {identity['link']}", flush=True)
