"""From arguments to an exit code: parse, run, and turn every failure into one line on stderr.

A traceback is a bug, and Ctrl+C and a closed pipe are no failures. Each command is imported when
it is chosen; ``--help`` imports the parser and nothing else.
"""

from __future__ import annotations

import os
import sys

from p2pchat.cli.parser import build_parser

TYPE_CHECKING = False  # as typing's own, without importing it
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from typing import Final

INTERRUPTED: Final = 130
"""As a shell reports a process that Ctrl+C ended."""
_FILES: Final = (
    "profile",
    "passphrase_file",
    "new_passphrase_file",
    "file",
    "salvage",
    "backup_passphrase_file",
    "kit_passphrase_file",
    "recovery_file",
    "words_file",
)
BROKEN_PIPE: Final = 141
"""As a shell reports a process that wrote to nobody."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Without the program's name; the process's own by default.

    Returns:
        An exit code as interface.md lists them.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter shows "?": that is no reason to fail.
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        try:
            args = build_parser().parse_args(argv)
            _require_text(args)
            code = _run(args)
        except SystemExit:  # argparse's, after --help and --version
            code = 0
        except BaseExceptionGroup as group:
            raise _first_leaf(group) from None
        if sys.stdout is not None:
            sys.stdout.flush()  # a closed pipe shows here, not in the interpreter's last breath
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered goes nowhere, so that nobody complains about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001  # the last border: a traceback is never shown
        # Imported only now, as the errors themselves: a command that succeeds needs neither.
        from p2pchat.cli.exits import report

        line, code = report(error)
        print(line, file=sys.stderr)
    return code


def _run(args: Namespace) -> int:
    # Imports in the branches: each costs time that the others should not pay.
    if args.command not in ("completion", "interop"):
        from p2pchat.store.process import protect_process

        protect_process()
    match args.command:
        case None:
            from p2pchat.cli.app_command import run_app

            return run_app(args)
        case "init" | "whoami":
            from p2pchat.cli import identity_commands

            return identity_commands.run(args)
        case "verify":
            from p2pchat.cli import verify_command

            return verify_command.run(args)
        case "add" | "contacts" | "accept" | "decline" | "keep" | "block" | "remove":
            from p2pchat.cli import contact_commands

            return contact_commands.run(args)
        case "record" | "sign" | "export-statement" | "verify-statement":
            from p2pchat.cli import statement_commands

            return statement_commands.run(args)
        case "send" | "log":
            from p2pchat.cli import message_commands

            return message_commands.run(args)
        case "search" | "export" | "retention":
            from p2pchat.cli import history_commands

            return history_commands.run(args)
        case "doctor":
            from p2pchat.cli import doctor_command

            return doctor_command.run(args)
        case "key":
            from p2pchat.cli import key_commands

            return key_commands.run(args)
        case "backup":
            from p2pchat.cli import backup_commands

            return backup_commands.run(args)
        case "node":
            from p2pchat.cli.node_command import run_node

            return run_node(args)
        case "lock" | "unlock":
            from p2pchat.cli import lock_commands

            return lock_commands.run(args)
        case "demo":
            from p2pchat.cli.demo import run_demo

            return run_demo(as_json=args.json)
        case "audit":
            from p2pchat.cli import audit_commands

            return audit_commands.run(args)
        case "interop":
            from p2pchat.interop import command

            return command.run(args, lambda line: print(line, flush=True))
        case "completion":
            from p2pchat.cli.completion import script

            print(script(args.shell), end="")
            return 0
        case unknown:
            raise AssertionError(unknown)  # argparse let only known ones pass


def _require_text(args: Namespace) -> None:
    """Refuse words that are not text; files and folders may have any bytes in their names."""
    for name, value in vars(args).items():
        if isinstance(value, str) and name not in _FILES:
            try:
                value.encode()
            except UnicodeEncodeError:
                from p2pchat.errors import UsageError  # most runs need no errors

                raise UsageError(f"'{name}' is not text in this terminal's encoding") from None


def _first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what went wrong inside task groups; several at once have one cause as a rule."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
