"""What the end of a connection says about its contact: why it is away, and how soon to dial."""

from __future__ import annotations

from typing import Final

from p2pchat.errors import ErrorCode
from p2pchat.node.link import Link
from p2pchat.node.presence import Absence, Reason, ending
from p2pchat.session.events import ConnectionClosed

REPLACED: Final = "another connection took its place"
NOT_SOON: Final = frozenset(
    {
        ErrorCode.SUPERSEDED,
        ErrorCode.LIMIT_EXCEEDED,
        ErrorCode.INTERNAL,
        ErrorCode.KEY_REVOKED,
    }
)
"""Ends after which a new connection at once would meet the same."""


def refused_as_revoked(closed: ConnectionClosed) -> bool:
    """Tell whether the peer itself, proven, has said that it refuses our key as revoked."""
    return closed.code is ErrorCode.KEY_REVOKED and closed.by_peer and closed.clean


def reason_of(link: Link, closed: ConnectionClosed, now_ms: int) -> Reason:
    """Return why the contact is away now."""
    if link.store_error is not None:
        return Reason(Absence.STORE_FAILED, str(link.store_error))
    if refused_as_revoked(closed):
        return Reason(Absence.REFUSED_AS_REVOKED)
    if closed.code is ErrorCode.LIMIT_EXCEEDED and not closed.by_peer:
        return Reason(Absence.TOO_MANY_RESETS)
    return Reason(Absence.LOST, ending(closed, now_ms))
