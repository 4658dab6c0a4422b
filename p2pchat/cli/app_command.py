"""The bare ``p2pchat``: the terminal app."""

from __future__ import annotations

from argparse import Namespace

from p2pchat.cli.opening import profile_path
from p2pchat.cli.unlock import read_passphrase
from p2pchat.tui.app import main


def run_app(args: Namespace) -> int:
    """Run the app; it asks on its own screen for what was not given."""
    path = profile_path(args)
    given = args.passphrase_file
    return main(path, passphrase=None if given is None else read_passphrase(given))
