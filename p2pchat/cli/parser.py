"""The argument parser, built from ``commands`` (interface.md, "Command line").

``--profile`` and ``--passphrase-file`` may stand before or after the command: both parsers have
them, and the inner one sets nothing where nothing was said. A usage error is one line and exits
with 2; names are never completed by guessing, so that a later option changes no script.

A command's parser is made when it is chosen, and the terminal's width is asked of the system
directly: together that halves what ``--help`` adds to argparse itself.
"""

from __future__ import annotations

import argparse
import os
import sys

from p2pchat import __version__
from p2pchat.cli.commands import COMMANDS
from p2pchat.cli.table.grammar import PROFILE_OPTIONS, Argument, Command

TYPE_CHECKING = False  # as typing's own, without importing it
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final, NoReturn

HELP_MAX_COLUMNS: Final = 100
"""Longer lines are hard to read."""

_DESCRIPTION = (
    "Two people chat directly, computer to computer, end-to-end encrypted, with no server "
    "between them. Without a command: the terminal app."
)


class _Formatter(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=_help_columns())


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of exiting."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog, description=description, formatter_class=_Formatter, allow_abbrev=False
        )

    def error(self, message: str) -> NoReturn:
        """Refuse with one line (called by argparse)."""
        from p2pchat.errors import UsageError  # most runs need no errors

        raise UsageError(f"{message}; '{self.prog} --help' shows what is possible")


class _CommandParser:
    """Stands for a command's parser until it is chosen; argparse asks nothing else of it."""

    def __init__(self, *, prog: str, command: Command) -> None:
        self._prog = prog
        self._command = command

    def parse_known_args(
        self, args: Sequence[str], namespace: argparse.Namespace | None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Make the parser and parse (called by argparse)."""
        parser = _Parser(self._prog, self._command.help)
        for argument in self._command.arguments:
            _add(parser, argument)
        for option in PROFILE_OPTIONS if self._command.opens_profile else ():
            _add(parser, option, default=argparse.SUPPRESS)
        parsed, rest = parser.parse_known_args(args, namespace)
        if self._command.problem is not None and (problem := self._command.problem(parsed)):
            parser.error(problem)
        return parsed, rest


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; its ``parse_args`` raises UsageError where argparse would exit."""
    parser = _Parser("p2pchat", _DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"p2pchat {__version__}")
    for option in PROFILE_OPTIONS:
        _add(parser, option)
    commands = parser.add_subparsers(
        dest="command",
        metavar="COMMAND",
        title="commands",
        prog="p2pchat",  # else argparse formats a usage line to learn its own name
        parser_class=_CommandParser,  # type: ignore[type-var]  # needs one method only
    )
    for command in COMMANDS:
        commands.add_parser(command.name, help=command.help, command=command)
    return parser


def _add(parser: argparse.ArgumentParser, argument: Argument, **more: Any) -> None:
    parser.add_argument(argument.name, help=argument.help, **argument.settings, **more)


def _help_columns() -> int:
    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError, AttributeError):
        columns = 0  # no terminal
    return min(columns or 80, HELP_MAX_COLUMNS) - 2
