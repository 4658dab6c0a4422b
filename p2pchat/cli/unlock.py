"""Where the passphrase comes from: a file, standard input, a program, a prompt, or the keychain.

A passphrase never comes from the command line or the environment, where other programs read it.
It is bytes: of a file everything but one line end, of standard input the first line, so that
``node --rpc stdio`` can go on reading requests behind it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from p2pchat.crypto.secret import Secret
from p2pchat.errors import LockedError, UsageError
from p2pchat.store.keyfile import Method, read
from p2pchat.store.open import KeychainUnlock, PassphraseUnlock, Unlock, profile_exists
from p2pchat.store.profile import Profile
from p2pchat.store.unlocking import PASSPHRASE_MAX_BYTES

STDIN: Final = "-"
"""In place of a file's name."""
_HOW: Final = "give --passphrase-file FILE (- is stdin), or run p2pchat in a terminal"


def unlock_for(path: Path, passphrase_file: str | None) -> Unlock:
    """Return what opens the existing profile at ``path``; asks the person if need be.

    Raises:
        NoProfileError: There is none to open; nobody is asked then.
        LockedError: No passphrase is to be had.
    """
    if passphrase_file is not None:
        return PassphraseUnlock(read_passphrase(passphrase_file))
    if not profile_exists(path):
        # Opening says what is wrong in its own words; there is nothing to type for that.
        return PassphraseUnlock(Secret(b""))
    if not is_opened_by_passphrase(path):
        return KeychainUnlock()
    if (given := configured_passphrase(path)) is not None:
        return PassphraseUnlock(given)
    if not _has_terminal():
        raise LockedError(f"the profile is locked; {_HOW}")
    return PassphraseUnlock(_prompt(f"Passphrase of {path.name}: "))


def is_opened_by_passphrase(path: Path) -> bool:
    """Tell whether there is a profile at ``path`` and a passphrase unlocks it."""
    return profile_exists(path) and read(Profile(path).key).method is Method.PASSPHRASE


def configured_passphrase(path: Path) -> Secret | None:
    """Return what the setting ``passphrase_command`` yields; None if it is not set.

    Raises:
        UsageError: The settings cannot be read.
        LockedError: The program gives no passphrase.
    """
    from p2pchat.config import load_config  # only who needs a passphrase pays for TOML

    command = load_config(Profile(path).config).passphrase_command
    if not command:
        return None
    from p2pchat.cli.passphrase_command import run_passphrase_command

    return run_passphrase_command(command)


def new_unlock(passphrase_file: str | None, *, keychain: bool) -> Unlock:
    """Return what a new profile is to be unlocked by; a typed passphrase is asked for twice.

    Raises:
        UsageError: It is empty, the two differ, or both a file and the keychain were named.
        LockedError: No passphrase is to be had.
    """
    if keychain:
        if passphrase_file is not None:
            raise UsageError("--keychain and --passphrase-file exclude each other")
        return KeychainUnlock()
    if passphrase_file is not None:
        passphrase = read_passphrase(passphrase_file)
    elif _has_terminal():
        return PassphraseUnlock(new_passphrase("New passphrase: "))
    else:
        raise LockedError(f"a new profile needs a passphrase; {_HOW}, or give --keychain")
    if not len(passphrase):
        raise UsageError("the passphrase is empty; give one of several words")
    return PassphraseUnlock(passphrase)


def new_passphrase(question: str) -> Secret:
    """Ask for a passphrase twice.

    Raises:
        UsageError: It is empty, or the two differ.
        LockedError: There is no terminal to ask at.
    """
    passphrase = asked_passphrase(question)
    if not len(passphrase):
        raise UsageError("the passphrase is empty; give one of several words")
    if _prompt("The same again: ") != passphrase:
        raise UsageError("the two passphrases differ; nothing was made, try again")
    return passphrase


def asked_passphrase(question: str) -> Secret:
    """Ask for a passphrase once.

    Raises:
        LockedError: There is no terminal to ask at.
    """
    if not _has_terminal():
        raise LockedError(f"a passphrase is needed; {_HOW}")
    return _prompt(question)


def read_passphrase(name: str) -> Secret:
    """Read a passphrase from the file ``name``, or the first line of standard input for ``-``.

    Raises:
        LockedError: It cannot be read, or is too long to be one.
    """
    try:
        content = _first_line() if name == STDIN else _content(Path(name))
    except OSError as error:
        raise LockedError(f"cannot read the passphrase from {name}: {error.strerror}") from error
    content = content.removesuffix(b"\n").removesuffix(b"\r")
    if len(content) > PASSPHRASE_MAX_BYTES:
        raise LockedError(
            f"{name} holds more than {PASSPHRASE_MAX_BYTES} bytes; that is no passphrase file"
        )
    return Secret(content)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(PASSPHRASE_MAX_BYTES + 2)  # and its line end


def _first_line() -> bytes:
    """Read up to the first newline and not a byte more: the rest belongs to another reader."""
    line = bytearray()
    while len(line) <= PASSPHRASE_MAX_BYTES + 1:
        byte = os.read(0, 1)
        line += byte
        if byte in (b"", b"\n"):
            break
    return bytes(line)


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _prompt(question: str) -> Secret:
    import getpass  # only who is asked needs it

    try:
        # Bytes that the terminal's encoding could not read come back as they were typed.
        return Secret(getpass.getpass(question).encode("utf-8", "surrogateescape"))
    except EOFError:
        raise LockedError("no passphrase was given") from None
