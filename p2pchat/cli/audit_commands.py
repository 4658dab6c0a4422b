"""``audit show``, ``audit verify`` and ``audit export``."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from p2pchat.cli.exits import ExitCode
from p2pchat.cli.opening import with_client
from p2pchat.cli.output import name_of, print_json, print_table, time_of
from p2pchat.errors import StoreError, UsageError
from p2pchat.rpc.client import Client
from p2pchat.sanitize import clean_line

SHOWN: Final = 50
"""Records that ``audit show`` prints if nothing else is said."""
_ID_SHOWN_CHARS: Final = 12
_OWN_BUSINESS: Final = frozenset(("hash", "signature"))
"""Fields that are for the verification, not for the reader; ``--json`` has them."""
_CELL_MAX_CHARS: Final = 200
_FINDING_MAX_CHARS: Final = 1000


def run(args: Namespace) -> int:
    """Run the action that ``args`` names."""
    match args.action:
        case "show":
            return _show(args)
        case "verify":
            return _verify(args) if args.file is None else _verify_file(args)
        case _:
            return _export(args)


def _show(args: Namespace) -> int:
    async def work(client: Client) -> tuple[list[dict[str, Any]], dict[str, str]]:
        params: dict[str, Any] = {"limit": args.limit or SHOWN}
        if args.kind is not None:
            params["kind"] = args.kind
        records = await client.call("audit.list", params)
        own = await client.call("identity.show")
        names = {own["peer_id"]: "yourself"}
        names |= {each["peer_id"]: each["name"] for each in await client.call("contact.list")}
        return records, names

    records, names = with_client(args, work)
    if args.json:
        for record in records:
            print_json(record)
        return 0
    rows = [
        (
            str(record["sequence"]),
            time_of(record["at_ms"]),
            _kind(record),
            _who(record["principal"], names),
            _context(record),
        )
        for record in records
    ]
    print_table(("NUMBER", "TIME", "WHAT", "WHO", "MORE"), rows)
    return 0


def _verify(args: Namespace) -> int:
    async def work(client: Client) -> dict[str, Any]:
        report: dict[str, Any] = await client.call("audit.verify")
        return report

    report = with_client(args, work)
    if args.json:
        print_json(report)
    elif report["ok"]:
        print(f"the audit log is whole: {_extent(report)}")
        if not report["head_outside"]:
            print(
                "audit.head is missing in the profile: that an older copy of the database was put "
                "back would not be seen"
            )
    else:
        finding = clean_line(report["finding"], _FINDING_MAX_CHARS)
        print(f"the audit log is NOT what was recorded: {finding}")
    return ExitCode.DONE if report["ok"] else ExitCode.DAMAGED


def _verify_file(args: Namespace) -> int:
    # Late: only this needs them, and no profile.
    from p2pchat.errors import AuditError
    from p2pchat.identity.keys import parse_peer_id, peer_id
    from p2pchat.store.audit_file import read_export
    from p2pchat.store.audit_verify import verify

    wanted = None if args.peer is None else parse_peer_id(args.peer)
    try:
        verified = verify(read_export(Path(args.file)), identity=wanted)
    except AuditError as error:
        if args.json:
            print_json({"ok": False, "finding": str(error), "sequence": error.sequence})
        else:
            finding = clean_line(str(error), _FINDING_MAX_CHARS)
            print(f"the file is NOT what was exported: {finding}")
        return ExitCode.FAILED
    report = {
        "ok": True,
        "peer_id": peer_id(verified.identity),
        "first": verified.first,
        "last": verified.last,
        "checkpoints": verified.checkpoints,
    }
    if args.json:
        print_json(report)
    else:
        print(f"the file is whole: {_extent(report)}, signed for {report['peer_id']}")
        if wanted is None:
            print("whose peer id that is, the file cannot prove; compare it, or give --peer PEERID")
    return ExitCode.DONE


def _export(args: Namespace) -> int:
    path = Path(args.file)
    if path.exists():
        raise UsageError(f"{path} exists already; it is not overwritten")

    async def work(client: Client) -> list[str]:
        lines: list[str] = (await client.call("audit.export"))["lines"]
        return lines

    lines = with_client(args, work)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    report = {"file": str(path), "records": len(lines) - 2}
    if args.json:
        print_json(report)
    else:
        print(f"wrote {report['records']} records to {_cell(str(path))}")
        print(f"check it anywhere: p2pchat audit verify {_cell(str(path))}")
    return ExitCode.DONE


def _kind(record: Mapping[str, Any]) -> str:
    kind = _cell(str(record["kind"]))
    return f"⚠ {kind}" if kind == "warning" else kind.replace("_", " ")


def _who(principal: str | None, names: Mapping[str, str]) -> str:
    if principal is None:
        return ""
    name = names.get(principal)
    return name_of(name) if name else f"{_cell(principal)[:_ID_SHOWN_CHARS]}…"


def _context(record: Mapping[str, Any]) -> str:
    context: dict[str, Any] = record["context"]
    if record["kind"] == "warning":
        from p2pchat.tui.words import warning  # the sentences that the app says as well

        return warning(str(context.get("reason", "")), int(context.get("count", 0)))
    shown = [
        f"{name} {_cell(str(value))}"
        for name, value in context.items()
        if name not in _OWN_BUSINESS and not (name == "count" and value == 1)
    ]
    return ", ".join(shown)


def _extent(report: Mapping[str, Any]) -> str:
    if not report["last"]:
        return "it has no record yet"
    return (
        f"records {report['first']} to {report['last']}, with {report['checkpoints']} checkpoints"
    )


def _cell(text: str) -> str:
    return clean_line(text, _CELL_MAX_CHARS)
