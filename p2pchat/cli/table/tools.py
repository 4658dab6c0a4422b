"""What helps other programs: checks of implementations, and shells."""

from __future__ import annotations

from p2pchat.cli.table.grammar import JSON, Argument, Command, seconds

TYPE_CHECKING = False  # as typing's own, without importing it
if TYPE_CHECKING:
    from typing import Any, Final


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


TOOLS: Final = (
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
            type=seconds,
        ),
        Argument("--check", "vectors: compare the files there", metavar="DIR"),
        Argument("--print", "vectors: print them", action="store_true"),
        Argument("--write", "vectors: write the files there", metavar="DIR"),
        JSON,
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
