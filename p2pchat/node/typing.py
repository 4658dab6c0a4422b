"""Whether a contact is writing now, and whether they may know that we are (protocol.md §7.8).

Off unless the person turns it on, and worth nothing a moment later: so it is a notice, which is
neither stored, sealed, counted nor sent again. What comes is shown for a few seconds, and however
much comes, only so much of it is told.
"""

from __future__ import annotations

from p2pchat.constants import TYPING_INTERVAL_S, TYPING_SHOWN_S
from p2pchat.identity.trust import may_converse
from p2pchat.node.clock import Timer
from p2pchat.node.environment import Environment
from p2pchat.node.events import ContactTyping
from p2pchat.node.peer import Peer
from p2pchat.session.notices import TypingNotice


class TypingDesk:
    """Tells that the person is writing, and who of the contacts is."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._told: dict[int, float] = {}
        """By contact, when it was last told that we write."""
        self._shown: dict[int, Timer] = {}
        """By contact that is shown as writing, what ends that."""
        self._heard: dict[int, float] = {}
        """By contact, when it was last shown as writing anew."""

    def tell(self, peer: Peer, *, writing: bool) -> bool:
        """Tell a contact who is online that the person writes, or does not any more.

        Returns:
            Whether the settings let it be told at all.
        """
        if not self._env.config.typing:
            return False
        link, now = peer.link, self._env.clock.monotonic()
        if link is None or not link.is_open or not may_converse(peer.record.pin):
            return True
        told = self._told.get(peer.contact_id)
        if writing and (told is None or now >= told + TYPING_INTERVAL_S):
            self._told[peer.contact_id] = now
            link.tell(TypingNotice(True))
        elif not writing and told is not None:
            del self._told[peer.contact_id]
            link.tell(TypingNotice(False))
        return True

    def noticed(self, peer: Peer, *, writing: bool) -> None:
        """The contact says whether it is writing."""
        if not writing:
            self.stopped(peer)
            return
        if not may_converse(peer.record.pin):
            return
        now = self._env.clock.monotonic()
        timer = self._shown.pop(peer.contact_id, None)
        if timer is not None:
            timer.cancel()
        elif now < self._heard.get(peer.contact_id, now - 1) + 1:
            return  # on and off all the time: told once a second at most
        else:
            self._heard[peer.contact_id] = now
            self._publish(peer, writing=True)
        self._shown[peer.contact_id] = self._env.clock.call_at(
            now + TYPING_SHOWN_S, lambda: self.stopped(peer)
        )

    def stopped(self, peer: Peer) -> None:
        """The contact has said it, has said nothing for a while, or is gone."""
        timer = self._shown.pop(peer.contact_id, None)
        if timer is not None:
            timer.cancel()
            self._publish(peer, writing=False)

    def _publish(self, peer: Peer, *, writing: bool) -> None:
        if self._env.hub.is_heard and not peer.removed:
            self._env.hub.publish(ContactTyping(peer.record.name, writing))
