"""One process holds a profile; the kernel lets go when it dies."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from p2pchat.errors import ProfileInUseError, StoreError
from p2pchat.store.lock import ProfileLock

HOLDER = (
    "import sys, pathlib, time\n"
    "from p2pchat.store.lock import ProfileLock\n"
    "lock = ProfileLock(pathlib.Path(sys.argv[1]))\n"
    "print('held', flush=True)\n"
    "time.sleep(60)\n"
)


def test_a_second_holder_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = ProfileLock(path)
    assert path.read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ProfileInUseError, match=str(os.getpid())):
        ProfileLock(path)
    first.release()
    first.release()
    ProfileLock(path).release()
    assert path.exists()  # never deleted: two processes could lock two files of one name


def test_another_process_is_named_and_its_death_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ProfileInUseError, match=f"process {holder.pid}"):
            ProfileLock(path)
        assert path.read_text() == f"{holder.pid}\n"
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    ProfileLock(path).release()


def test_a_lock_that_is_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    """It would truncate whatever it points to."""
    target = tmp_path / "precious"
    target.write_text("precious")
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(StoreError, match="cannot open"):
        ProfileLock(tmp_path / "lock")
    assert target.read_text() == "precious"
