"""``key``: what keys there are, and what is done to them."""

from __future__ import annotations

import asyncio
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from p2pchat.cli.lock_commands import change_passphrase, change_to_keychain
from p2pchat.cli.opening import is_ours, open_alone, with_client
from p2pchat.cli.output import name_of, print_json, time_of
from p2pchat.constants import LINK_MAX_CHARS
from p2pchat.errors import UsageError
from p2pchat.rpc.client import Client

_CERTIFICATE_SCHEME: Final = "p2pchat-revocation:"
_DAY_MS: Final = 24 * 3600 * 1000


def run(args: Namespace) -> int:
    """Run the action that ``args`` names."""
    return _ACTIONS[args.action](args)


def _status(args: Namespace) -> int:
    async def work(client: Client) -> list[dict[str, Any]]:
        keys: list[dict[str, Any]] = await client.call("key.status")
        return keys

    now_ms = time.time_ns() // 1_000_000
    for key in with_client(args, work):
        if args.json:
            print_json(key)
        else:
            for line in _lines(key, now_ms):
                print(line)
    return 0


def _lines(key: Mapping[str, Any], now_ms: int) -> list[str]:
    head = f"{key['name']:<16}  {key['algorithm']}, key id {key['key_id']}"
    if key["generation"] is not None:
        head += f", generation {key['generation']}"
    life = []
    if (made := key["made_at_ms"]) is not None:
        life.append(f"made {_when(made, now_ms)}")
    if (rotates := key["rotates_at_ms"]) is not None:
        life.append(f"next rotation {_when(rotates, now_ms)}")
    elif (ends := key["ends_at_ms"]) is not None:
        life.append(f"deleted {_when(ends, now_ms)}")
    else:
        life.append("no end is set")
    return [head, f"  {key['purpose']}", f"  {'; '.join(life)}", f"  in {key['stored']}"]


def _when(at_ms: int, now_ms: int) -> str:
    """Return a time, and about how many days it is away."""
    days = round(abs(now_ms - at_ms) / _DAY_MS)
    plural = "s" if days != 1 else ""
    if days == 0:
        distance = "today"
    else:
        distance = f"in {days} day{plural}" if at_ms > now_ms else f"{days} day{plural} ago"
    return f"{time_of(at_ms)} ({distance})"


def _rotate(args: Namespace) -> int:
    async def work(client: Client) -> dict[str, Any]:
        key: dict[str, Any] = await client.call("key.rotate")
        return key

    key = with_client(args, work)
    print(f"rotated: your static key is {key['key_id']}, generation {key['generation']}")
    print("the one before it is kept for contacts who are away; p2pchat key status shows how long")
    return 0


# --- revoke ---------------------------------------------------------------------------------------


def _revoke(args: Namespace) -> int:
    if args.print:
        return _print_revocation(args)
    params = {}
    if args.certificate is not None:
        params["certificate"] = _read_certificate(args.certificate)
    if not args.yes:
        _confirm(
            "A revocation is final: the key can never be used again, by anybody.",
            "nothing was revoked",
        )

    async def work(client: Client) -> tuple[dict[str, Any], bool]:
        return await client.call("key.revoke", params), is_ours(client)

    revoked, no_node = with_client(args, work)
    if not revoked["ours"]:
        print(f"the key of {name_of(revoked['contact'])} is revoked: it is refused from now on")
        return 0
    print(f"your key is revoked: {revoked['peer_id']}")
    if count := revoked["untold"]:
        print(f"{count} contact{'s' if count > 1 else ''} to be told, each when it is next met")
        if no_node:
            print("keep a node running until then: p2pchat node")
    return 0


def _print_revocation(args: Namespace) -> int:
    async def work(client: Client) -> str:
        certificate: str = (await client.call("key.revocation"))["certificate"]
        return certificate

    print(with_client(args, work))
    return 0


def _read_certificate(given: str) -> str:
    """Return the text of a certificate that is given as it is, or in a file."""
    if given.strip().startswith(_CERTIFICATE_SCHEME):
        return given
    try:
        if given == "-":
            return sys.stdin.readline(LINK_MAX_CHARS)
        with Path(given).open(errors="replace") as file:
            text = file.read(LINK_MAX_CHARS)
    except OSError as error:
        raise UsageError(
            f"cannot read the certificate from {given}: {error.strerror}; it begins with "
            f"{_CERTIFICATE_SCHEME} or is a file's name"
        ) from error
    return text


def _confirm(what: str, otherwise: str) -> None:
    """Have the person say that it is meant.

    Raises:
        UsageError: It is not, or there is nobody to ask.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("this cannot be undone; say --yes to go on without being asked")
    print(what)
    try:
        answer = input("Type yes to go on: ")
    except EOFError:
        answer = ""
    if answer.strip().lower() != "yes":
        raise UsageError(otherwise)


def _replace(args: Namespace) -> int:
    # Late: store and libraries; this profile is opened here, whatever else runs.
    from p2pchat.crypto.secret import system_rng
    from p2pchat.identity.keys import peer_id
    from p2pchat.identity.revocation import encode_revocation_text, revoke
    from p2pchat.node.replacing import replace_identity

    if not args.yes:
        _confirm(
            "Your identity gets a new key. The old one is deleted; each contact has to decide "
            "about the new one, and all safety numbers are to be compared again.",
            "nothing was replaced",
        )
    now_ms = time.time_ns() // 1_000_000
    with open_alone(args) as profile:
        certificate = encode_revocation_text(revoke(profile.identity.signing_seed))

        async def write() -> bytes:
            _, new = await profile.store.write(
                lambda tx: replace_identity(tx, rng=system_rng, now_ms=now_ms)
            )
            return new

        new = asyncio.run(write())
    print(f"your new peer id: {peer_id(new)}")
    print("contacts are told when they are next met: p2pchat node")
    print("if the old key may be in other hands, revoke it as well:")
    print(f"p2pchat key revoke {certificate}")
    return 0


def _recovery(args: Namespace) -> int:
    from p2pchat.cli import recovery  # opens the profile itself: store and libraries

    return recovery.make(args)


_ACTIONS: Final[Mapping[str, Callable[[Namespace], int]]] = {
    "keychain": change_to_keychain,
    "passphrase": change_passphrase,
    "recovery": _recovery,
    "replace": _replace,
    "revoke": _revoke,
    "rotate": _rotate,
    "status": _status,
}
