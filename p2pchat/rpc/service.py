"""What each JSON-RPC method does: one node seen through plain values (interface.md).

Every client speaks to this, the terminal app in the same process as well as a program at the
end of a pipe, so that there is one meaning of each method. Parameters are converted before the
node is touched; results and notifications are JSON values. Nothing here reads or writes bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, assert_never

from msgspec import UnsetType

from p2pchat.crypto.secret import Secret
from p2pchat.errors import UsageError
from p2pchat.identity.on_record import RecordStep
from p2pchat.node.views import (
    AuditWarned,
    ComparisonAsked,
    ComparisonEnded,
    ContactChanged,
    ContactRequested,
    ContactTyping,
    ContactView,
    HistoryCut,
    KeyNews,
    LedgersDiffered,
    LedgerView,
    MessageArrived,
    MessageChanged,
    MessageRemoved,
    MessageStateChanged,
    MessageView,
    NodeEvent,
    SessionRestarted,
)
from p2pchat.rpc import params as p
from p2pchat.rpc.failures import to_rpc_error
from p2pchat.rpc.protocol import RpcCode, RpcError
from p2pchat.session.vanishing import TimerStep, Vanishing
from p2pchat.store.records import MessageKind
from p2pchat.store.unlocking import KeychainUnlock, PassphraseUnlock

if TYPE_CHECKING:
    from p2pchat.node.node import Node, Subscription

_log = logging.getLogger(__name__)

Handler = Callable[[Any], Awaitable[object]]


class Service:
    """The methods of one running node.

    Args:
        node: Started; the owner stops it.
        on_stop: Called when a client asks the process to end; None where it may not.
    """

    SIDE_BY_SIDE: ClassVar = frozenset({"message.send"})
    """``Node.send`` gives a message its place in the outbox before it waits for the disk."""
    UNORDERED: ClassVar = frozenset(
        {"message.wait", "message.export", "backup.create", "history.shrink"}
    )
    """Methods that take long by nature and must not hold up the requests behind them."""

    def __init__(self, node: Node, *, on_stop: Callable[[], None] | None = None) -> None:
        self._node = node
        self._on_stop = on_stop
        self._methods: dict[str, tuple[type[p.Params], Handler]] = {
            "node.status": (p.Params, self._status),
            "node.stop": (p.Params, self._stop),
            "identity.show": (p.Params, self._identity),
            "key.status": (p.Params, self._key_status),
            "key.rotate": (p.Params, self._key_rotate),
            "contact.add": (p.AddParams, self._add),
            "contact.list": (p.Params, self._contacts),
            "contact.accept": (p.ContactParams, self._accept),
            "contact.decline": (p.ContactParams, self._decline),
            "contact.block": (p.ContactParams, self._block),
            "contact.keep": (p.ContactParams, self._keep),
            "contact.remove": (p.ContactParams, self._remove),
            "contact.retry": (p.RetryParams, self._retry),
            "contact.address": (p.AddressParams, self._address),
            "contact.safety_number": (p.ContactParams, self._safety_number),
            "contact.verify": (p.VerifyParams, self._verify),
            "key.revocation": (p.Params, self._revocation),
            "key.revoke": (p.RevokeParams, self._revoke),
            "key.passphrase": (p.PassphraseParams, self._change_passphrase),
            "key.keychain": (p.KeychainParams, self._change_to_keychain),
            "contact.compare": (p.CompareParams, self._compare),
            "contact.compare_cancel": (p.ContactParams, self._compare_cancel),
            "contact.compare_again": (p.ContactParams, self._compare_again),
            "message.send": (p.SendParams, self._send),
            "record.step": (p.RecordParams, self._record),
            "record.sign": (p.SendParams, self._sign),
            "record.export": (p.MessageParams, self._export),
            "message.reply": (p.ChangeParams, self._reply),
            "message.edit": (p.ChangeParams, self._edit),
            "message.delete": (p.MessageParams, self._delete),
            "message.react": (p.ReactParams, self._react),
            "message.timer": (p.TimerParams, self._timer),
            "message.typing": (p.TypingParams, self._typing),
            "message.list": (p.ListParams, self._messages),
            "message.cancel": (p.MessageParams, self._cancel),
            "message.mark_read": (p.ContactParams, self._mark_read),
            "message.search": (p.SearchParams, self._search),
            "message.export": (p.ExportParams, self._export_history),
            "contact.retention": (p.RetentionParams, self._retention),
            "history.shrink": (p.Params, self._shrink),
            "message.ledger": (p.LedgerParams, self._ledger),
            "message.wait": (p.WaitParams, self._wait),
            "backup.create": (p.BackupParams, self._backup),
            "audit.list": (p.AuditParams, self._audit_list),
            "audit.warnings": (p.Params, self._audit_warnings),
            "audit.verify": (p.Params, self._audit_verify),
            "audit.export": (p.Params, self._audit_export),
        }

    async def call(self, method: str, params: dict[str, Any] | list[Any]) -> object:
        """Run one method.

        Returns:
            The result as JSON values.

        Raises:
            RpcError: Every failure, a defect of ours included.
        """
        entry = self._methods.get(method)
        if entry is None:
            raise RpcError(RpcCode.METHOD_NOT_FOUND, "no such method")
        kind, handler = entry
        try:
            return await handler(p.convert(params, kind))
        except Exception as error:  # noqa: BLE001  # the border: whatever failed becomes an answer
            answer = to_rpc_error(error)
            if answer.code == RpcCode.INTERNAL_ERROR:
                _log.exception("%s failed", method)
            raise answer from None

    def subscribe(self) -> Notifications:
        """Begin to collect the node's notifications from this moment on."""
        return Notifications(self._node.subscribe())

    async def _status(self, _: p.Params) -> object:
        view = self._node.status()
        return {
            "version": view.version,
            "peer_id": view.peer_id,
            "listen": list(view.listen),
            "contacts_online": view.contacts_online,
        }

    async def _stop(self, _: p.Params) -> object:
        if self._on_stop is None:
            raise RpcError(RpcCode.FAILED, "this process cannot be stopped from outside")
        self._on_stop()
        return {}

    async def _identity(self, _: p.Params) -> object:
        view = self._node.identity()
        shown: dict[str, Any] = {"name": view.name, "peer_id": view.peer_id, "link": view.link}
        if view.revoked_at_ms is not None:
            shown["revoked_at_ms"] = view.revoked_at_ms
        return shown

    async def _revocation(self, _: p.Params) -> object:
        return {"certificate": self._node.revocation_certificate()}

    async def _revoke(self, params: p.RevokeParams) -> object:
        view = await self._node.revoke(params.certificate)
        return {
            "peer_id": view.peer_id,
            "ours": view.ours,
            "contact": view.contact,
            "untold": view.untold,
        }

    async def _key_status(self, _: p.Params) -> object:
        return [asdict(view) for view in await self._node.key_status()]

    async def _key_rotate(self, _: p.Params) -> object:
        return asdict(await self._node.rotate_key())

    async def _add(self, params: p.AddParams) -> object:
        view = await self._node.add_contact(params.link, params.name, params.note)
        return {"contact": view.contact}

    async def _contacts(self, _: p.Params) -> object:
        return [_contact(view) for view in await self._node.contacts()]

    async def _accept(self, params: p.ContactParams) -> object:
        await self._node.accept(params.contact)
        return {}

    async def _decline(self, params: p.ContactParams) -> object:
        await self._node.decline(params.contact)
        return {}

    async def _block(self, params: p.ContactParams) -> object:
        await self._node.block(params.contact)
        return {}

    async def _keep(self, params: p.ContactParams) -> object:
        await self._node.keep(params.contact)
        return {}

    async def _remove(self, params: p.ContactParams) -> object:
        await self._node.remove(params.contact)
        return {}

    async def _retry(self, params: p.RetryParams) -> object:
        self._node.retry(params.contact)
        return {}

    async def _address(self, params: p.AddressParams) -> object:
        await self._node.set_addresses(params.contact, params.addresses)
        return {}

    async def _safety_number(self, params: p.ContactParams) -> object:
        return {"number": await self._node.safety_number(params.contact)}

    async def _verify(self, params: p.VerifyParams) -> object:
        return {"trust": (await self._node.verify(params.contact, params.number)).value}

    async def _change_passphrase(self, params: p.PassphraseParams) -> object:
        new = PassphraseUnlock(Secret(params.new))
        await self._node.locks.change(old=p.to_unlock(params.old), new=new)
        return {}

    async def _change_to_keychain(self, params: p.KeychainParams) -> object:
        await self._node.locks.change(old=p.to_unlock(params.old), new=KeychainUnlock())
        return {}

    async def _compare(self, params: p.CompareParams) -> object:
        state = await self._node.compare(params.contact, params.secret)
        return {"state": state, "contact": (await self._node.contact(params.contact)).contact}

    async def _compare_cancel(self, params: p.ContactParams) -> object:
        self._node.compare_cancel(params.contact)
        return {}

    async def _compare_again(self, params: p.ContactParams) -> object:
        await self._node.compare_again(params.contact)
        return {}

    async def _send(self, params: p.SendParams) -> object:
        view = await self._node.send(params.contact, params.text)
        return {"message_id": view.message_id, "state": view.state.value}

    async def _record(self, params: p.RecordParams) -> object:
        return {"record": (await self._node.record(params.contact, RecordStep(params.step))).value}

    async def _sign(self, params: p.SendParams) -> object:
        view = await self._node.sign(params.contact, params.text)
        return {"message_id": view.message_id, "state": view.state.value}

    async def _export(self, params: p.MessageParams) -> object:
        return {"file": await self._node.export_statement(params.contact, params.message_id)}

    async def _reply(self, params: p.ChangeParams) -> object:
        view = await self._node.reply(params.contact, params.message_id, params.text)
        return {"message_id": view.message_id, "state": view.state.value}

    async def _edit(self, params: p.ChangeParams) -> object:
        await self._node.edit(params.contact, params.message_id, params.text)
        return {}

    async def _delete(self, params: p.MessageParams) -> object:
        await self._node.delete(params.contact, params.message_id)
        return {}

    async def _react(self, params: p.ReactParams) -> object:
        await self._node.react(params.contact, params.message_id, params.emoji)
        return {}

    async def _timer(self, params: p.TimerParams) -> object:
        step = TimerStep(params.step)
        if (params.seconds is not None) != (step is TimerStep.PROPOSE):
            raise UsageError("seconds are for a proposal, and a proposal needs them")
        return _timers(await self._node.timer(params.contact, step, params.seconds or 0))

    async def _typing(self, params: p.TypingParams) -> object:
        return {"told": self._node.typing(params.contact, writing=params.writing)}

    async def _messages(self, params: p.ListParams) -> object:
        views = await self._node.messages(
            params.contact,
            before=params.before,
            limit=params.limit,
            search=params.search,
            after_ms=params.after_ms,
            before_ms=params.before_ms,
            oldest=params.oldest,
        )
        return [_message(view) for view in views]

    async def _search(self, params: p.SearchParams) -> object:
        views = await self._node.history.search(
            params.words,
            limit=params.limit,
            after_ms=params.after_ms,
            before_ms=params.before_ms,
        )
        return [{"contact": view.contact, **_message(view)} for view in views]

    async def _export_history(self, params: p.ExportParams) -> object:
        count = await self._node.history.export(params.contact, params.path, params.format)
        return {"messages": count}

    async def _retention(self, params: p.RetentionParams) -> object:
        history = self._node.history
        if isinstance(params.days, UnsetType):
            return asdict(await history.retention(params.contact))
        return asdict(await history.keep_for(params.contact, params.days))

    async def _shrink(self, _: p.Params) -> object:
        return asdict(await self._node.history.shrink())

    async def _cancel(self, params: p.MessageParams) -> object:
        await self._node.cancel(params.contact, params.message_id)
        return {}

    async def _mark_read(self, params: p.ContactParams) -> object:
        await self._node.mark_read(params.contact)
        return {}

    async def _ledger(self, params: p.LedgerParams) -> object:
        return [_ledger(view) for view in await self._node.ledger(params.contact, params.limit)]

    async def _wait(self, params: p.WaitParams) -> object:
        return _message(
            await self._node.wait_delivered(params.contact, params.message_id, params.timeout)
        )

    async def _backup(self, params: p.BackupParams) -> object:
        made = await self._node.back_up(params.path, Secret(params.passphrase))
        return {
            "made_at_ms": made.made_at_ms,
            "contacts": made.contacts,
            "messages": made.messages,
        }

    async def _audit_list(self, params: p.AuditParams) -> object:
        records = await self._node.audit.records(params.limit, params.kind)
        return [asdict(record) for record in records]

    async def _audit_warnings(self, _: p.Params) -> object:
        return [asdict(warning) for warning in self._node.audit.warnings()]

    async def _audit_verify(self, _: p.Params) -> object:
        report = await self._node.audit.verify()
        return {
            "ok": report.log is not None,
            "finding": report.finding,
            "sequence": report.sequence,
            "head_outside": report.has_witness,
            "first": report.log.first if report.log else 0,
            "last": report.log.last if report.log else 0,
            "checkpoints": report.log.checkpoints if report.log else 0,
        }

    async def _audit_export(self, _: p.Params) -> object:
        return {"lines": [line.decode("ascii") for line in await self._node.audit.export()]}


class Notifications:
    """The node's events as JSON-RPC notifications: an asynchronous iterator to be closed."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._held_back: tuple[str, dict[str, Any]] | None = None

    def __aiter__(self) -> Notifications:
        return self

    async def __anext__(self) -> tuple[str, dict[str, Any]]:
        """Return the next method and its parameters.

        When the node had to drop some for want of room, ``notifications.lost`` comes first: what
        a client remembers is out of date then, and it lists anew.
        """
        if self._held_back is not None:
            notification, self._held_back = self._held_back, None
            return notification
        notification = to_notification(await anext(self._subscription))
        if lost := self._subscription.lost:
            self._subscription.lost = 0
            self._held_back = notification
            return "notifications.lost", {"count": lost}
        return notification

    def close(self) -> None:
        """Stop collecting."""
        self._subscription.close()


def to_notification(event: NodeEvent) -> tuple[str, dict[str, Any]]:
    """Return the method and the parameters that announce ``event``."""
    match event:
        case MessageArrived(message):
            return "message.received", {
                "contact": message.contact,
                "message_id": message.message_id,
                "text": message.text,
                "sent_at_ms": message.sent_at_ms,
                **({} if message.kind is MessageKind.TEXT else {"kind": message.kind.value}),
                **({} if message.reply_to is None else _reply(message)),
                **({} if message.lifetime_s is None else {"lifetime_s": message.lifetime_s}),
            }
        case MessageChanged(message):
            return "message.changed", {
                "contact": message.contact,
                **_message(message),
                "removed": False,
            }
        case MessageRemoved(contact, message_id):
            return "message.changed", {
                "contact": contact,
                "message_id": message_id,
                "removed": True,
            }
        case MessageStateChanged(contact, message_id, state, _):
            return "message.state", {
                "contact": contact,
                "message_id": message_id,
                "state": state.value,
            }
        case ContactChanged(view):
            return "contact.state", {
                "contact": view.contact,
                "online": view.online,
                "trust": view.trust.value,
                "pq": view.post_quantum,
            }
        case ContactTyping(contact, writing):
            return "contact.typing", {"contact": contact, "writing": writing}
        case ContactRequested(view):
            return "contact.request", {
                "contact": view.contact,
                "name": view.name,
                "peer_id": view.peer_id,
                "note": view.note,
            }
        case SessionRestarted(contact, cause):
            return "session.restarted", {"contact": contact, "cause": cause}
        case HistoryCut(contact, count):
            return "history.cut", {"contact": contact, "count": count}
        case LedgersDiffered(view):
            return "ledger.differed", _ledger(view)
        case KeyNews(contact, kind, at_ms):
            return "contact.key", {"contact": contact, "news": kind.value, "at_ms": at_ms}
        case AuditWarned(pattern, count, at_ms):
            return "audit.warning", {"pattern": pattern, "count": count, "at_ms": at_ms}
        case ComparisonAsked(contact):
            return "contact.compare_asked", {"contact": contact}
        case ComparisonEnded(contact, outcome, tries_left):
            return "contact.compared", {
                "contact": contact,
                "outcome": outcome.value,
                "tries_left": tries_left,
            }
        case _ as unreachable:
            assert_never(unreachable)


def _ledger(view: LedgerView) -> dict[str, Any]:
    return {
        "contact": view.contact,
        "lost_here": view.lost_here,
        "sent_elsewhere": view.sent_elsewhere,
        "lost_there": view.lost_there,
        "lost_there_ids": list(view.lost_there_ids),
        "forked": view.forked,
        "at_ms": view.at_ms,
    }


def _contact(view: ContactView) -> dict[str, Any]:
    return {
        "contact": view.contact,
        "name": view.name,
        "peer_id": view.peer_id,
        "trust": view.trust.value,
        "online": view.online,
        "pq": view.post_quantum,
        "unread": view.unread,
        "note": view.note,
        "addresses": list(view.addresses),
        "offline_reason": view.offline_reason,
        "offered_peer_id": view.offered_peer_id,
        "verified_at_ms": view.verified_at_ms,
        "revoked": view.revoked_at_ms is not None,
        "revoked_at_ms": view.revoked_at_ms,
        "announced": view.announced,
        "verified_by": None if view.verified_by is None else view.verified_by.value,
        "compare_asked": view.compare_asked,
        "verify_first": view.verify_first,
        "record": view.on_record.value,
        **_timers(view.vanishing),
    }


def _message(view: MessageView) -> dict[str, Any]:
    return {
        "message_id": view.message_id,
        "direction": view.direction.value,
        "text": view.text,
        "sent_at_ms": view.sent_at_ms,
        "state": view.state.value,
        "reason": view.reason,
        "kind": view.kind.value,
        **_reply(view),
        "edited_at_ms": view.edited_at_ms,
        "deleted": view.deleted,
        "reactions": [
            {"direction": direction.value, "emoji": emoji} for direction, emoji in view.reactions
        ],
        "lifetime_s": view.lifetime_s,
        "expires_at_ms": view.expires_at_ms,
    }


def _reply(view: MessageView) -> dict[str, Any]:
    return {"reply_to": view.reply_to, "quote": view.quote}


def _timers(state: Vanishing) -> dict[str, Any]:
    """Return the seconds in force, proposed by us, and proposed by the contact."""
    return {
        "timer_s": state.seconds,
        "timer_proposed_s": None if state.ours is None else state.ours.seconds,
        "timer_asked_s": None if state.theirs is None else state.theirs.seconds,
    }
