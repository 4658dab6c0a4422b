"""The setting ``passphrase_command``: another program, such as a password manager, knows it.

The program is run as it is listed, by no shell, with what the person's own terminal gives it
except standard input. The first line that it prints is the passphrase; what it prints to standard
error the person sees. Time and size are bounded, and a failure of it is a failure.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from typing import Final

from p2pchat.crypto.secret import Secret
from p2pchat.errors import LockedError
from p2pchat.store.unlocking import PASSPHRASE_MAX_BYTES

PATIENCE_S: Final = 120.0
"""It may ask the person for something; one that takes longer hangs."""
OUTPUT_MAX_BYTES: Final = 1 << 16
"""Notes may follow the first line; more than this is another program's output."""
_LOOK_S: Final = 0.05
"""Between two looks whether it has ended."""


def run_passphrase_command(argv: Sequence[str], *, patience_s: float = PATIENCE_S) -> Secret:
    """Run the program and return the first line of its output.

    Args:
        argv: Program and arguments; at least one.
        patience_s: It is ended when it takes longer.

    Raises:
        LockedError: It cannot be started, fails, takes too long, or prints no passphrase.
    """
    name = f"passphrase_command ({argv[0]})"
    try:
        process = subprocess.Popen(  # noqa: S603  # the person's own setting, and no shell
            list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in a word
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise LockedError(f"{name} cannot be started: {reason}") from error
    with process:
        try:
            output = _output(process, time.monotonic() + patience_s)
        except TimeoutError:
            raise LockedError(f"{name} did not end within {patience_s:g} s") from None
        finally:
            process.kill()  # harmless when it has ended; who waits for it would wait for ever
    if len(output) > OUTPUT_MAX_BYTES:
        raise LockedError(f"{name} printed more than {OUTPUT_MAX_BYTES} bytes")
    code = process.returncode
    if code:
        raise LockedError(f"{name} failed with exit code {code}")
    passphrase = output.partition(b"\n")[0].removesuffix(b"\r")
    if len(passphrase) > PASSPHRASE_MAX_BYTES:
        raise LockedError(f"{name} printed a line of more than {PASSPHRASE_MAX_BYTES} bytes")
    if not passphrase:
        raise LockedError(f"{name} printed no passphrase")
    return Secret(passphrase)


def _output(process: subprocess.Popen[bytes], until: float) -> bytes:
    """Return what the program prints until it ends, or a little more than is allowed.

    Raises:
        TimeoutError: It has not ended at ``until``.
    """
    assert process.stdout is not None  # noqa: S101  # we asked for a pipe
    output = b""
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while len(output) <= OUTPUT_MAX_BYTES:
            if time.monotonic() >= until:
                raise TimeoutError
            ended = process.poll() is not None
            if ready.select(0 if ended else _LOOK_S):
                chunk = os.read(process.stdout.fileno(), OUTPUT_MAX_BYTES)
                output += chunk
                if chunk:
                    continue
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_LOOK_S)  # nothing more will come; it ends any moment
            if ended:  # what it left running in the background may hold the pipe, and is not asked
                break
    return output
