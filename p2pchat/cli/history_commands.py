"""``search``, ``export`` and ``retention``: the past as a whole."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from p2pchat.cli.opening import with_client
from p2pchat.cli.output import message_lines, name_of, print_json
from p2pchat.errors import UsageError
from p2pchat.rpc.client import Client
from p2pchat.tui.dates import day_span_ms


def run(args: Namespace) -> int:
    """Run the command that ``args`` names."""
    match args.command:
        case "search":
            return _search(args)
        case "export":
            return _export(args)
        case _:
            return _retention(args)


def span_params(args: Namespace) -> dict[str, int]:
    """Return the parameters that ``--since`` and ``--until`` mean; both days are included.

    Raises:
        UsageError: One of them is no day.
    """
    params = {}
    if args.since is not None:
        params["after_ms"] = day_span_ms(args.since)[0]
    if args.until is not None:
        params["before_ms"] = day_span_ms(args.until)[1]
    return params


def _search(args: Namespace) -> int:
    params = {"words": args.words, "limit": args.limit, **span_params(args)}

    async def work(client: Client) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await client.call("message.search", params)
        return found

    for message in with_client(args, work):
        if args.json:
            print_json(message)
        else:
            outgoing = message["direction"] == "out"
            lines = message_lines(message, message["contact"])
            if outgoing:  # an arrow alone does not tell to whom
                lines[0] = lines[0].replace("→ ", f"→ {name_of(message['contact'])}: ", 1)
            for line in lines:
                print(line)
    return 0


def _export(args: Namespace) -> int:
    path = Path(args.file).absolute()
    if path.exists():
        raise UsageError(f"{path} exists; an export never replaces a file: choose another name")
    params = {"contact": args.contact, "path": str(path), "format": args.format}

    async def work(client: Client) -> int:
        written: int = (await client.call("message.export", params))["messages"]
        return written

    count = with_client(args, work)
    print(f"wrote {path}: {count} {'message' if count == 1 else 'messages'}, not encrypted")
    return 0


def _retention(args: Namespace) -> int:
    params: dict[str, Any] = {"contact": args.contact}
    if args.days is not None:
        params["days"] = None if args.days == "default" else _days(args.days)

    async def work(client: Client) -> dict[str, Any]:
        kept: dict[str, Any] = await client.call("contact.retention", params)
        return kept

    kept = with_client(args, work)
    days, whose = kept["days"], " (retention_days)" if kept["follows_settings"] else ""
    long = "for good" if not days else f"for {days} {'day' if days == 1 else 'days'}"
    print(f"messages with {name_of(args.contact)} are kept {long}{whose}")
    return 0


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise UsageError("--days is a number of days, 0 for good, or 'default' as the settings say")
    return int(text[:9])
