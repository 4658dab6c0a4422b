"""Slash commands: their table, the parser, and Tab completion as pure functions.

A line that begins with ``/`` is a command or a mistake, never a message; ``//`` sends a text
that begins with a slash. What commands do is ``submit``'s business.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from p2pchat.identity.link import LINK_SCHEME


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One command as it is listed in the help.

    Attributes:
        takes_contact: Its argument is a contact's name, which Tab completes.
    """

    name: str
    arguments: str
    does: str
    takes_contact: bool = False
    needs_argument: bool = False


COMMANDS: Final = (
    CommandSpec("add", "LINK [NAME]", "add somebody by their contact link", needs_argument=True),
    CommandSpec("accept", "[NAME]", "accept a request, or a contact's new key", takes_contact=True),
    CommandSpec("decline", "[NAME]", "dismiss a request; they learn nothing", takes_contact=True),
    CommandSpec("keep", "[NAME]", "keep the old key, refuse the new one", takes_contact=True),
    CommandSpec("block", "[NAME]", "refuse somebody; they learn nothing", takes_contact=True),
    CommandSpec("remove", "[NAME]", "delete a contact and the history (asks)", takes_contact=True),
    CommandSpec("verify", "[NUMBER]", "compare safety numbers"),
    CommandSpec("secret", "[new|cancel]", "compare a phrase that both know, unseen"),
    CommandSpec("whois", "[NAME]", "who somebody is, and how you know", takes_contact=True),
    CommandSpec("msg", "NAME", "go to a contact", takes_contact=True, needs_argument=True),
    CommandSpec("reply", "TEXT", "answer a message", needs_argument=True),
    CommandSpec("edit", "[TEXT]", "change your message, for a day"),
    CommandSpec("delete", "", "delete your message on both sides (asks)"),
    CommandSpec("resend", "", "send a message again that failed"),
    CommandSpec("react", "[EMOJI]", "react to a message, or take it back"),
    CommandSpec("disappearing", "[TIME]", "let messages go after 1h, 1d …; off"),
    CommandSpec("record", "[STEP]", "go on the record; accept, decline or end it"),
    CommandSpec("sign", "TEXT", "say something signed, on the record", needs_argument=True),
    CommandSpec("search", "WORDS", "find messages in this chat", needs_argument=True),
    CommandSpec("searchall", "WORDS", "find messages in all chats", needs_argument=True),
    CommandSpec("date", "YYYY-MM-DD", "show this chat from a day on", needs_argument=True),
    CommandSpec("export", "FILE", "write this chat to a file, not encrypted", needs_argument=True),
    CommandSpec("retry", "", "try to connect now"),
    CommandSpec("myid", "", "show your contact link and peer id"),
    CommandSpec("lock", "", "forget keys and screen until you unlock"),
    CommandSpec("help", "", "show this page"),
    CommandSpec("quit", "", "leave; what is queued stays queued"),
)
_BY_NAME: Final = {spec.name: spec for spec in COMMANDS}


@dataclass(frozen=True, slots=True)
class Command:
    """A command that exists, with the rest of its line."""

    name: str
    argument: str


@dataclass(frozen=True, slots=True)
class Text:
    """Something to be sent."""

    body: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """A command that cannot be run; ``hint`` says what to do instead."""

    hint: str


Parsed = Command | Text | Mistake


def parse(line: str) -> Parsed:
    """Tell what the composer's content means; total.

    A text is everything that does not begin with a slash, and what follows the first slash of
    ``//``. Several lines that begin with one slash are a mistake as well: they are not sent.
    """
    if not line.startswith("/"):
        return Text(line)
    if line.startswith("//"):
        return Text(line[1:])
    head, _, argument = line[1:].strip().partition(" ")
    name, _, below = head.partition("\n")
    argument = (below + " " + argument if below else argument).strip()
    spec = _BY_NAME.get(name.lower())
    if spec is None:
        return Mistake(_unknown(name))
    if spec.needs_argument and not argument:
        return Mistake(f"/{spec.name} needs {spec.arguments}: {spec.does}.")
    if argument and not spec.arguments:
        return Mistake(f"/{spec.name} takes nothing after it.")
    return Command(spec.name, argument)


def split_link(argument: str) -> tuple[str, str]:
    """Split ``/add``'s argument into link and name ("" if none).

    A link copied from a terminal may be broken over lines; the breaks are taken out.
    """
    joined = re.sub(r"\s*\n\s*", "", argument)
    link, _, name = joined.partition(" ")
    return link, name.strip()


def looks_like_link(text: str) -> bool:
    """Tell whether the text is nothing but a contact link, pasted where a message goes."""
    stripped = text.strip()
    return stripped.startswith(LINK_SCHEME) and " " not in stripped


def completions(line: str, names: Iterable[str]) -> list[str]:
    """Return what Tab may turn a one-line ``/…`` into: whole new lines, best first."""
    if not line.startswith("/") or line.startswith("//") or "\n" in line:
        return []
    head, space, argument = line[1:].partition(" ")
    if not space:
        return [
            f"/{spec.name} " if spec.arguments else f"/{spec.name}"
            for spec in COMMANDS
            if spec.name.startswith(head.lower())
        ]
    spec = _BY_NAME.get(head.lower())
    if spec is None or not spec.takes_contact:
        return []
    wanted = argument.lstrip().casefold()
    return [f"/{spec.name} {name}" for name in names if name.casefold().startswith(wanted)]


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), _BY_NAME, n=1, cutoff=0.6)
    guess = f" Did you mean /{close[0]}?" if close else " F1 lists the commands."
    shown = f"/{name[:24]}" if name.isprintable() and name else "That"
    return f"{shown} is not a command and was not sent.{guess} (// sends a text that begins with /)"
