"""The terminal app on the real terminal: what it is run with, and what it says afterwards."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from p2pchat.config import load_config
from p2pchat.crypto.secret import Secret
from p2pchat.errors import UsageError
from p2pchat.store.profile import Profile
from p2pchat.tui import chats
from p2pchat.tui.app import TerminalApp
from p2pchat.tui.host import ProfileHost
from p2pchat.tui.state import AppState
from p2pchat.tui.surface import GridOutput

LOCK_AFTER_S: Final = 900.0
"""Without a key press, unless the settings say otherwise."""


def main(
    profile: Path, *, passphrase: Secret | None = None, listen: Sequence[str] | None = None
) -> int:
    """Run the terminal app on a profile.

    Args:
        profile: Its folder; if there is no profile in it, the first-run steps make one.
        passphrase: From a file; None asks on the screen.
        listen: Addresses for a node started here; None leaves it to the settings.

    Returns:
        Exit code 0.

    Raises:
        UsageError: There is no terminal.
        P2PChatError: The profile cannot be used.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the terminal app needs a terminal; `p2pchat node` runs without one")
    lock_after_s = load_config(Profile(profile).config).lock_after_s
    app = TerminalApp(
        ProfileHost(profile, _now_ms(), listen),
        passphrase=passphrase,
        now_ms=_now_ms,
        lock_after_s=(LOCK_AFTER_S if lock_after_s is None else lock_after_s) or None,
        output=GridOutput.from_pty(sys.stdout),
    )
    asyncio.run(app.run())
    _say_goodbye(app.state)
    return 0


def _say_goodbye(state: AppState) -> None:
    """Tell what still waits, once the screen is the shell's again."""
    waiting = sum(chats.queued(chat) for chat in state.conversations.values())
    if waiting:
        word = "message waits" if waiting == 1 else "messages wait"
        print(  # noqa: T201 - the person's own terminal, after the app has left it
            f"{waiting} {word} in the queue, safe on this computer, and will be sent when p2pchat "
            "runs again."
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
