"""``add``, ``contacts``, ``accept``, ``decline``, ``keep``, ``block`` and ``remove``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any, Final

from p2pchat.cli.opening import NO_NODE, is_ours, with_client
from p2pchat.cli.output import (
    REVOKED_WORDS,
    TRUST_WORDS,
    name_of,
    print_json,
    print_table,
    time_of,
    verified_remark,
    word_of,
)
from p2pchat.constants import NOTE_MAX_CHARS
from p2pchat.rpc.client import Client
from p2pchat.sanitize import clean_line

_DONE: Final[Mapping[str, str]] = {
    "accept": "accepted {name}; compare the safety number: p2pchat verify {word}",
    "keep": "kept the old key of {name}; it is unverified until you compare: p2pchat verify {word}",
    "decline": "declined {name}, who learns nothing and may ask again after a day",
    "block": "blocked {name}",
    "remove": "removed {name} and the conversation",
}
_PEER_ID_SHOWN_CHARS: Final = 12
"""Enough to tell contacts apart in a table; ``--json`` has all of it."""


def run(args: Namespace) -> int:
    """Run the command that ``args`` names."""
    match args.command:
        case "add":
            return _add(args)
        case "contacts":
            return _contacts(args)
        case _:
            return _decide(args)


def _add(args: Namespace) -> int:
    async def work(client: Client) -> str:
        params = {"link": args.link, "note": args.note}
        if args.name is not None:
            params["name"] = args.name
        contact: str = (await client.call("contact.add", params))["contact"]
        return contact

    contact = name_of(with_client(args, work))
    print(f"added {contact}; compare the safety number: p2pchat verify {word_of(contact)}")
    return 0


def _decide(args: Namespace) -> int:
    async def work(client: Client) -> None:
        await client.call(f"contact.{args.command}", {"contact": args.contact})

    with_client(args, work)
    name = name_of(args.contact)
    print(_DONE[args.command].format(name=name, word=word_of(name)))
    return 0


def _contacts(args: Namespace) -> int:
    async def work(client: Client) -> tuple[list[dict[str, Any]], bool]:
        return await client.call("contact.list"), is_ours(client)

    contacts, no_node = with_client(args, work)
    if args.json:
        for contact in contacts:
            print_json(contact)
        return 0
    if not contacts:
        print("no contacts yet; p2pchat add LINK adds one")
        return 0
    print_table(
        ("NAME", "TRUST", "STATE", "KEYS", "UNREAD", "PEER ID"),
        [
            (
                name_of(contact["contact"]),
                REVOKED_WORDS if contact["revoked"] else TRUST_WORDS[contact["trust"]],
                "● online" if contact["online"] else "○ offline",
                "hybrid" if contact["pq"] else "classical",
                str(contact["unread"] or "-"),
                contact["peer_id"][:_PEER_ID_SHOWN_CHARS] + "…",
            )
            for contact in contacts
        ],
    )
    for contact in contacts:
        if no_node:
            contact["offline_reason"] = ""  # the same for all, and said once
        for remark in (*verified_remark(contact), *_remarks(contact)):
            print(remark)
    if no_node:
        print(NO_NODE)
    return 0


def _remarks(contact: Mapping[str, Any]) -> list[str]:
    """Return what the table has no room for: what is asked of the person, and why it waits."""
    name = name_of(contact["contact"])
    if contact["revoked"] and contact["trust"] != "changed":
        since = time_of(contact["revoked_at_ms"])
        refused = f"{name} has revoked this key (known since {since}): it is refused for good"
        return [f"{refused}; ask for a new link over another channel"]
    match contact["trust"]:
        case "request":
            note = clean_line(contact["note"], NOTE_MAX_CHARS)
            said = f" and writes: {note}" if note else ""
            return [
                f"{name} asks to talk to you{said}",
                *_choose(name, "accept", "decline", "block"),
            ]
        case "changed":
            offered = (contact["offered_peer_id"] or "")[:_PEER_ID_SHOWN_CHARS]
            if contact["announced"]:
                warning = (
                    f"{name} has announced a new key, {offered}…, signed with the old one as well: "
                    "either a new identity, or a thief of the old key; ask over another channel"
                )
                return [warning, *_choose(name, "accept", "keep", "block")]
            warning = (
                f"another key, {offered}…, answered in the place of {name}: either a new "
                "computer, or someone in between; ask over another channel"
            )
            return [
                warning,
                *_choose(name, "accept", "keep", "block"),
            ]
        case "blocked":
            return []
        case _ if contact["compare_asked"]:
            how = f"p2pchat verify {word_of(name)} --secret-file FILE"
            return [f"{name} asks you to type the phrase that you both know: {how}"]
        case _ if not contact["online"] and contact["offline_reason"]:
            return [f"{name} is offline: {clean_line(contact['offline_reason'], NOTE_MAX_CHARS)}"]
        case _:
            return []


def _choose(name: str, *commands: str) -> list[str]:
    return ["  " + " · ".join(f"p2pchat {command} {word_of(name)}" for command in commands)]
