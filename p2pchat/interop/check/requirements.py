"""What cannot be judged from outside, and where it is shown instead.

Together with the checks this covers every requirement of protocol.md: a test holds the kit to it.
"""

from __future__ import annotations

from typing import Final

_LOCAL: Final = "inside an implementation"
_SCREEN: Final = "on its person's screen"
_VECTORS: Final = "by `interop vectors`"

ELSEWHERE: Final[dict[str, str]] = {
    "R-2.1.1": _LOCAL,
    "R-3.1.1": _LOCAL,
    "R-3.2.1": f"{_VECTORS}: identity.json",
    "R-3.2.2": f"{_VECTORS}: identity.json",
    "R-3.4.1": f"{_VECTORS}: identity.json",
    "R-3.4.2": f"{_VECTORS}: identity.json",
    "R-3.5.1": f"{_VECTORS}: identity.json",
    "R-3.5.2": f"{_VECTORS}: identity.json",
    "R-3.6.1": _LOCAL,
    "R-3.6.3": _SCREEN,
    "R-3.6.4": _SCREEN,
    "R-3.6.5": _SCREEN,
    "R-3.6.6": _LOCAL,
    "R-3.6.7": _SCREEN,
    "R-3.7.1": f"{_VECTORS}: identity.json",
    "R-3.7.2": f"{_VECTORS}: identity.json",
    "R-3.7.3": "a peer need not know notices",
    "R-3.7.4": "a peer need not know notices",
    "R-3.7.5": "takes a peer whose own key is revoked",
    "R-3.7.6": "takes an identity that was brought back",
    "R-3.7.7": "a recommendation",
    "R-3.7.8": f"{_VECTORS}: identity.json",
    "R-3.7.10": _SCREEN,
    "R-4.3.5": _SCREEN,
    "R-5.1.3": "no longer message fits a frame",
    "R-5.1.5": "no connection sends 2^64 frames",
    "R-5.1.8": _LOCAL,
    "R-5.2.1": "a refused message ends the connection",
    "R-5.2.2": "a refused frame ends the connection",
    "R-5.2.4": _LOCAL,
    "R-5.4.4": "takes its private key",
    "R-5.5.6": _LOCAL,
    "R-5.5.8": _LOCAL,
    "R-5.7.1": "takes a node in stealth, which is silent to the kit",
    "R-6.3.5": "tests/vectors/ratchet.json",
    "R-6.4.2": "no chain has 2^32 messages",
    "R-6.4.4": _LOCAL,
    "R-6.4.5": "tests/vectors/ratchet.json",
    "R-6.5.2": _LOCAL,
    "R-6.5.3": _LOCAL,
    "R-6.6.1": _LOCAL,
    "R-6.6.2": _LOCAL,
    "R-6.7.3": "a recommendation",
    "R-6.7.5": "tests/vectors/ratchet.json",
    "R-6.7.7": _LOCAL,
    "R-7.5.2": _SCREEN,
    "R-7.6.3": "takes a day",
    "R-7.7.1": "a side's own decision",
    "R-7.7.2": "a side's own decision",
    "R-7.8.1": "a peer need not know notices",
    "R-8.2.1": "takes a crash at every instant",
    "R-8.2.2": "takes a crash at every instant",
    "R-8.3.3": _SCREEN,
    "R-8.4.5": _SCREEN,
    "R-8.6.1": _LOCAL,
    "R-8.6.2": "a peer need not keep a ledger",
    "R-8.6.3": f"{_VECTORS}: session.json",
    "R-8.6.4": f"{_VECTORS}: session.json",
    "R-8.6.5": "a side's own decision",
    "R-8.6.6": _SCREEN,
    "R-9.2.3": _SCREEN,
    "R-9.3.1": _SCREEN,
    "R-9.3.2": _SCREEN,
    "R-9.3.3": _SCREEN,
    "R-9.3.4": _SCREEN,
    "R-9.3.5": _LOCAL,
    "R-10.2.1": "takes both sides dialling at the same instant",
}
"""By requirement: how it shows, if not on the wire of a checked connection."""
