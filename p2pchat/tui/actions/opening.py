"""What happens on the screen before the chat: an identity is made, or a profile is opened."""

from __future__ import annotations

from dataclasses import dataclass

from p2pchat.crypto.secret import Secret


@dataclass(frozen=True, slots=True)
class EntrySubmitted:
    """Enter on the setup screen; a Secret, since it may be a passphrase."""

    entry: Secret


@dataclass(frozen=True, slots=True)
class KeychainChosen:
    """F2 on the setup screen: the system's keychain instead of a passphrase."""


@dataclass(frozen=True, slots=True)
class ProfileOpened:
    """The client is there."""


@dataclass(frozen=True, slots=True)
class SetupFailed:
    """Creating or opening failed in a way that another try can mend."""

    text: str


Opening = EntrySubmitted | KeychainChosen | ProfileOpened | SetupFailed
