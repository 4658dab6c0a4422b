"""The recovery kit on the command line: made by ``key recovery``, used by ``init --recover``.

The words and the kit's passphrase never come from the command line or the environment, and never
go through a running node's socket. On a terminal the words are shown on its other screen, which
leaves nothing behind to scroll back to.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Final

from p2pchat.cli.opening import open_alone
from p2pchat.cli.unlock import read_passphrase
from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.errors import LockedError, StoreError, UsageError
from p2pchat.identity.keys import key_id
from p2pchat.store import recovery
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.open import OpenProfile
from p2pchat.store.recovery import Kit

WORDS_MAX_BYTES: Final = 1024
"""24 words of at most 8 letters, and much white space."""
_COLUMNS: Final = 4
_OTHER_SCREEN: Final = ("\x1b[?1049h\x1b[2J\x1b[H", "\x1b[2J\x1b[?1049l")


def make(args: Namespace) -> int:
    """Run ``key recovery``: show the words, or write the file."""
    if not args.file and not args.yes and not sys.stdout.isatty():
        raise UsageError(
            "the words are your identity and are shown in a terminal only; --yes prints them "
            "anyway, --file FILE writes an encrypted file"
        )
    with open_alone(args) as profile:
        kit = Kit(profile.identity.signing_seed, profile.identity.name)
        if args.file:
            passphrase = _new_passphrase(args.kit_passphrase_file)
            _write(Path(args.file), recovery.seal(kit, passphrase, rng=system_rng))
        _note(profile, "file" if args.file else "words")
    if args.file:
        print(f"wrote the recovery kit to {args.file}; keep it away from this computer")
    else:
        _show(recovery.to_words(kit.seed))
    return 0


def read_kit(args: Namespace) -> Kit | None:
    """Return what ``init`` is to bring back, if anything; asks the person for words.

    Raises:
        UsageError: It is no kit, or the words are mistaken.
        LockedError: The kit's passphrase is wrong.
    """
    if args.recovery_file:
        encoded = _read(args.recovery_file, recovery.FILE_MAX_BYTES)
        return recovery.open_(encoded, _passphrase(args.kit_passphrase_file))
    if args.words_file:
        raw = _read(args.words_file, WORDS_MAX_BYTES)
        return Kit(recovery.from_words(raw.decode(errors="replace")), "")
    if args.recover:
        return Kit(recovery.from_words(_ask("The 24 words of your recovery kit: ")), "")
    return None


def _note(profile: OpenProfile, method: str) -> None:
    identity = ed25519.public_key(profile.identity.signing_seed)
    event = AuditEvent(
        AuditKind.RECOVERY_KIT_MADE,
        time.time_ns() // 1_000_000,
        identity,
        key_id(identity),
        {"method": method},
    )

    async def write() -> None:
        await profile.store.write(lambda tx: tx.audit(event))

    asyncio.run(write())


def _show(words: list[str]) -> None:
    cells = [f"{place:>2}. {word:<10}" for place, word in enumerate(words, 1)]
    rows = ["".join(cells[at : at + _COLUMNS]).rstrip() for at in range(0, len(cells), _COLUMNS)]
    text = "\n".join(
        (
            "Your recovery kit. Whoever has these words is you: write them on paper, in order.",
            "",
            *rows,
            "",
            "p2pchat init --recover brings your identity back with them. Messages and contacts",
            "are not in it; a backup holds those.",
        )
    )
    if not sys.stdout.isatty():
        print(text)
        return
    enter, leave = _OTHER_SCREEN
    try:
        input(f"{enter}{text}\n\nEnter clears the screen. ")
    except EOFError:
        pass
    finally:
        print(leave, end="", flush=True)


def _write(path: Path, encoded: bytes) -> None:
    """Write a kit for our eyes only; never over an existing file."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encoded)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise UsageError(f"{path} exists already; it is never overwritten") from None
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def _read(name: str, max_bytes: int) -> bytes:
    """Read a small file, or standard input for ``-``; longer ones are cut and so refused later."""
    try:
        if name == "-":
            return sys.stdin.buffer.read(max_bytes + 1)
        with Path(name).open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error


def _new_passphrase(file: str | None) -> Secret:
    passphrase = _passphrase(file)
    if file is None and _ask("The same again: ").encode() != passphrase.reveal():
        raise UsageError("the two passphrases differ; nothing was written, try again")
    return passphrase


def _passphrase(file: str | None) -> Secret:
    if file is not None:
        return read_passphrase(file)
    return Secret(_ask("The recovery file's own passphrase: ").encode())


def _ask(question: str) -> str:
    """Ask without showing what is typed."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise LockedError("there is nobody to ask; give the secret in a file")
    import getpass  # only who is asked needs it

    try:
        return getpass.getpass(question)
    except EOFError:
        raise LockedError("nothing was typed") from None
