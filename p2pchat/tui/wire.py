"""The client's answers and notifications as actions: the border where foreign text is cleaned.

Everything that anybody else wrote (names, notes, messages, reasons) passes ``sanitize`` here, so
no other module of the app meets it raw. Answers are checked for their types: a node of another
version may answer what this app does not understand, and that is said, not guessed around.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from p2pchat.constants import NAME_MAX_BYTES, NOTE_MAX_CHARS, REACTION_MAX_BYTES
from p2pchat.identity.trust import Trust
from p2pchat.sanitize import clean_line, clean_text
from p2pchat.tui import actions as a
from p2pchat.tui.actions import Action
from p2pchat.tui.effects import Call
from p2pchat.tui.state import QUOTE_MAX_CHARS, Contact, Delivery, Identity, Message
from p2pchat.tui.words import warning

REASON_MAX_CHARS: Final = 200
_ID_MAX_CHARS: Final = 80
_REACTIONS_MAX: Final = 2
"""One of each side."""
_ANSWER_FOREIGN: Final = "the node gave an answer that this version does not understand"


class _Contact(msgspec.Struct):
    contact: str
    name: str
    peer_id: str
    trust: str
    online: bool
    pq: bool
    unread: int = 0
    note: str = ""
    offline_reason: str = ""
    offered_peer_id: str | None = None
    verified_at_ms: int | None = None
    verified_by: str | None = None
    verify_first: bool = False
    record: str = "off"
    revoked_at_ms: int | None = None
    announced: bool = False
    timer_s: int = 0
    timer_asked_s: int | None = None


class _Reaction(msgspec.Struct):
    direction: str
    emoji: str


class _Message(msgspec.Struct):
    message_id: str
    text: str
    sent_at_ms: int
    direction: str = "in"
    state: str = Delivery.DELIVERED
    reason: str = ""
    kind: str = "text"
    reply_to: str | None = None
    quote: str = ""
    edited_at_ms: int | None = None
    deleted: bool = False
    reactions: list[_Reaction] = msgspec.field(default_factory=list)
    lifetime_s: int | None = None


class _Identity(msgspec.Struct):
    name: str
    peer_id: str
    link: str
    revoked_at_ms: int | None = None


class _Warning(msgspec.Struct):
    pattern: str
    count: int


class _Status(msgspec.Struct):
    listen: list[str]


class _Added(msgspec.Struct):
    contact: str


class _Sent(msgspec.Struct):
    message_id: str
    state: str


class _Written(msgspec.Struct):
    messages: int


class _Number(msgspec.Struct):
    number: str


class _Offered(msgspec.Struct):
    state: str


class _Ended(msgspec.Struct):
    contact: str
    outcome: str
    tries_left: int


class _Moved(msgspec.Struct):
    contact: str
    message_id: str
    state: str
    reason: str = ""


class _Presence(msgspec.Struct):
    contact: str
    online: bool
    trust: str
    pq: bool


class _Told(msgspec.Struct):
    told: bool


class _Writing(msgspec.Struct):
    contact: str
    writing: bool


class _Request(msgspec.Struct):
    name: str


class _KeyNews(msgspec.Struct):
    contact: str
    news: str
    at_ms: int


class _Failures(msgspec.Struct):
    count: int
    last_at_ms: int


class _Restarted(msgspec.Struct):
    contact: str
    cause: str


class _Differed(msgspec.Struct):
    contact: str
    lost_here: int
    sent_elsewhere: int
    lost_there: int
    forked: bool


def answered(call: Call, result: object) -> Action:
    """Return the action that an answer to ``call`` means; total."""
    try:
        return _answered(call, result)
    except (msgspec.ValidationError, ValueError):
        return a.CallFailed(call, _ANSWER_FOREIGN)


def notified(method: str, params: dict[str, Any], now_ms: int) -> Action | None:
    """Return the action that a notification means; None for one that this app does not know."""
    try:
        return _notified(method, params, now_ms)
    except (msgspec.ValidationError, ValueError):
        return None


def _answered(call: Call, result: object) -> Action:
    match call.method:
        case "identity.show":
            me = msgspec.convert(result, _Identity)
            # The link is ours and strictly formed, but so is everything else drawn as one line.
            link, peer_id = clean_line(me.link, len(me.link)), _line(me.peer_id, _ID_MAX_CHARS)
            name = _line(me.name, NAME_MAX_BYTES)
            return a.IdentityShown(Identity(name, peer_id, link, me.revoked_at_ms))
        case "node.status":
            listen = msgspec.convert(result, _Status).listen
            return a.StatusShown(tuple(_line(each, REASON_MAX_CHARS) for each in listen))
        case "audit.warnings":
            warnings = msgspec.convert(result, list[_Warning])
            return a.WarningsListed(tuple(warning(each.pattern, each.count) for each in warnings))
        case "contact.list":
            contacts = msgspec.convert(result, list[_Contact])
            return a.ContactsListed(tuple(_contact(each) for each in contacts))
        case "contact.add":
            return a.ContactAdded(msgspec.convert(result, _Added).contact)
        case (
            "contact.accept"
            | "contact.decline"
            | "contact.block"
            | "contact.keep"
            | "contact.remove"
        ):
            return a.ContactSettled(call.handle, call.method)
        case "message.typing":
            return a.WritingTold(msgspec.convert(result, _Told).told)
        case "message.edit" | "message.delete" | "message.react":
            return a.MessageHandled(call.handle)
        case "record.step" | "record.sign" | "message.reply" | "message.timer":
            return a.RecordChanged(call.handle)
        case "contact.retry":
            return a.Retried(call.handle)
        case "contact.safety_number":
            return a.NumberShown(call.handle, _digits(msgspec.convert(result, _Number).number))
        case "contact.verify":
            return a.NumberAgreed(call.handle)
        case "contact.compare":
            asked = msgspec.convert(result, _Offered).state == "asked"
            return a.PhraseOffered(call.handle, asked)
        case "contact.compare_cancel" | "contact.compare_again":
            return a.PhraseSettled(call.handle, call.method)
        case "message.send":
            sent = msgspec.convert(result, _Sent)
            state = Delivery(sent.state)
            return a.MessageStored(call.handle, call.local_key, sent.message_id, state)
        case "message.list":
            return _listed(call, msgspec.convert(result, list[_Message]))
        case "message.export":
            written = msgspec.convert(result, _Written)
            file = _line(str(dict(call.params)["path"]), REASON_MAX_CHARS)
            return a.Exported(file, written.messages)
        case "message.mark_read":
            return a.MarkedRead(call.handle)
        case _:
            raise ValueError(call.method)


def _listed(call: Call, listed: list[_Message]) -> Action:
    messages = tuple(_message(each) for each in listed)
    params = dict(call.params)
    if "search" in params:
        return a.SearchDone(call.handle, str(params["search"]), messages)
    if isinstance(after_ms := params.get("after_ms"), int):
        return a.SearchDone(call.handle, after_ms, messages)
    return a.HistoryLoaded(call.handle, str(params.get("before", "")), messages)


def _notified(method: str, params: dict[str, Any], now_ms: int) -> Action | None:
    match method:
        case "message.received":
            message = _message(msgspec.convert(params, _Message))
            return a.MessageArrived(str(params["contact"]), message)
        case "message.changed" if params.get("removed"):
            return a.MessageRemoved(str(params["contact"]), str(params["message_id"]))
        case "message.changed":
            message = _message(msgspec.convert(params, _Message))
            return a.MessageChanged(str(params["contact"]), message)
        case "message.state":
            moved = msgspec.convert(params, _Moved)
            reason = _line(moved.reason, REASON_MAX_CHARS)
            return a.MessageMoved(moved.contact, moved.message_id, Delivery(moved.state), reason)
        case "contact.state":
            seen = msgspec.convert(params, _Presence)
            return a.ContactMoved(seen.contact, seen.online, Trust(seen.trust), seen.pq)
        case "contact.typing":
            written = msgspec.convert(params, _Writing)
            return a.ContactWriting(written.contact, written.writing)
        case "contact.request":
            request = msgspec.convert(params, _Request)
            return a.RequestArrived(_line(request.name, NAME_MAX_BYTES) or "Somebody")
        case "contact.compare_asked":
            return a.PhraseAsked(str(params["contact"]), now_ms)
        case "contact.compared":
            end = msgspec.convert(params, _Ended)
            return a.PhraseCompared(end.contact, end.outcome, end.tries_left, now_ms)
        case "session.restarted":
            restarted = msgspec.convert(params, _Restarted)
            cause = _line(restarted.cause, REASON_MAX_CHARS)
            return a.SessionRenewed(restarted.contact, cause, now_ms)
        case "ledger.differed":
            differed = msgspec.convert(params, _Differed)
            return a.Announced(differed.contact, _ledger_words(differed), now_ms)
        case "contact.key":
            news = msgspec.convert(params, _KeyNews)
            return a.KeyTold(news.contact, news.news, news.at_ms, now_ms)
        case "audit.warning":
            warned = msgspec.convert(params, _Warning)
            return a.AuditWarned(warning(warned.pattern, warned.count))
        case "node.locked":
            return a.LockChanged()
        case "unlock.failures":
            told = msgspec.convert(params, _Failures)
            return a.FailuresTold(told.count, told.last_at_ms)
        case "notifications.lost" | "history.cut":
            return a.NewsLost()
        case _:
            return None


def _contact(wire: _Contact) -> Contact:
    peer_id = _line(wire.peer_id, _ID_MAX_CHARS)
    return Contact(
        handle=wire.contact,
        name=_line(wire.name, NAME_MAX_BYTES) or peer_id[:8],
        peer_id=peer_id,
        trust=Trust(wire.trust),
        online=wire.online,
        post_quantum=wire.pq,
        unread=max(0, wire.unread),
        note=_line(wire.note, NOTE_MAX_CHARS),
        offline_reason=_line(wire.offline_reason, REASON_MAX_CHARS),
        offered_peer_id=_line(wire.offered_peer_id or "", _ID_MAX_CHARS),
        verified_at_ms=wire.verified_at_ms,
        verified_by=wire.verified_by or "",
        verify_first=wire.verify_first,
        record=wire.record,
        revoked_at_ms=wire.revoked_at_ms,
        announced=wire.announced,
        timer_s=wire.timer_s,
        timer_asked_s=wire.timer_asked_s or 0,
    )


def _message(wire: _Message) -> Message:
    return Message(
        key=wire.message_id,
        outgoing=wire.direction == "out",
        text=clean_text(wire.text),
        kind=wire.kind,
        sent_at_ms=wire.sent_at_ms,
        state=Delivery(wire.state),
        reason=_line(wire.reason, REASON_MAX_CHARS),
        answers=wire.reply_to or "",
        quote=_line(wire.quote, QUOTE_MAX_CHARS),
        edited=wire.edited_at_ms is not None,
        deleted=wire.deleted,
        reactions=tuple(
            (each.direction == "out", _line(each.emoji, REACTION_MAX_BYTES))
            for each in wire.reactions[:_REACTIONS_MAX]
        ),
        vanishes=wire.lifetime_s is not None,
    )


def _ledger_words(differed: _Differed) -> str:
    """Say what is missing where, and what it can mean (protocol.md §8.6)."""
    found = []
    if differed.lost_here:
        found.append(f"missing here, though delivered before: {differed.lost_here}")
    if differed.sent_elsewhere:
        found.append(f"sent in your name and not known here: {differed.sent_elsewhere}")
    if differed.lost_there:
        found.append(f"yours, missing on their side now: {differed.lost_there}")
    if differed.forked:
        found.append("the two sides remember another past")
    return (
        f"The two histories differ ({'; '.join(found)}). Somebody restored an older copy, "
        "or a second copy of a profile is in use."
    )


def _line(text: str, max_chars: int) -> str:
    return clean_line(text, max_chars)


def _digits(number: str) -> str:
    groups = number.split()
    if not all(group.isascii() and group.isdigit() for group in groups):
        raise ValueError("not a safety number")
    return " ".join(groups)
