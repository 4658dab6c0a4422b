"""``doctor``: what is right and wrong with a profile, in plain words; and two ways to help.

Nothing is changed by looking. Exit code 0: nothing is wrong; 6: the store is damaged; 1: something
else is wrong. While a node runs, the database is the node's to look at, and is left out.
"""

from __future__ import annotations

import resource
import time
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from p2pchat.cli.exits import ExitCode
from p2pchat.cli.opening import profile_path, with_client
from p2pchat.cli.unlock import unlock_for
from p2pchat.config import load_config
from p2pchat.crypto.secret import system_rng
from p2pchat.errors import DamagedStoreError, LockedError, NoProfileError, P2PChatError, StoreError
from p2pchat.rpc.client import Client
from p2pchat.rpc.opening import is_served
from p2pchat.sanitize import clean_line
from p2pchat.store import checkup
from p2pchat.store.connection import require_cipher
from p2pchat.store.keyfile import Method
from p2pchat.store.profile import Profile

_LINE_MAX_CHARS: Final = 400


class _Findings:
    """Prints each look's result as it comes, and remembers the worst."""

    def __init__(self) -> None:
        self.code = ExitCode.DONE

    def look(self, what: str, check: Callable[[], str]) -> None:
        """Run a look; what it returns is said, what it raises is wrong."""
        try:
            said = check()
        except LockedError as error:
            self._say("-", what, f"not looked at: {error}")
        except DamagedStoreError as error:
            self.code = ExitCode.DAMAGED
            self._say("✗", what, str(error))
        except (P2PChatError, OSError) as error:
            self.code = max(self.code, ExitCode.FAILED)
            self._say("✗", what, str(error))
        else:
            self._say("✓", what, said)

    def _say(self, mark: str, what: str, text: str) -> None:
        print(f"{mark} {what}: {clean_line(text, _LINE_MAX_CHARS)}")


def run(args: Namespace) -> int:
    """Look, or help."""
    if args.vacuum:
        return _vacuum(args)
    if args.salvage is not None:
        return _salvage(args)
    return _examine(args)


def _examine(args: Namespace) -> int:
    path = profile_path(args)
    if not path.exists():
        raise NoProfileError(f"there is no profile in {path} yet; make one: p2pchat init")
    profile, now_ms = Profile(path), time.time_ns() // 1_000_000
    findings = _Findings()
    findings.look("folder", _passed(partial(checkup.folder, profile), f"{path}, yours alone"))
    findings.look("disk", lambda: f"{checkup.room(path) >> 20} MB free")
    findings.look("clock", _passed(partial(checkup.clock, profile, now_ms), "not behind"))
    findings.look("cipher", _passed(require_cipher, "ChaCha20-Poly1305 is there"))
    findings.look("core dumps", _core_dumps)
    findings.look("settings", _passed(partial(load_config, profile.config), "config.toml is fine"))
    findings.look("key file", lambda: _key_file(profile))
    served = is_served(path)
    findings.look("node", lambda: "runs" if served else "none runs")
    if served:
        findings.look("database", lambda: "in use by the node; stop it to have each page read")
    else:
        findings.look("database", lambda: _database(args, profile, now_ms))
    if findings.code is ExitCode.DAMAGED:
        print("To save what can be read: p2pchat doctor --salvage DIR, or restore a backup.")
    return findings.code


def _passed(check: Callable[[], object], words: str) -> Callable[[], str]:
    """Return a look that says ``words`` if ``check`` raises nothing."""

    def look() -> str:
        check()
        return words

    return look


def _core_dumps() -> str:
    if resource.getrlimit(resource.RLIMIT_CORE)[0] != 0:
        raise StoreError("a crash would write keys and messages into a core file: ulimit -c 0")
    return "off"


def _key_file(profile: Profile) -> str:
    key_file = checkup.files(profile)
    if key_file.method is Method.KEYCHAIN:
        from p2pchat.store.keychain import SystemKeychain  # asks other programs

        SystemKeychain().get(key_file.keychain_entry).wipe()
        return "whole; the system's keychain unlocks it"
    return "whole; a passphrase unlocks it"


def _database(args: Namespace, profile: Profile, now_ms: int) -> str:
    unlock = unlock_for(profile.path, args.passphrase_file)
    contacts, messages = checkup.database(profile, unlock, now_ms)
    return f"whole; {contacts} contacts, {messages} messages"


def _vacuum(args: Namespace) -> int:
    async def work(client: Client) -> dict[str, Any]:
        shrunk: dict[str, Any] = await client.call("history.shrink")
        return shrunk

    shrunk = with_client(args, work)
    before, after = shrunk["before_bytes"], shrunk["after_bytes"]
    print(f"no trace of deleted messages is left; {before >> 10} KB before, {after >> 10} KB now")
    return 0


def _salvage(args: Namespace) -> int:
    from p2pchat.store.backup.salvage import salvage  # only who needs it

    path, folder = profile_path(args), Path(args.salvage).absolute()
    report = salvage(
        path,
        folder,
        unlock=unlock_for(path, args.passphrase_file),
        rng=system_rng,
        now_ms=time.time_ns() // 1_000_000,
    )
    contacts, messages = report.saved.get("contact", 0), report.saved.get("message", 0)
    print(f"saved {contacts} contacts and {messages} messages in {folder}")
    if report.damaged:
        print(f"not whole: {', '.join(report.damaged)}; {path} is as it was")
    if report.audit_log_begins_anew:
        print("the audit log was not whole: a new one begins, and first tells of this salvage")
    if report.ledger_begins_anew:
        print("the ledgers of the conversations were not whole: they begin anew, without findings")
    print(f"open it with: p2pchat --profile {folder}, and never run the old one beside it")
    return 0
