"""Two hosts and the network between them, on this machine.

Each host is a network namespace with one TAP device in it. What the kernel sends into the device
comes out at a file descriptor here, as whole Ethernet frames; ``Wire`` hands them to the other
device when they are due. The system's own emulator (tc netem) would do the same, but many kernels
lack it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import heapq
import itertools
import os
import random  # noqa: TID251 - a seeded generator makes the faults reproducible
import shutil
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TUN: Final = Path("/dev/net/tun")
_TUNSETIFF: Final = 0x400454CA
_IFF_TAP_NO_PI: Final = 0x0002 | 0x1000
_FRAME_MAX_BYTES: Final = 65536
_QUEUE_MAX_BYTES: Final = 64 << 10
"""What a slow line holds back; beyond it frames are lost, as in any router."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the path is; shares are probabilities of a frame.

    Attributes:
        cut: Nothing arrives, and nobody is told.
        loss: Lost.
        twice: Arrives twice.
        late: Overtaken by those behind it.
        delay_s: On the way, one way.
        bit_s: The line's rate; 0 is unlimited.
    """

    cut: bool = False
    loss: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    delay_s: float = 0.0
    bit_s: int = 0


LATE_S: Final = 0.03
"""By how much a late frame is later, at most."""


class Wire:
    """Carries frames between two TAP devices, from a seed.

    Attributes:
        ends: The quality of the way from the first host to the second, and back.
        fates: What happened to the frames.
    """

    def __init__(self, taps: tuple[int, int], seed: int) -> None:
        self.ends = [Quality(), Quality()]
        self.fates: Counter[str] = Counter()
        self._taps = taps
        self._random = random.Random(seed)
        self._loop = asyncio.get_running_loop()
        self._queue: list[tuple[float, int, int, bytes]] = []
        self._order = itertools.count()
        self._line_free = [0.0, 0.0]
        self._timer: asyncio.TimerHandle | None = None
        for end, tap in enumerate(taps):
            self._loop.add_reader(tap, self._take, end)

    def set(self, quality: Quality) -> None:
        """Make both ways so."""
        self.ends = [quality, quality]

    def close(self) -> None:
        for tap in self._taps:
            self._loop.remove_reader(tap)
            os.close(tap)
        if self._timer is not None:
            self._timer.cancel()

    def _take(self, end: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._judge(end, os.read(self._taps[end], _FRAME_MAX_BYTES))

    def _judge(self, end: int, frame: bytes) -> None:
        quality, chance, now = self.ends[end], self._random.random, self._loop.time()
        due = max(now, self._line_free[end])
        if quality.bit_s:
            if (due - now) * quality.bit_s / 8 > _QUEUE_MAX_BYTES:
                self.fates["lost in the queue"] += 1
                return
            due += len(frame) * 8 / quality.bit_s
            self._line_free[end] = due
        if quality.cut or chance() < quality.loss:
            self.fates["lost"] += 1
            return
        due += quality.delay_s
        if chance() < quality.late:
            self.fates["late"] += 1
            due += LATE_S * chance()
        self._send_at(due, end, frame)
        if chance() < quality.twice:
            self.fates["twice"] += 1
            self._send_at(due + LATE_S * chance(), end, frame)

    def _send_at(self, due: float, end: int, frame: bytes) -> None:
        heapq.heappush(self._queue, (due, next(self._order), end, frame))
        self._deliver()

    def _deliver(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue and self._queue[0][0] <= self._loop.time():
            _, _, end, frame = heapq.heappop(self._queue)
            # A device that is down takes nothing.
            with contextlib.suppress(OSError):
                os.write(self._taps[1 - end], frame)
                self.fates["carried"] += 1
        if self._queue:
            self._timer = self._loop.call_at(self._queue[0][0], self._deliver)


class Host:
    """One namespace."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.device = f"tap-{name}"[:15]

    @property
    def program(self) -> tuple[str, ...]:
        """p2pchat, started inside; the process that is started becomes it."""
        return ("ip", "netns", "exec", self.name, sys.executable, "-m", "p2pchat")

    @property
    def listen(self) -> str:
        return f"{self.address}:4000"

    def link(self, state: str) -> None:
        """Set the network device ``up`` or ``down``."""
        _ip("-n", self.name, "link", "set", self.device, state)

    def make(self) -> int:
        """Make the namespace and its device; returns the descriptor of the device's other side."""
        _ip("netns", "add", self.name)
        tap = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH", self.device.encode(), _IFF_TAP_NO_PI))
        _ip("link", "set", self.device, "netns", self.name)
        _ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", self.device)
        _ip("-n", self.name, "link", "set", "lo", "up")
        self.link("up")
        return tap

    def remove(self) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], check=False, capture_output=True)


@contextlib.asynccontextmanager
async def two_hosts(label: str, seed: int = 1) -> AsyncIterator[tuple[Host, Host, Wire]]:
    """Yield both hosts and what lies between them; nothing of it is left afterwards."""
    hosts = tuple(
        Host(f"p2p-{os.getpid() % 100_000}-{label}{number}", f"10.77.0.{number}")
        for number in (1, 2)
    )
    try:
        one, other = hosts
        wire = Wire((one.make(), other.make()), seed)
        try:
            yield one, other, wire
        finally:
            wire.close()
    finally:
        for host in hosts:
            host.remove()


def why_not() -> str:
    """Say why this machine cannot make such hosts; empty if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "there is no ip command (iproute2)"
    if not _TUN.exists():
        return f"there is no {_TUN}"
    probe = Host(f"p2p-{os.getpid() % 100_000}-probe", "10.77.0.1")
    try:
        os.close(probe.make())
    except (OSError, subprocess.CalledProcessError) as error:
        return f"this machine makes no network namespaces: {error}"
    finally:
        probe.remove()
    return ""


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
