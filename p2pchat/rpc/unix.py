"""The profile's Unix socket: bind it privately, connect to it, whatever the path's length.

Only the process that holds the profile's lock binds, so a socket file that is there already is a
dead process's and is replaced. The socket is created 0600 inside a 0700 folder: being able to
connect is the permission.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from p2pchat.errors import StoreError

PATH_MAX_BYTES: Final = 107
"""``sun_path`` holds 108 bytes with the terminating zero on Linux."""
BACKLOG: Final = 64
"""Clients that connect at the same instant."""


@contextlib.contextmanager
def _bindable(path: Path) -> Iterator[str]:
    """Yield a name for ``path`` that fits into a socket address.

    Raises:
        StoreError: The path is too long and the system has no ``/proc`` to shorten it.
    """
    if len(os.fsencode(path)) <= PATH_MAX_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        short = Path(f"/proc/self/fd/{folder}")
        if not short.is_dir():
            raise StoreError(
                f"the path {path} is too long for a socket; use a folder with a shorter path"
            )
        yield str(short / path.name)
    finally:
        os.close(folder)


def bind(path: Path) -> socket.socket:
    """Return a listening socket at ``path``, mode 0600; replaces a dead process's.

    Raises:
        StoreError: Something that is no socket lies there, or the path cannot be used.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        # The umask belongs to the whole process; what another thread creates meanwhile is
        # narrower than it asked for, never wider, and a chmod afterwards would leave a gap.
        before = os.umask(0o177)
        try:
            with _bindable(path) as name:
                listener.bind(name)
        finally:
            os.umask(before)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise StoreError(f"cannot listen on {path}: {error.strerror}") from error
    except StoreError:
        listener.close()
        raise
    return listener


def unbind(path: Path) -> None:
    """Remove the socket file; to be called while the profile is still held."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def connect(path: Path) -> socket.socket | None:
    """Return a connected socket, or None if nobody listens at ``path``.

    Raises:
        StoreError: It is there but may not be used.
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _bindable(path) as name:
            client.connect(name)
        client.setblocking(False)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        client.close()
        return None
    except OSError as error:
        client.close()
        raise StoreError(f"cannot connect to {path}: {error.strerror}") from error
    except StoreError:
        client.close()
        raise
    return client


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StoreError(f"{path} is in the way: it is no socket; move it elsewhere")
    path.unlink()
