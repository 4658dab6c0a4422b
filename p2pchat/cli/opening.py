"""Every command's way to a node: the running one, or the profile opened for this command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from p2pchat.errors import ProfileInUseError
from p2pchat.rpc.client import Client, LocalClient
from p2pchat.rpc.opening import HeldProfile, is_served, open_client
from p2pchat.store.profile import resolve_profile

if TYPE_CHECKING:
    from p2pchat.store.open import OpenProfile, Unlock

T = TypeVar("T")

NO_NODE: Final = "no node runs for this profile; p2pchat node starts one"
"""Why somebody is offline, or a message waits, when this command opened the profile itself."""


def profile_path(args: Namespace) -> Path:
    """Return the folder that ``--profile`` and the environment name."""
    return resolve_profile(args.profile, os.environ)


def is_ours(client: Client) -> bool:
    """Tell whether no node runs but the one of this command, which ends with it."""
    return isinstance(client, LocalClient)


@contextlib.contextmanager
def open_alone(args: Namespace) -> Iterator[OpenProfile]:
    """Open the profile for what no running node may have a hand in: the identity's own seed.

    Raises:
        ProfileInUseError: A node has the profile.
        P2PChatError: The profile cannot be opened.
    """
    # Late: a command that finds a running node needs neither libraries nor store.
    from p2pchat.cli.unlock import unlock_for
    from p2pchat.store.open import open_profile

    path = profile_path(args)
    if is_served(path):
        raise ProfileInUseError(
            "a p2pchat runs with this profile; end it first: what concerns the identity's own key "
            "is never told to other programs"
        )
    profile = open_profile(
        path,
        unlock=unlock_for(path, args.passphrase_file),
        now_ms=time.time_ns() // 1_000_000,
    )
    try:
        yield profile
    finally:
        profile.close()


def with_client(
    args: Namespace,
    work: Callable[[Client], Awaitable[T]],
    *,
    network: bool = False,
    unlock: Unlock | None = None,
) -> T:
    """Run ``work`` with a client of the profile, and leave it afterwards.

    Args:
        args: Parsed arguments with ``profile`` and ``passphrase_file``.
        work: Is given the client.
        network: A node started for this command dials.
        unlock: What unlocks the profile, if the command knows already; else it is found out.

    Raises:
        P2PChatError: The profile cannot be opened, or ``work`` failed.
    """
    path = profile_path(args)
    # Outside of the event loop, where Ctrl+C would not reach the prompt; and only if no node
    # runs, since that one needs no passphrase.
    if unlock is None and not is_served(path):
        from p2pchat.cli.unlock import unlock_for

        unlock = unlock_for(path, args.passphrase_file)

    async def run() -> T:
        client = await open_client(path, unlock=unlock, network=network, listen=())
        try:
            if isinstance(client, HeldProfile) and (failures := client.service.take_failures()):
                from p2pchat.cli.output import warn_of_failures

                warn_of_failures(failures)
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(run())
