"""``lock``, ``unlock``, and the actions of ``key`` that change what unlocks the profile."""

from __future__ import annotations

import base64
from argparse import Namespace
from typing import Any

from p2pchat.cli.opening import profile_path, with_client
from p2pchat.cli.unlock import new_unlock, unlock_for
from p2pchat.errors import UsageError
from p2pchat.rpc.client import Client
from p2pchat.rpc.opening import is_served
from p2pchat.store.unlocking import PassphraseUnlock, Unlock


def run(args: Namespace) -> int:
    """Run the command that ``args`` names."""
    return _lock(args) if args.command == "lock" else _unlock(args)


def change_passphrase(args: Namespace) -> int:
    """Let a new passphrase unlock the profile."""
    if (args.passphrase_file, args.new_passphrase_file) == ("-", "-"):  # file names
        raise UsageError("standard input can give one of the two passphrases only")
    old = unlock_for(profile_path(args), args.passphrase_file)
    new = new_unlock(args.new_passphrase_file, keychain=False)
    _change(args, old, "key.passphrase", {"new": _base64(new)})
    print("changed: the new passphrase unlocks this profile from now on")
    return 0


def change_to_keychain(args: Namespace) -> int:
    """Let the system's keychain unlock the profile."""
    old = unlock_for(profile_path(args), args.passphrase_file)
    _change(args, old, "key.keychain", {})
    print("changed: the system's keychain unlocks this profile from now on")
    return 0


def _change(args: Namespace, old: Unlock, method: str, params: dict[str, Any]) -> None:
    """Change the unlocking, here or in the process that holds the profile.

    What unlocks it now is needed in both cases: to hold the profile does not suffice.
    """
    if (encoded := _base64(old)) is not None:
        params["old"] = encoded

    async def work(client: Client) -> None:
        await client.call(method, params)

    with_client(args, work, unlock=old)


def _lock(args: Namespace) -> int:
    if not is_served(profile_path(args)):
        print("no p2pchat process holds this profile; nothing is unlocked")
        return 0

    async def work(client: Client) -> None:
        await client.call("node.lock")

    with_client(args, work)
    print("locked")
    return 0


def _unlock(args: Namespace) -> int:
    path = profile_path(args)
    if not is_served(path):
        raise UsageError("no p2pchat process holds this profile; p2pchat node starts one")
    unlock = unlock_for(path, args.passphrase_file)

    async def work(client: Client) -> int:
        encoded = _base64(unlock)
        params = {} if encoded is None else {"passphrase": encoded}
        answer = await client.call("node.unlock", params)
        failures: int = answer["failures"]
        return failures

    failures = with_client(args, work)
    print("unlocked")
    if failures:
        from p2pchat.cli.output import warn_of_failures

        warn_of_failures(failures)
    return 0


def _base64(unlock: Unlock) -> str | None:
    """Return a passphrase as parameters hold it; None stands for the keychain."""
    if isinstance(unlock, PassphraseUnlock):
        return base64.b64encode(unlock.passphrase.reveal()).decode()
    return None
