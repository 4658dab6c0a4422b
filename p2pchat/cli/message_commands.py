"""``send`` and ``log``."""

from __future__ import annotations

from argparse import Namespace
from typing import Any, Final

from p2pchat.cli.history_commands import span_params
from p2pchat.cli.opening import NO_NODE, is_ours, with_client
from p2pchat.cli.output import REASON_MAX_CHARS, message_lines, name_of, print_json
from p2pchat.errors import UnreachableError, UsageError
from p2pchat.rpc.client import Client
from p2pchat.sanitize import clean_line
from p2pchat.tui.changing import seconds_of, span

_PAGE: Final = 200
"""Messages asked for at once: of the longest texts that is 13 MB."""


def run(args: Namespace) -> int:
    """Run the command that ``args`` names."""
    return _send(args) if args.command == "send" else _log(args)


def _send(args: Namespace) -> int:
    contact = name_of(args.contact)
    params: dict[str, Any] = {"contact": args.contact, "text": args.text}
    within = ""
    if args.expires is not None:
        seconds = seconds_of(args.expires)
        if seconds is None:
            raise UsageError("--expires takes a time such as 30s, 5m, 1h, 1d or 4w")
        params["expires_in_s"] = seconds
        within = f", within {span(seconds)} or not at all"

    async def work(client: Client) -> str:
        sent: dict[str, str] = await client.call("message.send", params)
        if args.wait is None:
            return sent["state"]
        wait = {
            "contact": args.contact,
            "message_id": sent["message_id"],
            "timeout": args.wait,
        }
        # Not in time: the node's own words say why, and that the message stays queued.
        message: dict[str, str] = await client.call("message.wait", wait)
        if message["state"] == "failed":
            reason = clean_line(message["reason"], REASON_MAX_CHARS)
            raise UnreachableError(f"not sent to {contact}: {reason}")
        return message["state"]

    state = with_client(args, work, network=args.wait is not None)
    if state == "queued":
        print(f"queued for {contact}; it leaves when both of you are online{within}")
    else:
        print(f"{state} to {contact}")
    return 0


def _log(args: Namespace) -> int:
    async def work(client: Client) -> tuple[list[dict[str, Any]], bool]:
        pages: list[list[dict[str, Any]]] = []
        wanted = args.limit
        params: dict[str, Any] = {"contact": args.contact}
        if args.search is not None:
            params["search"] = args.search
        params |= span_params(args)
        while wanted > 0:
            ask = min(wanted, _PAGE)
            page: list[dict[str, Any]] = await client.call("message.list", {**params, "limit": ask})
            pages.append(page)
            if len(page) < ask:
                break
            params["before"] = page[0]["message_id"]
            wanted -= len(page)
        return [message for page in reversed(pages) for message in page], is_ours(client)

    messages, waits_for_node = with_client(args, work)
    for message in messages:
        if args.json:
            print_json(message)
        else:
            if waits_for_node and message["state"] == "queued":
                message["reason"] = NO_NODE
            for line in message_lines(message, args.contact):
                print(line)
    return 0
