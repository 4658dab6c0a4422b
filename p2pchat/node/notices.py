"""What a peer tells outside the ratchet, handed to whom it concerns (protocol.md §7.8)."""

from __future__ import annotations

from p2pchat.node.certificates import CertificateDesk
from p2pchat.node.comparisons import ComparisonDesk
from p2pchat.node.ledgers import LedgerDesk
from p2pchat.node.link import Link
from p2pchat.node.revocations import RevocationDesk
from p2pchat.node.typing import TypingDesk
from p2pchat.session.notices import (
    CertificateNotice,
    CompareNotice,
    LedgerNotice,
    Notice,
    RevokedNotice,
    TypingNotice,
)


class NoticeDesk:
    """Takes the notices of all links."""

    def __init__(
        self,
        certificates: CertificateDesk,
        ledgers: LedgerDesk,
        comparisons: ComparisonDesk,
        revocations: RevocationDesk,
        typing: TypingDesk,
    ) -> None:
        self._certificates = certificates
        self._ledgers = ledgers
        self._comparisons = comparisons
        self._revocations = revocations
        self._typing = typing

    async def noticed(self, link: Link, notice: Notice) -> None:
        """Act on one notice.

        Raises:
            ProtocolError: It is not true or not allowed; the link ends with that code.
        """
        match notice:
            case LedgerNotice(sent) if link.peer is not None:
                await self._ledgers.noticed(link.peer, sent)
            case CertificateNotice(encoded):
                await self._certificates.noticed(link, encoded)
            case CompareNotice(body):
                await self._comparisons.received(link, link.peer, body)
            case RevokedNotice(statement):
                await self._revocations.noticed(link, statement)
            case TypingNotice(writing) if link.peer is not None:
                self._typing.noticed(link.peer, writing=writing)
            case LedgerNotice() | TypingNotice():
                pass  # no part of this program knows what to do with it yet
