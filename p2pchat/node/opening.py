"""Which of two connections with the same contact stays (protocol.md §10.2), as a pure decision.

Both sides see both connections, possibly in a different order, and must come to the same answer
without another word. Only an authenticated connection ever stands for election.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2pchat.constants import CONNECTION_LIFETIME_S, SIMULTANEOUS_OPEN_WINDOW_S


@dataclass(frozen=True, slots=True)
class Opening:
    """How a connection came to be.

    Attributes:
        outbound: We dialled it.
        since: Monotonic seconds when it was made.
    """

    outbound: bool
    since: float

    def is_spent(self, now: float) -> bool:
        """Whether it is for us to make a new one in its place (R-7.6.3).

        Only the side that dialled does: the other may know no address.
        """
        return self.outbound and now >= self.since + CONNECTION_LIFETIME_S


def newcomer_stays(ours: bytes, theirs: bytes, current: Opening, new: Opening) -> bool:
    """Decide between the attached connection and one that has just authenticated (R-10.2.1).

    If each side dialled one within ``SIMULTANEOUS_OPEN_WINDOW_S``, the one that the higher
    identity key dialled stays. Otherwise the newcomer does: who dials again has lost the old one.
    """
    crossed = current.outbound != new.outbound
    if crossed and abs(new.since - current.since) <= SIMULTANEOUS_OPEN_WINDOW_S:
        return new.outbound == (ours > theirs)
    return True
