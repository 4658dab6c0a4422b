"""The parameters of each method as types; what does not fit them exactly is -32602.

Converted strictly: no coercion, no unknown fields, and every length bounded before the node
sees it. Meaning (does the contact exist, does the link parse) is the node's to judge.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from p2pchat.constants import (
    ADDRESS_MAX_BYTES,
    LINK_ADDRESSES_MAX,
    LINK_MAX_CHARS,
    NAME_MAX_BYTES,
    NOTE_MAX_CHARS,
    PHRASE_MAX_BYTES,
    REACTION_MAX_BYTES,
    TEXT_MAX_BYTES,
    TIMER_MAX_S,
    TIMER_MIN_S,
)
from p2pchat.crypto.secret import Secret
from p2pchat.node.audit_desk import RECORDS_MAX as AUDIT_MAX
from p2pchat.node.conversations import MESSAGES_MAX
from p2pchat.node.export import ExportFormat
from p2pchat.node.history import FOUND_MAX
from p2pchat.node.retention import DAYS_MAX
from p2pchat.rpc.protocol import RpcCode, RpcError
from p2pchat.store.unlocking import (
    PASSPHRASE_MAX_BYTES,
    KeychainUnlock,
    PassphraseUnlock,
    Unlock,
)

LIST_DEFAULT: Final = 50
"""Messages in a page when nothing is said: a screen and a half."""
LIST_MAX: Final = MESSAGES_MAX
"""Messages in one page, as the node allows: 640 MB of the longest texts, 2 MB of usual ones."""
WAIT_MAX_S: Final = 24 * 3600.0
"""One ``message.wait``; whoever waits longer asks again."""


Handle = Annotated[str, msgspec.Meta(min_length=1, max_length=4 * NAME_MAX_BYTES)]
"""A local name or a peer id; longer ones match nothing."""
MessageId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MAX_BYTES)]
Passphrase = Annotated[bytes, msgspec.Meta(max_length=PASSPHRASE_MAX_BYTES)]
"""As base64, since it is any bytes."""
Words = Annotated[str, msgspec.Meta(max_length=1024)]
Time = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
"""Unix milliseconds, as the store can hold them."""
Seconds = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31)]
"""Which of them are allowed, the node says in words."""
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=ADDRESS_MAX_BYTES)]


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base: no parameters."""

    def __repr__(self) -> str:
        """Name the kind alone: parameters hold messages and passphrases."""
        return f"<{type(self).__name__}>"


Methods = dict[str, tuple[type[Params], Callable[[Any], Awaitable[object]]]]
"""By name: what a method's parameters are, and what is done with them."""


class ContactParams(Params, frozen=True):
    """Methods that need only a contact."""

    contact: Handle


class AddParams(Params, frozen=True):
    """``contact.add``."""

    link: Annotated[str, msgspec.Meta(min_length=1, max_length=LINK_MAX_CHARS)]
    name: Name | None = None
    note: Annotated[str, msgspec.Meta(max_length=NOTE_MAX_CHARS)] = ""


class AddressParams(ContactParams, frozen=True):
    """``contact.address``."""

    addresses: Annotated[list[Address], msgspec.Meta(max_length=LINK_ADDRESSES_MAX)]


class VerifyParams(ContactParams, frozen=True):
    """``contact.verify``; the longest honest paste has white space all over."""

    number: Annotated[str, msgspec.Meta(max_length=1024)]


class CompareParams(ContactParams, frozen=True):
    """``contact.compare``; the node judges the phrase, this bounds it."""

    secret: Annotated[str, msgspec.Meta(min_length=1, max_length=4 * PHRASE_MAX_BYTES)]


class RetryParams(Params, frozen=True):
    """``contact.retry``; without a contact, all of them."""

    contact: Handle | None = None


class RevokeParams(Params, frozen=True):
    """``key.revoke``; without a certificate, our own identity."""

    certificate: Annotated[str, msgspec.Meta(min_length=1, max_length=LINK_MAX_CHARS)] | None = None


class TextParams(ContactParams, frozen=True):
    """``record.sign``; the node counts the bytes, this bounds the characters."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX_BYTES)]


class SendParams(TextParams, frozen=True):
    """``message.send``; given up if it could not be sent for ``expires_in_s`` seconds."""

    expires_in_s: Seconds | None = None


class RecordParams(ContactParams, frozen=True):
    """``record.step``."""

    step: Literal["propose", "accept", "decline", "end"]


class MessageParams(ContactParams, frozen=True):
    """Methods about one message."""

    message_id: MessageId


class ChangeParams(MessageParams, frozen=True):
    """``message.reply`` and ``message.edit``."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX_BYTES)]


class ReactParams(MessageParams, frozen=True):
    """``message.react``; an empty reaction takes it back."""

    emoji: Annotated[str, msgspec.Meta(max_length=REACTION_MAX_BYTES)]


class TimerParams(ContactParams, frozen=True):
    """``message.timer``; ``seconds`` with ``propose`` only."""

    step: Literal["propose", "accept", "decline", "end"]
    seconds: Annotated[int, msgspec.Meta(ge=TIMER_MIN_S, le=TIMER_MAX_S)] | None = None


class TypingParams(ContactParams, frozen=True):
    """``message.typing``."""

    writing: bool


class WaitParams(MessageParams, frozen=True):
    """``message.wait``; ``timeout`` in seconds."""

    timeout: Annotated[float, msgspec.Meta(ge=0, le=WAIT_MAX_S)]


class AuditParams(Params, frozen=True):
    """``audit.list``."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=AUDIT_MAX)] = LIST_DEFAULT
    kind: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class ListParams(ContactParams, frozen=True):
    """``message.list``."""

    before: MessageId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=LIST_MAX)] = LIST_DEFAULT
    search: Words | None = None
    after_ms: Time | None = None
    before_ms: Time | None = None
    oldest: bool = False
    after: MessageId | None = None


class SearchParams(Params, frozen=True):
    """``message.search``, over all contacts."""

    words: Words
    limit: Annotated[int, msgspec.Meta(ge=1, le=FOUND_MAX)] = LIST_DEFAULT
    after_ms: Time | None = None
    before_ms: Time | None = None


class ExportParams(ContactParams, frozen=True):
    """``message.export``."""

    path: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    format: ExportFormat = ExportFormat.TEXT


class RetentionParams(ContactParams, frozen=True):
    """``contact.retention``; without ``days`` it only tells, with null the settings decide."""

    days: Annotated[int, msgspec.Meta(ge=0, le=DAYS_MAX)] | msgspec.UnsetType | None = msgspec.UNSET


class LedgerParams(ContactParams, frozen=True):
    """``message.ledger``."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=LIST_MAX)] = LIST_DEFAULT


class BackupParams(Params, frozen=True):
    """``backup.create``; the passphrase as base64, since it is any bytes."""

    path: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    passphrase: Annotated[bytes, msgspec.Meta(min_length=1, max_length=PASSPHRASE_MAX_BYTES)]


class UnlockParams(Params, frozen=True):
    """``node.unlock``; without a passphrase, by the OS keychain."""

    passphrase: Passphrase | None = None


class KeychainParams(Params, frozen=True):
    """``key.keychain``; ``old`` is the passphrase until now, if there is one."""

    old: Passphrase | None = None


class PassphraseParams(Params, frozen=True):
    """``key.passphrase``; ``old`` as for the keychain."""

    new: Passphrase
    old: Passphrase | None = None


P = TypeVar("P", bound=Params)


def convert(params: dict[str, Any] | list[Any], kind: type[P]) -> P:
    """Return the parameters as ``kind``.

    Raises:
        RpcError: ``INVALID_PARAMS``, with the field and what was expected there.
    """
    try:
        return msgspec.convert(params or {}, kind)
    except msgspec.ValidationError as error:
        raise RpcError(RpcCode.INVALID_PARAMS, f"invalid parameters: {error}") from None


def to_unlock(passphrase: bytes | None) -> Unlock:
    """Return what a passphrase in parameters unlocks; none stands for the OS keychain."""
    return KeychainUnlock() if passphrase is None else PassphraseUnlock(Secret(passphrase))
