"""What the app is to do outside of its state: the reducer gives these orders, ``app`` obeys.

The reducer itself touches nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pchat.crypto.secret import Secret


@dataclass(frozen=True, slots=True)
class Call:
    """Call a method of the client; the answer comes back as an action.

    Attributes:
        handle: The contact that it is about, or "".
        local_key: Of the message whose id the answer brings.
    """

    method: str
    params: tuple[tuple[str, object], ...] = field(default=(), repr=False)
    handle: str = ""
    local_key: str = ""


@dataclass(frozen=True, slots=True)
class SetComposer:
    """Put this text into the composer, cursor at its end."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClearEntry:
    """Empty the setup screen's field."""


@dataclass(frozen=True, slots=True)
class CreateProfile:
    """Make the identity; without a passphrase, the keychain keeps the key."""

    name: str
    passphrase: Secret | None


@dataclass(frozen=True, slots=True)
class OpenProfile:
    """Open the profile with this passphrase, or with the keychain."""

    passphrase: Secret | None


@dataclass(frozen=True, slots=True)
class ForgetAll:
    """Empty every field, clipboard, queue and cache that may hold words of the chat."""


@dataclass(frozen=True, slots=True)
class LockProfile:
    """Make the process that holds the profile let go of its keys."""


@dataclass(frozen=True, slots=True)
class Leave:
    """End the app."""


Effect = (
    Call | SetComposer | ClearEntry | CreateProfile | OpenProfile | ForgetAll | LockProfile | Leave
)
