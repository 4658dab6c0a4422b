"""The bare ``p2pchat``: the terminal app."""

from __future__ import annotations

from argparse import Namespace

from p2pchat.cli.opening import profile_path
from p2pchat.cli.unlock import configured_passphrase, is_opened_by_passphrase, read_passphrase
from p2pchat.rpc.opening import is_served
from p2pchat.tui.main import main


def run_app(args: Namespace) -> int:
    """Run the app; it asks on its own screen for what was not given."""
    path = profile_path(args)
    passphrase = None
    if args.passphrase_file is not None:
        passphrase = read_passphrase(args.passphrase_file)
    elif is_opened_by_passphrase(path) and not is_served(path):
        passphrase = configured_passphrase(path)  # before the screen is the app's
    return main(path, passphrase=passphrase)
