"""Messages, statements, and the past."""

from __future__ import annotations

from p2pchat.cli.table.grammar import CONTACT, JSON, SPAN, Argument, Command, positive, seconds

TYPE_CHECKING = False  # as typing's own, without importing it
if TYPE_CHECKING:
    from typing import Final


MESSAGES: Final = (
    Command(
        "send",
        "queue a message",
        CONTACT,
        Argument("text", "the message", metavar="TEXT"),
        Argument(
            "--wait",
            "return when it is delivered, or fail after so long",
            metavar="SECONDS",
            type=seconds,
        ),
        Argument(
            "--expires",
            "give it up if it could not be sent within 30s, 5m, 1h, 1d or the like",
            metavar="TIME",
        ),
    ),
    Command(
        "record",
        "go on the record with a contact, or off it: both must agree before statements are signed",
        CONTACT,
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
        CONTACT,
        Argument("text", "the statement", metavar="TEXT"),
    ),
    Command(
        "export-statement",
        "write a statement to a file that anybody can check",
        CONTACT,
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
        CONTACT,
        Argument("--search", "only messages with all these words", metavar="WORDS"),
        *SPAN,
        Argument("--limit", "the newest N (50)", metavar="N", type=positive, default=50),
        JSON,
    ),
    Command(
        "search",
        "find messages in all conversations",
        Argument("words", "only messages with all these words", metavar="WORDS"),
        *SPAN,
        Argument("--limit", "the newest N (50)", metavar="N", type=positive, default=50),
        JSON,
    ),
    Command(
        "export",
        "write a conversation to a file, not encrypted",
        CONTACT,
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
        CONTACT,
        Argument(
            "--days",
            "delete what is older; 0 keeps all; default: as retention_days says",
            metavar="N|default",
        ),
    ),
)
