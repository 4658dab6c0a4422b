"""Every command and its arguments as data: the parser and the shell completions come from it.

Names and meanings are fixed by interface.md. ``p2pchat --help`` must not wait, so this module
imports nothing at all: plain classes stand here for dataclasses, whose import alone costs as
much as the interpreter's start.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's own, without importing it
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final


class Argument:
    """One positional argument or option, as argparse takes it.

    Attributes:
        name: With its dashes, if it is an option.
        help: One line without a full stop.
        settings: Keyword arguments of ``add_argument``.
    """

    __slots__ = ("help", "name", "settings")

    def __init__(self, name: str, help_text: str, **settings: Any) -> None:
        self.name = name
        self.help = help_text
        self.settings = settings


class Command:
    """One command.

    Attributes:
        name: What is typed.
        help: One line without a full stop.
        arguments: In the order in which ``--help`` shows them.
        opens_profile: It takes ``PROFILE_OPTIONS`` as well.
        problem: Takes what was parsed; returns what does not belong together, or nothing.
    """

    __slots__ = ("arguments", "help", "name", "opens_profile", "problem")

    def __init__(
        self,
        name: str,
        help_text: str,
        *arguments: Argument,
        opens_profile: bool = True,
        problem: Callable[[Any], str] | None = None,
    ) -> None:
        self.name = name
        self.help = help_text
        self.arguments = arguments
        self.opens_profile = opens_profile
        self.problem = problem


def _positive(text: str) -> int:
    """Take a whole number from 1 on; argparse names this function when it refuses."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _seconds(text: str) -> float:
    """Take a number of seconds from 0 to a day."""
    number = float(text)
    if not 0 <= number <= 24 * 3600:  # false for NaN as well
        raise ValueError
    return number


_INTEROP_OPTIONS = {
    "noise-vectors": (),
    "vectors": ("check", "print", "write"),
    "peer": ("listen", "dial", "expect", "seed"),
    "check": ("listen", "seed", "json", "patience"),
}


def _interop_problem(args: Any) -> str:
    """Say which of ``interop``'s arguments do not belong together."""
    kind, targets = args.kind, len(args.target)
    for options in _INTEROP_OPTIONS.values():
        for option in options:
            if option not in _INTEROP_OPTIONS[kind] and getattr(args, option):
                return f"interop {kind} has no --{option}"
    if kind == "noise-vectors":
        return "" if targets else "interop noise-vectors needs a FILE"
    if kind == "check":
        ways = targets + bool(args.listen)
        return "" if ways == 1 else "interop check takes one HOST:PORT, or --listen HOST:PORT"
    if targets:
        return f"interop {kind} takes options only"
    if kind == "vectors":
        ways = bool(args.check) + args.print + bool(args.write)
        return "" if ways <= 1 else "interop vectors takes one of --check, --print and --write"
    if bool(args.listen) == bool(args.dial):
        return "interop peer takes --listen HOST:PORT or --dial HOST:PORT"
    return "--expect belongs to --dial" if args.expect and not args.dial else ""


_KEY_OPTIONS = {
    "status": ("json",),
    "rotate": (),
    "passphrase": ("new_passphrase_file",),
    "keychain": (),
    "revoke": ("certificate", "print", "yes"),
    "replace": ("yes",),
    "recovery": ("file", "kit_passphrase_file", "yes"),
}
"""What belongs to which action of ``key``."""


def _key_problem(args: Any) -> str:
    """Say which of ``key``'s arguments do not belong together."""
    action = args.action
    for options in _KEY_OPTIONS.values():
        for option in options:
            if option not in _KEY_OPTIONS[action] and getattr(args, option):
                name = "CERTIFICATE" if option == "certificate" else f"--{option.replace('_', '-')}"
                return f"key {action} has no {name}"
    if action == "revoke" and args.print and (args.certificate or args.yes):
        return "key revoke --print takes nothing else: it only shows the certificate"
    if action == "recovery" and args.kit_passphrase_file and not args.file:
        return "--kit-passphrase-file belongs to --file"
    return ""


def _audit_problem(args: Any) -> str:
    """Say which of ``audit``'s arguments do not belong together."""
    if args.action == "export" and args.file is None:
        return "audit export needs a FILE to write"
    if args.action == "show" and args.file is not None:
        return "audit show takes no FILE; audit verify FILE checks an exported log"
    if args.action != "show" and (args.limit or args.kind):
        return f"audit {args.action} has no --limit and no --kind"
    if args.peer and not (args.action == "verify" and args.file):
        return "--peer belongs to audit verify FILE"
    return ""


def _init_problem(args: Any) -> str:
    """Say which of ``init``'s arguments do not belong together."""
    words, file = args.recover or args.words_file, args.recovery_file
    if words and file:
        return "an identity comes back by its words or by its file, not by both"
    if args.kit_passphrase_file and not file:
        return "--kit-passphrase-file belongs to --recovery-file"
    return "" if args.name or file else "the following arguments are required: --name"


def _verify_problem(args: Any) -> str:
    """Say which of ``verify``'s options exclude each other."""
    ways = (args.number is not None) + (args.secret_file is not None) + args.qr + args.new_tries
    return "verify takes one of --number, --secret-file, --qr and --new-tries" if ways > 1 else ""


_positive.__name__ = "whole number from 1 on"
_seconds.__name__ = "number of seconds up to a day"

_CONTACT: Final = Argument("contact", "its name here, or its peer id", metavar="CONTACT")
_KIT_PASSPHRASE: Final = Argument(
    "--kit-passphrase-file",
    "read the recovery file's own passphrase from FILE",
    metavar="FILE",
)
_SPAN: Final = (
    Argument("--since", "only from this day on", metavar="YYYY-MM-DD"),
    Argument("--until", "only up to this day", metavar="YYYY-MM-DD"),
)
_JSON: Final = Argument("--json", "print JSON, one object a line", action="store_true")

PROFILE_OPTIONS: Final = (
    Argument(
        "--profile",
        "a profile's name, or its folder if that has a path separator",
        metavar="NAME|DIR",
    ),
    Argument(
        "--passphrase-file",
        "read the passphrase from FILE; - is the first line of stdin",
        metavar="FILE",
    ),
)
"""Before or after the command."""

COMMANDS: Final = (
    Command(
        "demo",
        "show on this computer, with two throw-away peers, what p2pchat does",
        _JSON,
        opens_profile=False,
    ),
    Command(
        "init",
        "make your identity",
        Argument("--name", "what your contacts see", metavar="NAME"),
        Argument(
            "--recover",
            "bring back an identity by the 24 words of its recovery kit, which are asked for",
            action="store_true",
        ),
        Argument("--words-file", "read them from FILE; - is stdin", metavar="FILE"),
        Argument("--recovery-file", "bring it back by its recovery file", metavar="FILE"),
        _KIT_PASSPHRASE,
        Argument(
            "--keychain", "keep the profile's key in the system's keychain", action="store_true"
        ),
        Argument(
            "--print-revocation",
            "show the revocation certificate as well, to be kept on paper",
            action="store_true",
        ),
        problem=_init_problem,
    ),
    Command(
        "whoami",
        "show your name, peer id and contact link",
        _JSON,
        Argument("--qr", "show the link as a QR code as well", action="store_true"),
    ),
    Command(
        "add",
        "add a contact by its link",
        Argument("link", "what the other person's whoami shows", metavar="LINK"),
        Argument("--name", "what to call the contact here", metavar="NAME"),
        Argument("--note", "what the contact reads with your request", metavar="TEXT", default=""),
    ),
    Command("contacts", "list your contacts", _JSON),
    Command("accept", "accept a request, or a contact's new key", _CONTACT),
    Command("decline", "dismiss a request; the stranger learns nothing", _CONTACT),
    Command("keep", "keep a contact's old key after another one appeared", _CONTACT),
    Command("block", "block a contact; it learns nothing of it", _CONTACT),
    Command("remove", "remove a contact and the conversation with it", _CONTACT),
    Command(
        "verify",
        "show the safety number, or compare it; or compare a phrase that both of you know",
        _CONTACT,
        Argument("--number", "the 60 digits that the other person sees", metavar="DIGITS"),
        Argument("--qr", "show the safety number as a QR code as well", action="store_true"),
        Argument(
            "--secret-file",
            "compare the phrase in FILE; - is the first line of stdin",
            metavar="FILE",
        ),
        Argument("--new-tries", "allow phrases again after three wrong ones", action="store_true"),
        problem=_verify_problem,
    ),
    Command(
        "send",
        "queue a message",
        _CONTACT,
        Argument("text", "the message", metavar="TEXT"),
        Argument(
            "--wait",
            "return when it is delivered, or fail after so long",
            metavar="SECONDS",
            type=_seconds,
        ),
    ),
    Command(
        "record",
        "go on the record with a contact, or off it: both must agree before statements are signed",
        _CONTACT,
        Argument(
            "step",
            "propose, accept, decline or end",
            metavar="STEP",
            choices=("propose", "accept", "decline", "end"),
        ),
    ),
    Command(
        "sign",
        "sign a statement for a contact: it proves for good what you said",
        _CONTACT,
        Argument("text", "the statement", metavar="TEXT"),
    ),
    Command(
        "export-statement",
        "write a statement to a file that anybody can check",
        _CONTACT,
        Argument("message_id", "as log --json shows it", metavar="MESSAGE_ID"),
        Argument("file", "must not exist yet", metavar="FILE"),
    ),
    Command(
        "verify-statement",
        "check an exported statement; needs no profile",
        Argument("file", "what export-statement wrote", metavar="FILE"),
        opens_profile=False,
    ),
    Command(
        "log",
        "show a conversation",
        _CONTACT,
        Argument("--search", "only messages with all these words", metavar="WORDS"),
        *_SPAN,
        Argument("--limit", "the newest N (50)", metavar="N", type=_positive, default=50),
        _JSON,
    ),
    Command(
        "search",
        "find messages in all conversations",
        Argument("words", "only messages with all these words", metavar="WORDS"),
        *_SPAN,
        Argument("--limit", "the newest N (50)", metavar="N", type=_positive, default=50),
        _JSON,
    ),
    Command(
        "export",
        "write a conversation to a file, not encrypted",
        _CONTACT,
        Argument("file", "must not exist yet", metavar="FILE"),
        Argument(
            "--format",
            "text, harmless for terminals; or json, exact",
            choices=("text", "json"),
            default="text",
        ),
    ),
    Command(
        "retention",
        "show or set for how long a conversation is kept",
        _CONTACT,
        Argument(
            "--days",
            "delete what is older; 0 keeps all; default: as retention_days says",
            metavar="N|default",
        ),
    ),
    Command(
        "key",
        "look after your keys",
        Argument(
            "action",
            "status: what keys there are, how old, and what for; rotate: replace the static key "
            "now, no conversation breaks; passphrase: choose a new one; keychain: let the "
            "system's keychain unlock the profile; "
            "revoke: end your identity for good, or what a certificate names, and tell everybody; "
            "replace: make a new identity in this profile, announced to your contacts; "
            "recovery: show 24 words, or write a file, that bring your identity back",
            metavar="ACTION",
            choices=tuple(_KEY_OPTIONS),
        ),
        Argument(
            "certificate",
            "revoke: a revocation certificate, or a file with one (- is stdin)",
            metavar="CERTIFICATE",
            nargs="?",
        ),
        Argument("--print", "revoke: show your certificate, to be kept", action="store_true"),
        Argument("--file", "recovery: write a file instead", metavar="FILE"),
        _KIT_PASSPHRASE,
        Argument(
            "--yes",
            "revoke, replace: do not ask; recovery: print the words although this is no terminal",
            action="store_true",
        ),
        Argument(
            "--new-passphrase-file",
            "passphrase: read the new one from FILE instead of asking twice",
            metavar="FILE",
        ),
        _JSON,
        problem=_key_problem,
    ),
    Command(
        "node",
        "run without a screen",
        Argument(
            "--listen",
            "accept connections there; port 0 picks one; none only dials",
            metavar="HOST:PORT",
            action="append",
        ),
        Argument("--rpc", "speak JSON-RPC on standard input and output", choices=("stdio",)),
    ),
    Command("lock", "make the running node forget its keys until it is unlocked"),
    Command("unlock", "unlock the running node again"),
    Command(
        "backup",
        "make, check or restore a backup: one encrypted file",
        Argument(
            "action",
            "create: write FILE; verify: read it to its end; restore: make a profile of it",
            metavar="ACTION",
            choices=("create", "verify", "restore"),
        ),
        Argument("file", "the backup", metavar="FILE"),
        Argument(
            "--backup-passphrase-file",
            "the backup's passphrase (that of --passphrase-file)",
            metavar="FILE",
        ),
        Argument(
            "--keychain",
            "restore: keep the new profile's key in the system's keychain",
            action="store_true",
        ),
        problem=lambda args: (
            f"backup {args.action} has no --keychain"
            if args.keychain and args.action != "restore"
            else ""
        ),
    ),
    Command(
        "audit",
        "show, verify or export the log of key and trust events",
        Argument(
            "action",
            "show: print it; verify: check that nothing was deleted or changed; export: write it "
            "to a file that anybody can verify",
            metavar="ACTION",
            choices=("show", "verify", "export"),
        ),
        Argument(
            "file",
            "export: the file to write; verify: check this file, not the profile's log",
            metavar="FILE",
            nargs="?",
        ),
        Argument("--limit", "show: the newest N (50)", metavar="N", type=_positive),
        Argument("--kind", "show: only records of this kind", metavar="KIND"),
        Argument("--peer", "verify FILE: whose log it must be", metavar="PEERID"),
        _JSON,
        problem=_audit_problem,
    ),
    Command(
        "doctor",
        "say what is right and wrong with the profile, and help",
        Argument(
            "--vacuum",
            "leave no trace of what was deleted, and give its room back",
            action="store_true",
        ),
        Argument(
            "--salvage",
            "make a new profile there of what can be read of this one, which is left alone",
            metavar="DIR",
        ),
        problem=lambda args: (
            "doctor takes one of --vacuum and --salvage" if args.vacuum and args.salvage else ""
        ),
    ),
    Command(
        "interop",
        "check implementations of the protocol, this one or yours",
        Argument(
            "kind",
            "noise-vectors: check published Noise vectors; vectors: this protocol's; peer: a "
            "scripted peer that echoes; check: try another implementation and report",
            metavar="KIND",
            choices=("noise-vectors", "vectors", "peer", "check"),
        ),
        Argument(
            "target",
            "noise-vectors: files with vectors; check: where it listens",
            metavar="FILE|HOST:PORT",
            nargs="*",
        ),
        Argument("--listen", "peer, check: wait for connections there", metavar="HOST:PORT"),
        Argument("--dial", "peer: connect there, again and again", metavar="HOST:PORT"),
        Argument("--expect", "peer --dial: who must answer", metavar="PEERID"),
        Argument("--seed", "peer, check: whose keys to use (1)", metavar="TEXT"),
        Argument(
            "--patience",
            "check: leave out what takes longer (20)",
            metavar="SECONDS",
            type=_seconds,
        ),
        Argument("--check", "vectors: compare the files there", metavar="DIR"),
        Argument("--print", "vectors: print them", action="store_true"),
        Argument("--write", "vectors: write the files there", metavar="DIR"),
        _JSON,
        opens_profile=False,
        problem=_interop_problem,
    ),
    Command(
        "completion",
        "print completions for a shell",
        Argument("shell", "bash, zsh or fish", metavar="SHELL", choices=("bash", "zsh", "fish")),
        opens_profile=False,
    ),
)
