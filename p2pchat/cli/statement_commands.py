"""``record``, ``sign``, ``export-statement`` and ``verify-statement`` (protocol.md §9.4)."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Final

from p2pchat.cli.opening import with_client
from p2pchat.cli.output import name_of, time_of, word_of
from p2pchat.errors import UsageError
from p2pchat.rpc.client import Client
from p2pchat.sanitize import clean_text

_STANDING: Final = {
    "off": "you and {name} are off the record; statements are not signed",
    "proposed": "proposed to {name}; statements can be signed once {name} accepts",
    "asked": "{name} has proposed it: p2pchat record {word} accept, or decline",
    "on": "you and {name} are on the record: p2pchat sign {word} TEXT proves for good what you say",
}


def run(args: Namespace) -> int:
    """Run the command that ``args`` names."""
    match args.command:
        case "record":
            return _record(args)
        case "sign":
            return _sign(args)
        case "export-statement":
            return _export(args)
        case _:
            return _verify(args)


def _record(args: Namespace) -> int:
    async def work(client: Client) -> str:
        params = {"contact": args.contact, "step": args.step}
        state: str = (await client.call("record.step", params))["record"]
        return state

    state = with_client(args, work)
    name = name_of(args.contact)
    print(_STANDING[state].format(name=name, word=word_of(name)))
    return 0


def _sign(args: Namespace) -> int:
    async def work(client: Client) -> str:
        params = {"contact": args.contact, "text": args.text}
        message_id: str = (await client.call("record.sign", params))["message_id"]
        return message_id

    message_id = with_client(args, work)
    name = name_of(args.contact)
    print(
        f"signed and queued for {name}: p2pchat export-statement {word_of(name)} {message_id} FILE"
    )
    return 0


def _export(args: Namespace) -> int:
    async def work(client: Client) -> str:
        params = {"contact": args.contact, "message_id": args.message_id}
        content: str = (await client.call("record.export", params))["file"]
        return content

    content = with_client(args, work)
    path = Path(args.file)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    except OSError as error:
        raise UsageError(f"cannot write {args.file}: {error.strerror}") from error
    print(f"wrote {args.file}; anybody can check it: p2pchat verify-statement {word_of(args.file)}")
    return 0


def _verify(args: Namespace) -> int:
    # Late: the other commands leave signatures to the node.
    from p2pchat.identity.keys import peer_id
    from p2pchat.identity.statement_file import FILE_MAX_BYTES, from_file

    try:
        with Path(args.file).open("rb") as file:
            content = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {args.file}: {error.strerror}") from error
    said = from_file(content)
    print(f"the statement holds; it was signed by {peer_id(said.signer)}")
    print(f"for {peer_id(said.recipient)}")
    print(f"at {time_of(said.at_ms)} by the signer's clock, in these words:")
    for line in clean_text(said.text).split("\n"):
        print(f"  {line}")
    return 0
