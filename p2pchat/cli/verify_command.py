"""``verify``: safety numbers, and phrases that both people know (protocol.md §3.5, §3.8).

A phrase is read from a file or standard input, as a passphrase is: other programs can read what
stands on a command line.
"""

from __future__ import annotations

import asyncio
from argparse import Namespace
from typing import Any

from p2pchat.cli.opening import with_client
from p2pchat.cli.output import TRUST_WORDS, name_of, word_of
from p2pchat.errors import LockedError, TrustError, UnreachableError, UsageError
from p2pchat.rpc.client import Client


def run(args: Namespace) -> int:
    """Run the command."""
    if args.secret_file is not None:
        return _compare(args)
    if args.new_tries:
        return _new_tries(args)
    return _number(args)


def _number(args: Namespace) -> int:
    async def work(client: Client) -> str:
        contact = {"contact": args.contact}
        if args.number is not None:
            await client.call("contact.verify", {**contact, "number": args.number})
            return ""
        number: str = (await client.call("contact.safety_number", contact))["number"]
        return number

    number = with_client(args, work)
    contact = name_of(args.contact)
    if args.number is not None:
        print(f"the numbers agree: {contact} is {TRUST_WORDS['verified']}")
        return 0
    print(number)
    if args.qr:
        from p2pchat.tui.qr import qr_lines  # a large table of codes, for who wants one

        for line in qr_lines("".join(number.split())):
            print(line)
    print("Read it to each other over another channel, a call for example; if all digits agree:")
    print(f"p2pchat verify {word_of(contact)} --number '…'")
    return 0


def _compare(args: Namespace) -> int:
    phrase = _phrase(args.secret_file)

    async def work(client: Client) -> tuple[str, dict[str, Any]]:
        news = client.notifications()  # before the question, so that no answer is missed
        try:
            params = {"contact": args.contact, "secret": phrase}
            begun = await client.call("contact.compare", params)
            if begun["state"] == "asked":
                name = name_of(begun["contact"])
                print(f"asked {name} to type the phrase too; waiting", flush=True)
            async for method, params in news:
                if method == "contact.compared" and params["contact"] == begun["contact"]:
                    return begun["contact"], params
        except asyncio.CancelledError:  # Ctrl+C: nobody is left to be told how it ends
            await client.call("contact.compare_cancel", {"contact": args.contact})
            raise
        finally:
            news.close()
        raise UnreachableError("the node ended before the phrases were compared")

    contact, ended = with_client(args, work)
    # Late: only a comparison that has ended needs the words for it.
    from p2pchat.tui.comparing import ALARMING, ended_words

    outcome = ended["outcome"]
    words = ended_words(outcome, name_of(contact), ended["tries_left"])
    if outcome == "verified":
        print(words)
        return 0
    if outcome == "differed" or outcome in ALARMING:
        raise TrustError(words)
    raise UnreachableError(words)


def _new_tries(args: Namespace) -> int:
    async def work(client: Client) -> None:
        await client.call("contact.compare_again", {"contact": args.contact})

    with_client(args, work)
    print(f"phrases may be compared with {name_of(args.contact)} again, three times")
    return 0


def _phrase(name: str) -> str:
    # Late: reading it is the business of who unlocks profiles.
    from p2pchat.cli.unlock import read_passphrase

    try:
        return read_passphrase(name).reveal().decode()
    except UnicodeDecodeError:
        raise UsageError("the phrase to compare is not UTF-8 text") from None
    except LockedError as error:
        raise UsageError(str(error).replace("passphrase", "phrase")) from None
