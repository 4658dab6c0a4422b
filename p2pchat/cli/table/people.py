"""Beginning, who one is, and contacts."""

from __future__ import annotations

from p2pchat.cli.table.grammar import CONTACT, JSON, KIT_PASSPHRASE, Argument, Command

TYPE_CHECKING = False  # as typing's own, without importing it
if TYPE_CHECKING:
    from typing import Any, Final


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


PEOPLE: Final = (
    Command(
        "demo",
        "show on this computer, with two throw-away peers, what p2pchat does",
        JSON,
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
        KIT_PASSPHRASE,
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
        JSON,
        Argument("--qr", "show the link as a QR code as well", action="store_true"),
    ),
    Command(
        "add",
        "add a contact by its link",
        Argument("link", "what the other person's whoami shows", metavar="LINK"),
        Argument("--name", "what to call the contact here", metavar="NAME"),
        Argument("--note", "what the contact reads with your request", metavar="TEXT", default=""),
    ),
    Command("contacts", "list your contacts", JSON),
    Command("accept", "accept a request, or a contact's new key", CONTACT),
    Command("decline", "dismiss a request; the stranger learns nothing", CONTACT),
    Command("keep", "keep a contact's old key after another one appeared", CONTACT),
    Command("block", "block a contact; it learns nothing of it", CONTACT),
    Command("remove", "remove a contact and the conversation with it", CONTACT),
    Command(
        "verify",
        "show the safety number, or compare it; or compare a phrase that both of you know",
        CONTACT,
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
)
