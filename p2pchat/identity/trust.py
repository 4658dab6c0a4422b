"""Trust in a contact's key, as pure decisions (protocol.md §3.6).

``verified`` (a person compared the safety number or a phrase) is not ``trusted`` (pinned on first
contact) is not ``authenticated`` (a signature and a tag passed). This module holds the first two;
the handshake does the third. Nothing here stores or asks: the caller keeps the record and the
words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from p2pchat.errors import TrustError


class Trust(StrEnum):
    """What the person decided, or still has to decide, about a contact."""

    REQUEST = "request"
    """A stranger asks; nothing is accepted yet."""
    UNVERIFIED = "unverified"
    """Pinned on first contact or taken from a link; no safety number compared."""
    VERIFIED = "verified"
    """A person compared the safety number or a phrase."""
    CHANGED = "changed"
    """Another identity answered at this contact's address; the person must decide."""
    BLOCKED = "blocked"
    """Refused; learns nothing."""


class VerifiedBy(StrEnum):
    """What the person did to make sure of a contact's key."""

    NUMBER = "number"
    """Both compared the safety number (protocol.md §3.5)."""
    SECRET = "secret"  # noqa: S105  # a way, not a secret
    """Both typed the same phrase (protocol.md §3.8)."""


@dataclass(frozen=True, slots=True)
class Pin:
    """What is remembered of one contact's key.

    Attributes:
        identity: Pinned 32-byte Ed25519 key.
        trust: The person's decision.
        offered: The 32-byte key that appeared instead, while ``trust`` is ``CHANGED``.
        revoked_at_ms: When we learnt that the owner has revoked the pinned key, which is final.
        announced: The offered key was announced, signed with the pinned key as well.
    """

    identity: bytes
    trust: Trust
    offered: bytes | None = None
    revoked_at_ms: int | None = None
    announced: bool = False


def on_wrong_identity(pin: Pin, presented: bytes) -> Pin:
    """Record that ``presented`` answered where the pinned identity was expected (R-3.6.3).

    A blocked contact and a request stay as they are: there is no conversation to protect. A key
    that was announced stays on offer: an address proves less than the pinned key's signature.
    """
    if presented == pin.identity or pin.trust in (Trust.BLOCKED, Trust.REQUEST) or pin.announced:
        return pin
    return replace(pin, trust=Trust.CHANGED, offered=presented)


def on_announced(pin: Pin, successor: bytes) -> Pin:
    """Record that the pinned key has signed for ``successor`` in its place (R-3.7.10).

    The person decides, as about any other key: whoever stole the pinned one can sign as well. The
    first announcement stands until then; a revoked key announces nothing any more.
    """
    if (
        pin.trust in (Trust.BLOCKED, Trust.REQUEST)
        or pin.announced
        or pin.revoked_at_ms is not None
    ):
        return pin
    return replace(pin, trust=Trust.CHANGED, offered=successor, announced=True)


def on_accept(pin: Pin) -> Pin:
    """The person accepts: a request becomes a contact, an offered key becomes the pinned one.

    The new key starts unverified: the earlier comparison was of the other key (R-3.6.4).

    Raises:
        TrustError: There is no key to accept: none is offered, or the pinned one is revoked.
    """
    if pin.trust is not Trust.CHANGED:
        require_not_revoked(pin)
    match pin.trust:
        case Trust.REQUEST | Trust.BLOCKED:
            return Pin(pin.identity, Trust.UNVERIFIED)
        case Trust.CHANGED:
            if pin.offered is None:
                raise TrustError("no new key is known for this contact")
            return Pin(pin.offered, Trust.UNVERIFIED)
        case Trust.UNVERIFIED | Trust.VERIFIED:
            return pin


def on_keep(pin: Pin, *, was_verified: bool = False) -> Pin:
    """The person keeps the pinned key and dismisses the offered one (R-3.6.7).

    The pinned key has not changed, so a comparison of it holds as it did before.

    Raises:
        TrustError: The pinned key is revoked: it is not to be kept.
    """
    require_not_revoked(pin)
    if pin.trust is Trust.CHANGED:
        return Pin(pin.identity, Trust.VERIFIED if was_verified else Trust.UNVERIFIED)
    return pin


def on_verified(pin: Pin) -> Pin:
    """The person compared the pinned key with its owner, and it agreed (R-3.6.5).

    Raises:
        TrustError: Another key is offered or the contact is blocked or only a request: deciding
            that comes first. The key is revoked: nothing makes it good.
    """
    require_not_revoked(pin)
    match pin.trust:
        case Trust.UNVERIFIED | Trust.VERIFIED:
            return replace(pin, trust=Trust.VERIFIED)
        case Trust.CHANGED:
            raise TrustError("the contact's key has changed; accept or refuse the new key first")
        case Trust.REQUEST:
            raise TrustError("accept the request first")
        case Trust.BLOCKED:
            raise TrustError("the contact is blocked")


def on_block(pin: Pin) -> Pin:
    """The person blocks the contact."""
    return replace(pin, trust=Trust.BLOCKED, offered=None, announced=False)


def on_revoked(pin: Pin, at_ms: int) -> Pin:
    """The owner has revoked the pinned key (R-3.7.3): refused from now on, whatever it was.

    A key that is offered in its place can still be accepted; nothing else can.
    """
    offered = pin.trust is Trust.CHANGED and pin.offered is not None
    trust = Trust.CHANGED if offered else Trust.BLOCKED
    return replace(pin, trust=trust, revoked_at_ms=at_ms)


def require_not_revoked(pin: Pin) -> None:
    """Return only if the pinned key is not revoked (R-3.7.4).

    Raises:
        TrustError: It is, for good.
    """
    if pin.revoked_at_ms is not None:
        raise TrustError("this key is revoked, for good; the contact needs a new link")


def require_sendable(pin: Pin, *, verified_only: bool = False) -> None:
    """Return only if messages may be composed to this contact (R-3.6.6).

    Args:
        pin: The contact's.
        verified_only: The person's own rule, stricter than the protocol's.

    Raises:
        TrustError: Changed, blocked, only a request, or not verified against that rule; or the key
            is revoked.
    """
    require_not_revoked(pin)
    match pin.trust:
        case Trust.VERIFIED:
            return
        case Trust.UNVERIFIED:
            if verified_only:
                raise TrustError(
                    "the settings allow messages to verified contacts only (verified_only); "
                    "compare the safety number or a phrase first"
                )
            return
        case Trust.CHANGED:
            raise TrustError("the contact's key has changed; accept or refuse the new key first")
        case Trust.REQUEST:
            raise TrustError("accept the request first")
        case Trust.BLOCKED:
            raise TrustError("the contact is blocked")


def may_converse(pin: Pin) -> bool:
    """Tell whether a session with the pinned identity is allowed at all."""
    agreed = pin.trust in (Trust.UNVERIFIED, Trust.VERIFIED, Trust.CHANGED)
    return agreed and pin.revoked_at_ms is None
