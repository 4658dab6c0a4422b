"""The two sides' accounts of a conversation, compared at each connect and now and then (§8.6).

What differs was lost on one side (an older copy put back, a deleted conversation) or said by
another copy of the profile. The person is told once, with what is missing where; nothing that was
delivered is ever sent again by itself, since whoever has stolen an identity could ask for it.
"""

from __future__ import annotations

from typing import Final

from p2pchat.node.environment import Environment
from p2pchat.node.events import LedgersDiffered
from p2pchat.node.peer import Peer
from p2pchat.node.views import LedgerView
from p2pchat.session.ledger import Head, LedgerSummary
from p2pchat.session.notices import LedgerNotice
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.ports import Transaction
from p2pchat.store.records import LedgerFinding

TELL_EVERY: Final = 500
"""Our messages delivered from one LEDGER notice to the next."""


class LedgerDesk:
    """Compares ledgers and tells what differs."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._forks: dict[int, Head] = {}
        """By contact, what it says it sent when the person was last told of another past."""

    async def compare(self, peer: Peer, theirs: LedgerSummary) -> None:
        """Hold the account in the peer's HELLO against ours (R-8.6.3, R-8.6.4)."""
        at_ms = self._env.clock.wall_ms()
        told = self._forks.get(peer.contact_id)

        def work(tx: Transaction) -> LedgerFinding | None:
            finding = tx.compare_ledger(peer.contact_id, theirs, at_ms=at_ms, told=told)
            if finding is not None:
                tx.audit(_record(peer, finding))
            return finding

        finding = await self._env.store.write(work)
        if finding is not None and finding.forked:
            self._forks[peer.contact_id] = theirs.sent
        elif theirs.sent != told:
            self._forks.pop(peer.contact_id, None)
        if finding is not None:
            self._tell(peer, finding)

    async def noticed(self, peer: Peer, sent: Head) -> None:
        """Check what the peer has seen delivered against what we have (R-8.6.5).

        Told once until the next HELLO, however many of these a peer makes up.
        """
        known = peer.contact_id in self._forks
        if known or await self._env.store.read(lambda tx: tx.ledger_agrees(peer.contact_id, sent)):
            return
        self._forks[peer.contact_id] = sent
        finding = LedgerFinding(forked=True, at_ms=self._env.clock.wall_ms())
        await self._env.store.write(lambda tx: tx.audit(_record(peer, finding)))
        self._tell(peer, finding)

    def delivered(self, peer: Peer, count: int, sent: Head | None) -> None:
        """``count`` more of our messages were delivered; tell the peer now and then."""
        peer.untold += count
        if peer.untold >= TELL_EVERY and sent is not None and peer.link is not None:
            peer.untold = 0
            peer.link.tell(LedgerNotice(sent))

    async def findings(self, peer: Peer, limit: int) -> list[LedgerView]:
        """Return what differed, newest first."""
        found = await self._env.store.read(lambda tx: tx.ledger_findings(peer.contact_id, limit))
        return [ledger_view(peer, finding) for finding in found]

    def _tell(self, peer: Peer, finding: LedgerFinding) -> None:
        if self._env.hub.is_heard:
            self._env.hub.publish(LedgersDiffered(ledger_view(peer, finding)))


def ledger_view(peer: Peer, finding: LedgerFinding) -> LedgerView:
    """Return a stored finding as it is shown."""
    return LedgerView(
        contact=peer.record.name,
        lost_here=finding.lost_here,
        sent_elsewhere=finding.sent_elsewhere,
        lost_there=finding.lost_there,
        lost_there_ids=tuple(message_id.hex() for message_id in finding.lost_there_ids),
        forked=finding.forked,
        at_ms=finding.at_ms,
    )


def _record(peer: Peer, finding: LedgerFinding) -> AuditEvent:
    context: dict[str, str | int] = {"reason": "the two ledgers differ"}
    for name in ("lost_here", "sent_elsewhere", "lost_there"):
        if count := getattr(finding, name):
            context[name] = count
    if finding.forked:
        context["reason"] = "the two ledgers tell another past"
    return AuditEvent(AuditKind.LEDGER_DIFFERED, finding.at_ms, peer.identity, context=context)
