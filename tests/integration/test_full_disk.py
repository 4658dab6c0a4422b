"""Disks that refuse: full for real, mounted read-only, or not ours to write to any more.

Each time the person is told in one line, nothing that was confirmed is lost, and once the cause
is gone the work goes on by itself. The disks are small file systems in memory, made here; that
needs root. What a failing sector does is shown in tests/unit/store/test_faulty_disk.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2pchat.errors import P2PChatError
from p2pchat.rpc.protocol import RpcError
from tests.support.cli_world import Profile, command
from tests.support.talkers import (
    Talker,
    end_both,
    kill_all,
    nothing_lost_doubled_or_reordered,
    start_both,
)

pytestmark = pytest.mark.slow

LIMIT_S = 60.0
DISK_BYTES = 2 << 20
NO_OVERRIDE = "-dac_override,-dac_read_search"
# Root may write whatever the modes say; without these two powers it may not.
BOUND = (
    ("setpriv", f"--inh-caps={NO_OVERRIDE}", f"--bounding-set={NO_OVERRIDE}")
    if os.geteuid() == 0
    else ()
)


bindable = pytest.mark.skipif(
    bool(BOUND) and shutil.which("setpriv") is None, reason="root obeys modes only by setpriv"
)
NODE = ("node", "--listen", "127.0.0.1:0")


class Disk:
    """A small file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, leave: int = 0) -> None:
        """Use up all the room but for so many bytes."""
        with self._filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        with self._filler.open("r+b") as file:
            file.truncate(max(0, self._filler.stat().st_size - leave))

    def make_room(self) -> None:
        self._filler.unlink()

    def remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "p2pchat-test", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"this machine mounts no file system for us: {made.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


async def until_refused(side: Talker, to: Talker) -> str:
    """Send until the node refuses; what the log has room for is still taken."""
    for _ in range(DISK_BYTES // 1000):
        try:
            await side.say(to)
        except RpcError as error:
            return str(error)
    raise AssertionError("the disk is not full")


@pytest.mark.parametrize("leave", [0, 4096, 50_000, 200_000])
async def test_a_full_disk_is_told_and_loses_nothing(
    tmp_path: Path, disk: Disk, leave: int
) -> None:
    alice = Talker(Profile.quick(tmp_path, "alice"))
    bob = Talker(Profile.quick(disk.path, "bob"))
    try:
        async with asyncio.timeout(LIMIT_S):
            await start_both(alice, bob)
            for side, other in ((alice, bob), (bob, alice)):
                await side.say(other, 20)
                await side.all_delivered(other, LIMIT_S)
            disk.fill(leave)
            assert "the disk is full" in await until_refused(bob, alice)
            await alice.say(bob, 50)  # Bob has nowhere to put them, and so does not confirm them
            while "the disk is full" not in await bob.offline_reason(alice):  # noqa: ASYNC110  # told on demand
                await asyncio.sleep(0.05)
            assert "the disk is full" in await until_refused(bob, alice)
            last = [entry for entry in await alice.history(bob) if entry["direction"] == "out"][-1]
            assert last["state"] in ("queued", "sent")
            await bob.process.kill()
            with contextlib.suppress(P2PChatError):  # it may or may not start without room
                await bob.start()
                await bob.process.kill()
            assert "Traceback" not in bob.process.complaint
            disk.make_room()
            await bob.start()
            for side, other in ((alice, bob), (bob, alice)):
                await side.online(other)
                await side.say(other, 20)
                await side.all_delivered(other, LIMIT_S)
            assert await nothing_lost_doubled_or_reordered(alice, bob) == 90
            assert await nothing_lost_doubled_or_reordered(bob, alice) >= 40
            await end_both(alice, bob)
    finally:
        await kill_all(alice, bob)


async def test_a_disk_that_has_room_again_needs_no_restart(tmp_path: Path, disk: Disk) -> None:
    alice = Talker(Profile.quick(tmp_path, "alice"))
    bob = Talker(Profile.quick(disk.path, "bob"))
    try:
        async with asyncio.timeout(LIMIT_S):
            await start_both(alice, bob)
            for _ in range(3):
                disk.fill()
                await until_refused(bob, alice)
                await alice.say(bob, 50)
                while "the disk is full" not in await bob.offline_reason(alice):  # noqa: ASYNC110  # told on demand
                    await asyncio.sleep(0.05)
                disk.make_room()
                for side, other in ((alice, bob), (bob, alice)):
                    await side.say(other)
                    await side.all_delivered(other, LIMIT_S)
            assert await nothing_lost_doubled_or_reordered(alice, bob) == 153
            await nothing_lost_doubled_or_reordered(bob, alice)
            await end_both(alice, bob)
    finally:
        await kill_all(alice, bob)


def complaint(profile: Profile, *arguments: str, bound: bool = False) -> str:
    """Run a command that has to fail; return its one line, with what a node may log left out."""
    result = subprocess.run(
        [*(BOUND if bound else ()), *command(*profile.options, *arguments)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert result.returncode == 1, result
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert result.stdout == ""
    assert line.startswith("p2pchat: ")
    assert "internal error" not in line
    return line


@pytest.mark.parametrize("leave", [20_000, 180_000])
def test_no_half_profile_is_made_on_a_full_disk(disk: Disk, leave: int) -> None:
    profile = Profile(disk.path, "bob")
    disk.fill(leave)
    words = complaint(profile, "init", "--name", "Bob")
    assert "the disk is full" in words or "No space left on device" in words
    assert "no profile" in complaint(profile, "whoami")
    disk.make_room()
    profile.run("init", "--name", "Bob")
    assert profile.json("whoami")[0]["name"] == "Bob"


def test_a_read_only_disk_is_told_and_loses_nothing(disk: Disk) -> None:
    profile = Profile.quick(disk.path, "bob")
    disk.remount("ro")
    for arguments in (("whoami",), ("contacts",), NODE):
        assert "read-only" in complaint(profile, *arguments).lower()
    disk.remount("rw")
    assert profile.json("whoami")[0]["name"] == "bob"


@pytest.fixture
def changed(tmp_path: Path) -> Iterator[tuple[Profile, Callable[[str, int], None]]]:
    """A profile, and how to change the mode of a file in it until the test is over."""
    profile = Profile.quick(tmp_path, "bob")
    before: dict[Path, int] = {}

    def change(name: str, mode: int) -> None:
        before[profile.path / name] = (profile.path / name).stat().st_mode
        (profile.path / name).chmod(mode)

    yield profile, change
    for file, mode in before.items():
        file.chmod(mode)
    assert profile.json("whoami")[0]["name"] == "bob"  # nothing is lost


@bindable
@pytest.mark.parametrize("name", ["chat.db", "key", "lock"])
def test_a_file_that_cannot_be_read_is_named(
    changed: tuple[Profile, Callable[[str, int], None]], name: str
) -> None:
    profile, change = changed
    change(name, 0)
    for arguments in (("whoami",), NODE):
        words = complaint(profile, *arguments, bound=True)
        assert "ermission denied" in words
        assert str(profile.path / name) in words


@bindable
def test_a_database_that_cannot_be_written_serves_readers_and_no_node(
    changed: tuple[Profile, Callable[[str, int], None]],
) -> None:
    profile, change = changed
    change("chat.db", 0o400)
    assert "cannot be written" in complaint(profile, *NODE, bound=True)
