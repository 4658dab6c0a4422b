"""The signs and words of delivery, trust and time, in one place: each sign also has a word.

Nothing is told by colour alone.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final

from p2pchat.identity.trust import Trust
from p2pchat.tui.cells import clip, width
from p2pchat.tui.changing import VANISH_MARK, span
from p2pchat.tui.comparing import VERIFIED_BY, ago
from p2pchat.tui.conversation import Delivery
from p2pchat.tui.state import Contact
from p2pchat.tui.text import Fragment, Line, line

ONLINE: Final = "●"
OFFLINE: Final = "○"

DELIVERY: Final[dict[Delivery, tuple[Fragment, str]]] = {
    Delivery.QUEUED: (("class:mark", "◌"), "queued: safe on your disk, leaves when they are there"),
    Delivery.SENT: (("class:mark", "✓"), "sent, not confirmed yet"),
    Delivery.DELIVERED: (("class:mark.done", "✓✓"), "delivered: stored on their computer"),
    Delivery.READ: (("class:mark.read", "✓✓ read"), "they have seen it"),
    Delivery.FAILED: (("class:mark.failed", "✗"), "failed, with the reason"),
}
TRUST: Final[dict[Trust, tuple[str, str, str, str]]] = {
    # style, glyph, word, meaning
    Trust.VERIFIED: (
        "class:verified",
        "✓",
        "verified",
        "you compared: /verify or /secret",
    ),
    Trust.UNVERIFIED: (
        "class:unverified",
        "~",
        "unverified",
        "not compared yet: /verify, /secret",
    ),
    Trust.CHANGED: ("class:changed", "⚠", "KEY CHANGED", "nothing is sent until you decide"),
    Trust.BLOCKED: ("class:blocked", "⊘", "blocked", "refused; they learn nothing"),
    Trust.REQUEST: ("class:request", "?", "request", "a stranger asks: /accept, /decline, /block"),
}

_WARNINGS: Final[dict[str, str]] = {
    # by the names of store.audit_watch
    "many_failed_handshakes": "{count} connections in an hour failed to prove themselves",
    "many_failed_unlocks": "{count} wrong passphrases were tried within a day",
    "many_key_changes": "the keys of {count} contacts changed within a day: somebody may stand "
    "between you and the network",
    "log_replaced": "the audit log is not the one of last time: an older copy of the profile may "
    "have been put back; p2pchat audit verify says more",
}


def warning(pattern: str, count: int) -> str:
    """Return the sentence for a warning of the audit log."""
    known = _WARNINGS.get(pattern, "the audit log shows something unusual")
    return known.format(count=count)


REVOKED: Final = ("class:changed", "⊘", "KEY REVOKED", "by its owner: refused for good")
"""In the place of the trust in a key that its owner has revoked; as in ``TRUST``."""
KEY_NEWS: Final[dict[str, str]] = {
    "revoked": "{name} has revoked this key. Nothing is sent to it or taken from it any more.",
    "announced": "{name} has announced a new key, signed with the old one as well.",
    "recovered": "{name} has moved to another computer with their recovery kit, on {date}. The key "
    "is the same. If {name} knows nothing of it, the kit is in other hands: ask.",
}
"""By the ``news`` of ``contact.key``: the line that the conversation gets, once."""


def trust_sign(contact: Contact) -> tuple[str, str, str]:
    """Return style, glyph and word; a revoked key is told before anything else but a new one."""
    if contact.is_revoked and contact.trust is not Trust.CHANGED:
        return REVOKED[:3]
    return TRUST[contact.trust][:3]


def trust_words(contact: Contact) -> Fragment:
    """Return glyph and word in their style."""
    style, glyph, word = trust_sign(contact)
    return style, f"{glyph} {word}"


def verified_words(contact: Contact, now_ms: int) -> str:
    """Return how long ago and how a verified contact was verified, to stand behind that word."""
    if contact.trust is not Trust.VERIFIED or contact.verified_at_ms is None:
        return ""
    return f" {ago(contact.verified_at_ms, now_ms)}{VERIFIED_BY.get(contact.verified_by, '')}"


def presence(contact: Contact, cells: int) -> Line:
    """Tell whether the contact is there, and why not; what stands in brackets gives way first."""
    if contact.online:
        quantum = " · post-quantum" if contact.post_quantum else ""
        timer = f" · {VANISH_MARK} {span(contact.timer_s)}" if contact.timer_s else ""
        return line(("class:online", f"{ONLINE} online"), ("class:dim", quantum + timer))
    if contact.trust is Trust.REQUEST:
        return line(("class:dim", f"{OFFLINE} not accepted yet"))
    reason = f": {contact.offline_reason}" if contact.offline_reason else ""
    text = f"{OFFLINE} offline{reason}"
    if width(text) > cells:
        text = text.split(" (", maxsplit=1)[0]
    return line(("class:dim", clip(text, cells)))


def failures(count: int, last_at_ms: int) -> str:
    """Tell of wrong passphrases; times are as this computer writes them."""
    word = "passphrase was" if count == 1 else "passphrases were"
    last = f"{short_date(last_at_ms, None)} {clock(last_at_ms, None)}"
    return (
        f"⚠ {count} wrong {word} tried since you last unlocked this profile, the last on {last}. "
        "If that was not you, somebody was at this computer. Esc closes this."
    )


def moment(at_ms: int, zone: tzinfo | None) -> datetime | None:
    """Return the local time; None if the sender's clock said something impossible."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    except (OverflowError, OSError, ValueError):
        return None


def clock(at_ms: int, zone: tzinfo | None) -> str:
    """Return hours and minutes."""
    time = moment(at_ms, zone)
    return f"{time:%H:%M}" if time else "--:--"


def day(at_ms: int, zone: tzinfo | None) -> str:
    """Return the day as a reader says it."""
    time = moment(at_ms, zone)
    return f"{time:%A}, {time.day} {time:%B %Y}" if time else "at an unknown time"


def short_date(at_ms: int, zone: tzinfo | None) -> str:
    """Return the day in ten characters."""
    time = moment(at_ms, zone)
    return f"{time:%Y-%m-%d}" if time else "????-??-??"
