"""``key``: what keys there are, and what is done to them."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any, Final

from p2pchat.cli.lock_commands import change_passphrase, change_to_keychain
from p2pchat.cli.opening import with_client
from p2pchat.cli.output import print_json, time_of
from p2pchat.rpc.client import Client

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


_ACTIONS: Final[Mapping[str, Callable[[Namespace], int]]] = {
    "keychain": change_to_keychain,
    "passphrase": change_passphrase,
    "rotate": _rotate,
    "status": _status,
}
