"""The person's settings: ``config.toml`` in the profile's folder, read into a frozen ``Config``.

Nothing needs to be set: a missing file means the defaults. An unknown or malformed entry is an
error that names it, never ignored: a mistyped setting that silently does nothing is worse than
a refusal. Command-line options override what stands here; that is the caller's business.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from p2pchat.errors import IdentityError, UsageError
from p2pchat.identity.link import parse_address

CONFIG_MAX_BYTES: Final = 1 << 16
"""A file of settings is a few lines; anything larger was not meant to be one."""
IDLE_MIN_S: Final = 10
"""A profile that locks while one reads a message is of no use."""
IDLE_MAX_S: Final = 7 * 86400
UNSENT_MAX_H: Final = 365 * 24
"""Nobody waits longer for a message to leave; 0 lets it wait for ever."""


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, with their defaults.

    Attributes:
        listen: Where to accept connections, ``host:port``. By default on every IPv4 interface,
            since peers on the same network could not reach us otherwise, on a free port that the
            system picks and the node takes again next time: the contact link tells it.
        connect_timeout_s: How long one address of a peer may take to answer.
        retry_first_s: Pause before a peer that did not answer is dialled again.
        retry_max_s: That pause doubles up to this; short, because nobody waits 15 minutes.
        stealth: Answer only peers that know our static key from an earlier connection; to others
            the port is mute (protocol.md §5.7). New contacts must then be dialled by us.
        cover_interval_s: While connected, send one frame of one size each time this many seconds
            have passed, said or unsaid, so that nobody sees when we write (protocol.md §7.7). Costs
            2068 bytes each time, and half the interval for each message. Off unless set.
        rotate_static_days: How old our static key may grow before a new one takes its place
            (protocol.md §3.3); 0 leaves it until the person asks.
        retention_days: For how many days messages are kept, unless a contact has a rule of its own;
            0 keeps them for good. What is unread or not delivered yet stays.
        unsent_expires_h: After how many hours a message that could not be sent is given up, unless
            something else was said when it was sent; 0 lets it wait.
        classical_peers: Talk to contacts whose program has no post-quantum handshake yet, and
            show it. Whoever has had one once is never let down to less.
        passphrase_command: Program and arguments whose first line of output is the passphrase;
            not asked when ``--passphrase-file`` is given.
        lock_after_s: Lock the profile when nobody has used it for so long; 0 never does. Unset,
            the terminal app does after a quarter of an hour, and ``node`` never.
        verified_only: Send messages to verified contacts only; to others they are refused, and
            what waits goes on waiting. What they send is shown all the same.
        read_receipts: Tell contacts which of their messages were seen. What they tell is shown
            whether we tell or not.
        typing: Tell contacts who are online while something is being written to them.
    """

    listen: tuple[str, ...] = ("0.0.0.0:0",)  # a chat of two computers needs it
    connect_timeout_s: float = 10.0
    retry_first_s: float = 1.0
    retry_max_s: float = 30.0
    stealth: bool = False
    classical_peers: bool = True
    passphrase_command: tuple[str, ...] = ()
    lock_after_s: float | None = None
    verified_only: bool = False
    read_receipts: bool = False
    typing: bool = False
    cover_interval_s: float | None = None
    rotate_static_days: int = 30
    retention_days: int = 0
    unsent_expires_h: int = 0


def load_config(path: Path) -> Config:
    """Read ``path``; a missing file means the defaults.

    Raises:
        UsageError: It cannot be read, or says something that is no setting.
    """
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_MAX_BYTES + 1)
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > CONFIG_MAX_BYTES:
        raise UsageError(f"{path} has more than {CONFIG_MAX_BYTES} bytes: is it the right file?")
    try:
        return parse_config(tomllib.loads(content.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def parse_config(settings: Mapping[str, Any]) -> Config:
    """Return the ``Config`` that parsed TOML describes.

    Raises:
        UsageError: An unknown setting, or a value of the wrong kind or out of range.
    """
    known = [field.name for field in fields(Config)]
    for key in settings:
        if key not in known:
            raise UsageError(f"there is no setting {key!r}; known are {', '.join(known)}")
    defaults = Config()
    config = Config(
        listen=_addresses(settings, "listen", defaults.listen),
        connect_timeout_s=_seconds(settings, "connect_timeout_s", defaults.connect_timeout_s),
        retry_first_s=_seconds(settings, "retry_first_s", defaults.retry_first_s),
        retry_max_s=_seconds(settings, "retry_max_s", defaults.retry_max_s),
        stealth=_flag(settings, "stealth", defaults.stealth),
        classical_peers=_flag(settings, "classical_peers", defaults.classical_peers),
        passphrase_command=_command(settings, "passphrase_command"),
        lock_after_s=_idle(settings, "lock_after_s"),
        verified_only=_flag(settings, "verified_only", defaults.verified_only),
        typing=_flag(settings, "typing", defaults.typing),
        read_receipts=_flag(settings, "read_receipts", defaults.read_receipts),
        cover_interval_s=(
            _seconds(settings, "cover_interval_s", 1.0) if "cover_interval_s" in settings else None
        ),
        rotate_static_days=_days(settings, "rotate_static_days", defaults.rotate_static_days),
        retention_days=_days(settings, "retention_days", defaults.retention_days, most=36_500),
        unsent_expires_h=_hours(settings, "unsent_expires_h", defaults.unsent_expires_h),
    )
    if config.retry_max_s < config.retry_first_s:
        raise UsageError("'retry_max_s' is less than 'retry_first_s'")
    return config


def _seconds(settings: Mapping[str, Any], key: str, default: float) -> float:
    value = settings.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{key!r} is a number of seconds, such as 10")
    if not 0.1 <= value <= 3600:
        raise UsageError(f"{key!r} lies between 0.1 and 3600 seconds")
    return float(value)


def _days(settings: Mapping[str, Any], key: str, default: int, *, most: int = 365) -> int:
    value = settings.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise UsageError(f"{key!r} is a whole number of days up to {most}; 0 is never")
    return value


def _hours(settings: Mapping[str, Any], key: str, default: int) -> int:
    value = settings.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= UNSENT_MAX_H:
        raise UsageError(f"{key!r} is a whole number of hours up to {UNSENT_MAX_H}; 0 is never")
    return value


def _idle(settings: Mapping[str, Any], key: str) -> float | None:
    value = settings.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{key!r} is a number of seconds, such as 900; 0 is never")
    if value != 0 and not IDLE_MIN_S <= value <= IDLE_MAX_S:
        raise UsageError(f"{key!r} is 0 or lies between {IDLE_MIN_S} and {IDLE_MAX_S} seconds")
    return float(value)


def _command(settings: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = settings.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f'{key!r} is a list of words, such as ["pass", "show", "p2pchat"]')
    if key in settings and not (value and value[0]):
        raise UsageError(f"{key!r} names no program")
    return tuple(value)


def _flag(settings: Mapping[str, Any], key: str, default: bool) -> bool:
    value = settings.get(key, default)
    if not isinstance(value, bool):
        raise UsageError(f"{key!r} is true or false")
    return value


def _addresses(settings: Mapping[str, Any], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = settings.get(key, list(default))
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f'{key!r} is a list of addresses, such as ["0.0.0.0:7420"]; [] is none')
    for address in value:
        host, _, port = address.rpartition(":")
        try:
            # Port 0 is for listening only, so the parser of peers' addresses refuses it.
            parse_address(f"{host}:1" if port == "0" else address)
        except IdentityError as error:
            raise UsageError(f"{key!r}: {error}") from error
    return tuple(value)
