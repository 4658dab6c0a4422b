"""Seeking connections: one task for each contact (protocol.md §10.1).

A round tries all addresses, each a little after the other, until one has led to the contact
itself: an open port is not enough, since somebody else may live there by now. Then it waits until
the connection is lost, and begins again; after a round in vain it backs off (``Backoff``).
``Peer.dial`` wakes it at any time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from p2pchat.errors import ErrorCode, UnknownContactError, UnreachableError
from p2pchat.identity.trust import on_wrong_identity
from p2pchat.node.book import PeerBook
from p2pchat.node.clock import deadline
from p2pchat.node.environment import Environment
from p2pchat.node.link import Link
from p2pchat.node.peer import Peer
from p2pchat.node.presence import Absence, Reason, ending
from p2pchat.node.reception import Reception

STAGGER_S: Final = 0.3
"""Head start of one address before the next is tried too."""
NO_ANSWER: Final = frozenset({ErrorCode.TIMEOUT, ErrorCode.TRUNCATED})
"""How handshakes end that a network broke off."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one address did not lead to the contact; ``presented`` is who answered instead."""

    address: str
    absence: Absence
    why: str
    answered: bool = False
    presented: bytes | None = None


class Dialer:
    """Keeps contacts connected."""

    def __init__(self, env: Environment, book: PeerBook, reception: Reception) -> None:
        self._env = env
        self._book = book
        self._reception = reception

    def start(self, peer: Peer) -> None:
        """Seek this contact from now on, until it is removed."""
        if self._env.dials:
            self._env.supervisor.spawn(
                lambda: self._keep_connected(peer), f"dial {peer.contact_id}"
            )

    async def _keep_connected(self, peer: Peer) -> None:
        while not peer.removed:
            if not peer.wants_dialling:
                await peer.dial.wait()
            elif await self._is_time(peer):
                await self._round(peer)

    async def _is_time(self, peer: Peer) -> bool:
        """Wait as the back-off says; False if something changed meanwhile."""
        clock = self._env.clock
        now = clock.monotonic()
        awaited = sum(
            len(other.record.addresses)
            for other in self._book
            if other.wants_dialling and other.backoff.is_awaited(now)
        )
        delay = peer.backoff.delay(now, awaited)
        if delay > 0:
            due = now + delay
            while await peer.dial.wait_until(clock, due):
                if not peer.wants_dialling:
                    return False
                if not peer.backoff.is_waiting:
                    break
        return peer.wants_dialling

    async def _round(self, peer: Peer) -> None:
        began = self._env.clock.monotonic()
        failures = await Race(self._env, self._reception, peer).run()
        if peer.link is not None or peer.removed:
            return
        answered = bool(failures) and all(failure.answered for failure in failures)
        peer.backoff.failed(began, answered=answered)
        for failure in failures:
            if failure.presented is not None:
                await self._wrong_identity(peer, failure.presented)
        if failures:
            peer.away(_reason(failures))

    async def _wrong_identity(self, peer: Peer, presented: bytes) -> None:
        """Somebody else answered: a known contact has moved there, or the key has changed."""
        known = self._book.by_identity(presented) is not None
        if known or presented in peer.dismissed or presented == self._env.credentials.identity:
            return
        if self._env.revocations.refuses(presented):
            return
        try:
            await peer.update(
                lambda record: replace(record, pin=on_wrong_identity(record.pin, presented))
            )
        except UnknownContactError:
            return


class Race:
    """One round over all addresses of one contact.

    It is over, too, as soon as the contact has connected to us: an attempt that has not proven
    itself by then is broken off before its last handshake message, so the contact never counts it.
    """

    def __init__(self, env: Environment, reception: Reception, peer: Peer) -> None:
        self._env = env
        self._reception = reception
        self._peer = peer
        self._changed = peer.dial
        self._failures: list[Failure] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._won = False

    async def run(self) -> list[Failure]:
        """Try until one address has led to the contact; returns why the others did not."""
        clock = self._env.clock
        try:
            for address in self._peer.record.addresses:
                task = self._env.supervisor.spawn(partial(self._attempt, address), f"try {address}")
                if task is None:
                    return []
                self._tasks.append(task)
                task.add_done_callback(lambda _: self._changed.notify())
                due = clock.monotonic() + STAGGER_S
                while not self._is_over() and not task.done():
                    if not await self._changed.wait_until(clock, due):
                        break
                if self._is_over():
                    return self._failures
            while not self._is_over() and not all(task.done() for task in self._tasks):
                await self._changed.wait()
            return self._failures
        finally:
            for task in self._tasks:
                task.cancel()

    def _is_over(self) -> bool:
        return self._won or self._peer.link is not None or self._peer.removed

    async def _attempt(self, address: str) -> None:
        clock = self._env.clock
        now = clock.monotonic()
        timeout_s = self._peer.backoff.patience(now, self._env.config.connect_timeout_s)
        try:
            async with deadline(clock, now + timeout_s):
                stream = await self._env.transport.dial(address)
        except UnreachableError as error:
            why = str(error).removeprefix(f"{address}: ")
            self._failures.append(Failure(address, Absence.UNREACHABLE, why))
            return
        except TimeoutError:
            # Not how long: it differs between rounds, and a new reason is announced each time.
            self._failures.append(Failure(address, Absence.UNREACHABLE, "no answer"))
            return
        link = self._reception.serve_dialled(stream, self._peer, self)
        try:
            admitted = await asyncio.shield(link.admitted)
        except asyncio.CancelledError:
            if not link.admitted.done():
                link.abort()
            raise
        if admitted:
            self._won = True
        else:
            self._failures.append(_failure(link, address, self._env.clock.wall_ms()))


def _failure(link: Link, address: str, now_ms: int) -> Failure:
    closed = link.closed
    if closed is None:
        return Failure(address, Absence.FAILED, "stopped")
    if closed.code is ErrorCode.WRONG_IDENTITY and not closed.by_peer:
        return Failure(address, Absence.WRONG_IDENTITY, closed.reason, True, link.peer_identity)
    return Failure(address, Absence.FAILED, ending(closed, now_ms), closed.code not in NO_ANSWER)


def _reason(failures: list[Failure]) -> Reason:
    """Sum up a round: somebody else's answer matters most, then anybody's."""
    for absence in (Absence.WRONG_IDENTITY, Absence.FAILED, Absence.UNREACHABLE):
        found = [failure for failure in failures if failure.absence is absence]
        if found and absence is Absence.WRONG_IDENTITY:
            return Reason(absence, found[0].address)
        if found:
            detail = ", ".join(f"{failure.address} ({failure.why})" for failure in found)
            return Reason(absence, detail)
    return Reason(Absence.NOT_TRIED)
