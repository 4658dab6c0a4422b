"""What a command is made of, and the arguments that several have.

``p2pchat --help`` must not wait, so the modules of this table import nothing but each other: plain
classes stand here for dataclasses, whose import alone costs as much as the interpreter's start.
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


def positive(text: str) -> int:
    """Take a whole number from 1 on; argparse names this function when it refuses."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def seconds(text: str) -> float:
    """Take a number of seconds from 0 to a day."""
    number = float(text)
    if not 0 <= number <= 24 * 3600:  # false for NaN as well
        raise ValueError
    return number


positive.__name__ = "whole number from 1 on"
seconds.__name__ = "number of seconds up to a day"

CONTACT: Final = Argument("contact", "its name here, or its peer id", metavar="CONTACT")
KIT_PASSPHRASE: Final = Argument(
    "--kit-passphrase-file",
    "read the recovery file's own passphrase from FILE",
    metavar="FILE",
)
SPAN: Final = (
    Argument("--since", "only from this day on", metavar="YYYY-MM-DD"),
    Argument("--until", "only up to this day", metavar="YYYY-MM-DD"),
)
JSON: Final = Argument("--json", "print JSON, one object a line", action="store_true")

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
