"""Command line of the benchmarks; see the package's text."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

from tests.bench import runner

MODULES: Final = (
    "ratchet_burst",
    "ratchet_burst_hybrid",
    "ratchet_pingpong",
    "handshake_xx",
    "handshake_xxhfs",
    "store_commit",
    "million_messages",
    "node_throughput",
)
"""Benchmarks in the order in which they run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named benchmarks, or all; return 0, 1 without a peer's library, 2 for a bad name."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help="run these only")
    parser.add_argument("--json", action="store_true", help="print one JSON object a result")
    options = parser.parse_args(arguments)
    modules = [importlib.import_module(f"tests.bench.{name}") for name in MODULES]
    try:
        selected = runner.select(modules, options.names)
    except LookupError as error:
        print(f"tests.bench: {error.args[0]}", file=sys.stderr)
        return 2
    if not options.json:
        print(runner.HEADING)
    try:
        for module in selected:
            for result in runner.run_module(module):
                print(runner.as_json(result) if options.json else runner.as_row(result), flush=True)
    except ModuleNotFoundError as error:
        print(
            f"tests.bench: {error.name} is not installed; run with: uv run --locked --group bench",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
