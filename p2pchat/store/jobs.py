"""Units of work on their way to a store thread, and their results on the way back.

A result crosses to the event loop in one wake-up per group, not one per unit: the wake-up is a
system call. A caller that stopped waiting does not undo its unit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Lock
from typing import Any

from p2pchat.errors import StoreError
from p2pchat.store.ports import Transaction


@dataclass(frozen=True, slots=True)
class Job:
    """A unit of work and the future that waits for it; ``future`` belongs to an event loop.

    Attributes:
        alone: It takes no transaction, since it cannot be in one, and is given nothing.
    """

    work: Callable[..., Any]
    future: asyncio.Future[Any]
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: ``error``, or else ``value``."""

    job: Job
    value: Any = None
    error: BaseException | None = None


class Inbox:
    """The queue of one store thread; ``None`` in it is the end, and always its last entry."""

    __slots__ = ("_closed", "_lock", "queue")

    def __init__(self) -> None:
        self.queue: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = Lock()
        self._closed = False

    def submit(self, work: Callable[[Transaction], Any]) -> asyncio.Future[Any]:
        """Queue ``work`` for the thread; call from within an event loop.

        Raises:
            StoreError: The store is closed.
        """
        return self._put(work, alone=False)

    def submit_alone(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        """Queue what runs outside of any transaction, after those queued before it.

        Raises:
            StoreError: The store is closed.
        """
        return self._put(work, alone=True)

    def _put(self, work: Callable[..., Any], *, alone: bool) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._closed:
                raise StoreError("the profile is closed")
            self.queue.put(Job(work, future, alone))
        return future

    def close(self) -> None:
        """Accept no more jobs; those queued are still run."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self.queue.put(None)


def deliver(outcomes: Iterable[Outcome]) -> None:
    """Complete the jobs' futures, each in its own event loop, with one wake-up per loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome.job.future.get_loop(), []).append(outcome)
    for loop, batch in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, batch)
        except RuntimeError:
            # The loop is closed: nobody is left to be told. The units stay committed.
            continue


def _settle(batch: list[Outcome]) -> None:
    for outcome in batch:
        future = outcome.job.future
        if future.done():
            continue
        match outcome.error:
            case None:
                future.set_result(outcome.value)
            case StopIteration():  # a future refuses it, and the caller would wait for ever
                future.set_exception(RuntimeError("a unit of work raised StopIteration"))
            case error:
                future.set_exception(error)
