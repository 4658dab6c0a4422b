"""``backup``: make, check and restore one encrypted file that holds a profile.

The file has a passphrase of its own: ``--backup-passphrase-file``, or else that of
``--passphrase-file``, or else one that is asked for.
"""

from __future__ import annotations

import base64
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from p2pchat.cli.opening import profile_path, with_client
from p2pchat.cli.output import name_of, time_of
from p2pchat.cli.unlock import STDIN, asked_passphrase, new_passphrase, new_unlock, read_passphrase
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.errors import ProfileExistsError, UsageError
from p2pchat.rpc.client import Client
from p2pchat.store.backup import archive


def run(args: Namespace) -> int:
    """Run the action that ``args`` names."""
    match args.action:
        case "create":
            return _create(args)
        case "verify":
            return _verify(args)
        case _:
            return _restore(args)


def _create(args: Namespace) -> int:
    path = Path(args.file).absolute()
    if path.exists():  # before anybody types a passphrase
        raise UsageError(f"{path} exists; a backup never replaces a file: choose another name")
    passphrase = _given(args) or new_passphrase("Passphrase of the backup: ")
    params = {
        "path": str(path),
        "passphrase": base64.b64encode(passphrase.reveal()).decode(),
    }

    async def work(client: Client) -> dict[str, Any]:
        made: dict[str, Any] = await client.call("backup.create", params)
        return made

    made = with_client(args, work)
    print(f"wrote {path}: {_inside(made['contacts'], made['messages'])}")
    print("without its passphrase nobody can read it, and nobody can restore it either")
    return 0


def _verify(args: Namespace) -> int:
    path = Path(args.file)
    found = archive.verify(path, _given(args) or asked_passphrase("Passphrase of the backup: "))
    print(
        f"whole: a backup of {name_of(found.name)} made {time_of(found.made_at_ms)} with "
        f"{_inside(found.contacts, found.messages)}"
    )
    print(f"peer id {found.peer_id}")
    return 0


def _restore(args: Namespace) -> int:
    from p2pchat.store.open import profile_exists  # the other actions may find a running node

    folder = profile_path(args)
    if profile_exists(folder):
        raise ProfileExistsError(
            f"there is a profile in {folder} already; it is never overwritten. Another one: "
            "p2pchat --profile NAME backup restore FILE"
        )
    passphrase = _given(args) or asked_passphrase("Passphrase of the backup: ")
    found = archive.verify(Path(args.file), passphrase)  # before a new passphrase is typed
    archive.restore(
        Path(args.file),
        passphrase,
        folder,
        unlock=new_unlock(args.passphrase_file, keychain=args.keychain),
        rng=system_rng,
        now_ms=time.time_ns() // 1_000_000,
    ).close()
    print(f"restored {name_of(found.name)} in {folder}: {_inside(found.contacts, found.messages)}")
    print("sessions begin anew at the next connection; never run the old profile beside this one")
    return 0


def _given(args: Namespace) -> Secret | None:
    own, profiles = args.backup_passphrase_file, args.passphrase_file
    if profiles == STDIN and own in (None, STDIN):
        raise UsageError(
            "standard input holds the profile's passphrase: give --backup-passphrase-file FILE"
        )
    file = own or profiles
    return None if file is None else read_passphrase(file)


def _inside(contacts: int, messages: int) -> str:
    return (
        f"{contacts} {'contact' if contacts == 1 else 'contacts'}, "
        f"{messages} {'message' if messages == 1 else 'messages'}"
    )
