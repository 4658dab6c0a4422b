"""Comparisons of a phrase on running connections (protocol.md §3.8).

Carries out what ``session.comparison`` says, in its order: a try is counted on the disk before
anything is sent that would tell somebody whether a guess was right, and a contact is marked as
verified before the other side hears of it. The phrase is held by the comparison alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from p2pchat.constants import COMPARE_TIMEOUT_S, COMPARE_TRIES
from p2pchat.errors import (
    ErrorCode,
    LocalProtocolError,
    ProtocolError,
    TrustError,
    UnknownContactError,
    UnreachableError,
    UsageError,
)
from p2pchat.identity import trust
from p2pchat.identity.phrase import normalise_phrase, require_tries
from p2pchat.identity.trust import VerifiedBy
from p2pchat.node.clock import Timer
from p2pchat.node.environment import Environment
from p2pchat.node.events import ComparisonAsked, ComparisonEnded
from p2pchat.node.peer import Attached, Peer
from p2pchat.session.comparison import (
    Action,
    Asked,
    Comparison,
    CountTry,
    Ended,
    Outcome,
    Send,
    State,
)
from p2pchat.session.notices import CompareNotice
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.ports import Transaction
from p2pchat.store.records import ContactRecord

NEWS_MAX: Final = 64
"""Messages that end a comparison, on one connection; nobody mistypes so often."""
_SUSPICIOUS: Final = frozenset(
    {Outcome.DIFFERED, Outcome.FOREIGN, Outcome.REPLAYED, Outcome.DISTURBED}
)


@dataclass(slots=True)
class _Live:
    """The comparisons of one link."""

    peer: Peer
    link: Attached
    comparison: Comparison
    timer: Timer | None = None
    news: int = 0


class ComparisonDesk:
    """Begins comparisons, takes part in them, and says how they end."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._live: dict[Attached, _Live] = {}

    # --- for the person -------------------------------------------------------------------------

    async def offer(self, peer: Peer, typed: str) -> str:
        """Begin a comparison, or take part in the one that the contact asks for."""
        phrase = normalise_phrase(typed)
        trust.on_verified(peer.record.pin)
        require_tries(peer.record.secret_tries)
        link = peer.link
        if link is None or not link.is_open:
            why = peer.offline_reason()
            raise UnreachableError(f"{peer.record.name} is not online ({why}); both must be")
        live = self._of(peer, link)
        answering = live.comparison.state is State.INVITED
        try:
            actions = live.comparison.offer(phrase)
        except LocalProtocolError as error:
            raise UsageError(str(error)) from error
        if answering:
            self._asked(live, asked=False)
        else:
            self._arm(live)
        await self._carry_out(live, actions)
        return "answered" if answering else "asked"

    def cancel(self, peer: Peer) -> None:
        """Break off whatever is under way."""
        live = None if peer.link is None else self._live.get(peer.link)
        if live is not None:
            self._give_up(live)
            self._disarm(live)

    async def allow_again(self, peer: Peer) -> None:
        """Forget the wrong phrases of the past."""
        await peer.update(lambda record: replace(record, secret_tries=0))

    # --- for the connections --------------------------------------------------------------------

    async def received(self, link: Attached, peer: Peer | None, body: bytes) -> None:
        """Take a COMPARE notice.

        Raises:
            ProtocolError: Before the session is open (R-7.8.7), malformed, or endless.
        """
        if peer is None or not link.is_open:
            raise ProtocolError("a comparison needs an open session")
        live = self._of(peer, link)
        actions = live.comparison.receive(body)
        live.news += any(isinstance(action, Ended) for action in actions)
        if live.news > NEWS_MAX:
            raise ProtocolError("comparisons without end", ErrorCode.LIMIT_EXCEEDED)
        if Asked() in actions:
            try:
                trust.on_verified(live.peer.record.pin)
            except TrustError:  # something else has to be decided first
                self._give_up(live)
                return
        await self._carry_out(live, actions)

    def detached(self, link: Attached) -> None:
        """The connection is over, and with it what was under way."""
        live = self._live.pop(link, None)
        if live is not None and live.comparison.state is not State.IDLE:
            self._ended(live, Outcome.LOST)

    # --- parts ----------------------------------------------------------------------------------

    def _of(self, peer: Peer, link: Attached) -> _Live:
        live = self._live.get(link)
        if live is None:
            if link.proof is None:
                raise LocalProtocolError("the peer is not authenticated", ErrorCode.INTERNAL)
            comparison = Comparison(
                ours=self._env.credentials.identity,
                theirs=link.proof.identity,
                handshake_hash=link.proof.handshake_hash,
                rng=self._env.rng,
            )
            live = self._live[link] = _Live(peer, link, comparison)
        return live

    async def _carry_out(self, live: _Live, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send(body):
                    live.link.tell(CompareNotice(body))
                case Asked():
                    self._arm(live)
                    self._asked(live, asked=True)
                case CountTry():
                    await self._count(live)
                case Ended(Outcome.VERIFIED):
                    try:
                        await self._verified(live)
                    except (TrustError, UnknownContactError):  # decided otherwise meanwhile
                        self._ended(live, Outcome.CANCELLED)
                        return
                    self._ended(live, Outcome.VERIFIED)
                case Ended(outcome):
                    if outcome in _SUSPICIOUS:
                        await self._env.store.write(partial(_record, self._failed(live, outcome)))
                    self._ended(live, outcome)

    async def _count(self, live: _Live) -> None:
        await live.peer.update(lambda record: replace(record, secret_tries=record.secret_tries + 1))

    async def _verified(self, live: _Live) -> None:
        proof = live.link.proof
        now_ms = self._env.clock.wall_ms()

        def verified(record: ContactRecord) -> ContactRecord:
            if proof is None or record.pin.identity != proof.identity:
                raise TrustError("the contact's key has just changed; compare again")
            return replace(
                record,
                pin=trust.on_verified(record.pin),
                verified_at_ms=now_ms,
                verified_by=VerifiedBy.SECRET,
                secret_tries=0,
            )

        await live.peer.update(verified)

    def _failed(self, live: _Live, outcome: Outcome) -> AuditEvent:
        return AuditEvent(
            AuditKind.VERIFICATION_FAILED,
            self._env.clock.wall_ms(),
            principal=live.peer.identity,
            context={"method": VerifiedBy.SECRET.value, "reason": outcome.value},
        )

    def _ended(self, live: _Live, outcome: Outcome) -> None:
        self._disarm(live)
        left = max(0, COMPARE_TRIES - live.peer.record.secret_tries)
        self._env.hub.publish(ComparisonEnded(live.peer.record.name, outcome, left))

    def _asked(self, live: _Live, *, asked: bool) -> None:
        live.peer.compare_asked = asked
        if asked:
            self._env.hub.publish(ComparisonAsked(live.peer.record.name))

    def _give_up(self, live: _Live) -> None:
        for action in live.comparison.give_up():
            if isinstance(action, Send):
                live.link.tell(CompareNotice(action.body))

    def _arm(self, live: _Live) -> None:
        self._disarm(live)
        due = self._env.clock.monotonic() + COMPARE_TIMEOUT_S
        live.timer = self._env.clock.call_at(due, lambda: self._too_late(live))

    def _disarm(self, live: _Live) -> None:
        self._asked(live, asked=False)
        if live.timer is not None:
            live.timer.cancel()
            live.timer = None

    def _too_late(self, live: _Live) -> None:
        if live.comparison.state is not State.IDLE:
            self._give_up(live)
            self._ended(live, Outcome.TIMED_OUT)


def _record(event: AuditEvent, tx: Transaction) -> None:
    tx.audit(event)
