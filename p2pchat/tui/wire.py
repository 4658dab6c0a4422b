"""The client's answers and notifications as actions: the border where foreign text is cleaned.

Everything that anybody else wrote (names, notes, messages, reasons) passes ``sanitize`` here or
in ``foreign``, so no other module of the app meets it raw. Answers are checked for their types: a
node of another version may answer what this app does not understand, and that is said, not guessed
around.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from p2pchat.constants import NAME_MAX_BYTES
from p2pchat.identity.trust import Trust
from p2pchat.sanitize import clean_line
from p2pchat.tui.actions import Action, answer, news
from p2pchat.tui.conversation import Delivery
from p2pchat.tui.effects import Call
from p2pchat.tui.foreign import (
    ID_MAX_CHARS,
    REASON_MAX_CHARS,
    ForeignContact,
    ForeignMessage,
    to_contact,
    to_message,
)
from p2pchat.tui.panel_state import Hit
from p2pchat.tui.state import Identity
from p2pchat.tui.words import warning

_ANSWER_FOREIGN: Final = "the node gave an answer that this version does not understand"


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


class _Found(ForeignMessage, kw_only=True):
    contact: str


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
        return answer.CallFailed(call, _ANSWER_FOREIGN)


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
            link, peer_id = (
                clean_line(me.link, len(me.link)),
                clean_line(me.peer_id, ID_MAX_CHARS),
            )
            name = clean_line(me.name, NAME_MAX_BYTES)
            return answer.IdentityShown(Identity(name, peer_id, link, me.revoked_at_ms))
        case "node.status":
            listen = msgspec.convert(result, _Status).listen
            return answer.StatusShown(tuple(clean_line(each, REASON_MAX_CHARS) for each in listen))
        case "audit.warnings":
            warnings = msgspec.convert(result, list[_Warning])
            return answer.WarningsListed(
                tuple(warning(each.pattern, each.count) for each in warnings)
            )
        case "contact.list":
            contacts = msgspec.convert(result, list[ForeignContact])
            return answer.ContactsListed(tuple(to_contact(each) for each in contacts))
        case "contact.add":
            return answer.ContactAdded(msgspec.convert(result, _Added).contact)
        case (
            "contact.accept"
            | "contact.decline"
            | "contact.block"
            | "contact.keep"
            | "contact.remove"
        ):
            return answer.ContactSettled(call.handle, call.method)
        case "message.typing":
            return answer.WritingTold(msgspec.convert(result, _Told).told)
        case "message.edit" | "message.delete" | "message.react":
            return answer.MessageHandled(call.handle)
        case "record.step" | "record.sign" | "message.reply" | "message.timer":
            return answer.RecordChanged(call.handle)
        case "message.resend":
            old_id = str(dict(call.params).get("message_id", ""))
            return answer.MessageResent(call.handle, old_id)
        case "contact.retry":
            return answer.Retried(call.handle)
        case "contact.safety_number":
            return answer.NumberShown(call.handle, _digits(msgspec.convert(result, _Number).number))
        case "contact.verify":
            return answer.NumberAgreed(call.handle)
        case "contact.compare":
            asked = msgspec.convert(result, _Offered).state == "asked"
            return answer.PhraseOffered(call.handle, asked)
        case "contact.compare_cancel" | "contact.compare_again":
            return answer.PhraseSettled(call.handle, call.method)
        case "message.send":
            sent = msgspec.convert(result, _Sent)
            state = Delivery(sent.state)
            return answer.MessageStored(call.handle, call.local_key, sent.message_id, state)
        case "message.list":
            return _listed(call, msgspec.convert(result, list[ForeignMessage]))
        case "message.search":
            hits = tuple(
                Hit(each.contact, to_message(each))
                for each in msgspec.convert(result, list[_Found])
            )
            return answer.SearchDone("", str(dict(call.params).get("words", "")), hits)
        case "message.export":
            written = msgspec.convert(result, _Written)
            file = clean_line(str(dict(call.params)["path"]), REASON_MAX_CHARS)
            return answer.Exported(file, written.messages)
        case "message.mark_read":
            return answer.MarkedRead(call.handle)
        case _:
            raise ValueError(call.method)


def _listed(call: Call, listed: list[ForeignMessage]) -> Action:
    messages = tuple(to_message(each) for each in listed)
    params = dict(call.params)
    wanted = params.get("search", params.get("after_ms"))
    if isinstance(wanted, str | int):
        hits = tuple(Hit(call.handle, message) for message in messages)
        return answer.SearchDone(call.handle, wanted, hits)
    if "after" in params:
        return answer.NewerLoaded(call.handle, str(params["after"]), messages)
    return answer.HistoryLoaded(call.handle, str(params.get("before", "")), messages)


def _notified(method: str, params: dict[str, Any], now_ms: int) -> Action | None:
    match method:
        case "message.received":
            message = to_message(msgspec.convert(params, ForeignMessage))
            return news.MessageArrived(str(params["contact"]), message)
        case "message.queued":
            message = to_message(msgspec.convert(params, ForeignMessage))
            return news.MessageQueued(str(params["contact"]), message)
        case "message.changed" if params.get("removed"):
            return news.MessageRemoved(str(params["contact"]), str(params["message_id"]))
        case "message.changed":
            message = to_message(msgspec.convert(params, ForeignMessage))
            return news.MessageChanged(str(params["contact"]), message)
        case "message.state":
            moved = msgspec.convert(params, _Moved)
            reason = clean_line(moved.reason, REASON_MAX_CHARS)
            return news.MessageMoved(moved.contact, moved.message_id, Delivery(moved.state), reason)
        case "contact.state":
            seen = msgspec.convert(params, _Presence)
            return news.ContactMoved(seen.contact, seen.online, Trust(seen.trust), seen.pq)
        case "contact.removed":
            return news.ContactGone(str(params["contact"]))
        case "identity.revoked":
            return news.IdentityRevoked()
        case "contact.typing":
            written = msgspec.convert(params, _Writing)
            return news.ContactWriting(written.contact, written.writing)
        case "contact.request":
            request = msgspec.convert(params, _Request)
            return news.RequestArrived(clean_line(request.name, NAME_MAX_BYTES) or "Somebody")
        case "contact.compare_asked":
            return news.PhraseAsked(str(params["contact"]), now_ms)
        case "contact.compared":
            end = msgspec.convert(params, _Ended)
            return news.PhraseCompared(end.contact, end.outcome, end.tries_left, now_ms)
        case "session.restarted":
            restarted = msgspec.convert(params, _Restarted)
            cause = clean_line(restarted.cause, REASON_MAX_CHARS)
            return news.SessionRenewed(restarted.contact, cause, now_ms)
        case "ledger.differed":
            differed = msgspec.convert(params, _Differed)
            return news.Announced(differed.contact, _ledger_words(differed), now_ms)
        case "contact.key":
            told = msgspec.convert(params, _KeyNews)
            return news.KeyTold(told.contact, told.news, told.at_ms, now_ms)
        case "audit.warning":
            warned = msgspec.convert(params, _Warning)
            return news.AuditWarned(warning(warned.pattern, warned.count))
        case "node.locked":
            return news.LockChanged()
        case "unlock.failures":
            tried = msgspec.convert(params, _Failures)
            return news.FailuresTold(tried.count, tried.last_at_ms)
        case "notifications.lost" | "history.cut":
            return news.NewsLost()
        case _:
            return None


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


def _digits(number: str) -> str:
    groups = number.split()
    if not all(group.isascii() and group.isdigit() for group in groups):
        raise ValueError("not a safety number")
    return " ".join(groups)
