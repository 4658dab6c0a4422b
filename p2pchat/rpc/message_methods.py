"""Messages and statements: send, change, sign, list, wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pchat.errors import UsageError
from p2pchat.identity.on_record import RecordStep
from p2pchat.rpc import params as p
from p2pchat.rpc import shapes
from p2pchat.session.vanishing import TimerStep

if TYPE_CHECKING:
    from p2pchat.node.node import Node


class MessageMethods:
    """``message.*`` and ``record.*``, but for whole histories."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def table(self) -> p.Methods:
        """Return the methods by name."""
        return {
            "message.send": (p.SendParams, self._send),
            "message.resend": (p.MessageParams, self._resend),
            "message.reply": (p.ChangeParams, self._reply),
            "message.edit": (p.ChangeParams, self._edit),
            "message.delete": (p.MessageParams, self._delete),
            "message.react": (p.ReactParams, self._react),
            "message.timer": (p.TimerParams, self._timer),
            "message.typing": (p.TypingParams, self._typing),
            "message.list": (p.ListParams, self._messages),
            "message.cancel": (p.MessageParams, self._cancel),
            "message.mark_read": (p.ContactParams, self._mark_read),
            "message.ledger": (p.LedgerParams, self._ledger),
            "message.wait": (p.WaitParams, self._wait),
            "record.step": (p.RecordParams, self._record),
            "record.sign": (p.TextParams, self._sign),
            "record.export": (p.MessageParams, self._export),
        }

    async def _send(self, params: p.SendParams) -> object:
        view = await self._node.send(params.contact, params.text, expires_in_s=params.expires_in_s)
        return {"message_id": view.message_id, "state": view.state.value}

    async def _resend(self, params: p.MessageParams) -> object:
        view = await self._node.resend(params.contact, params.message_id)
        return {"message_id": view.message_id, "state": view.state.value}

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
        return shapes.timers(await self._node.timer(params.contact, step, params.seconds or 0))

    async def _typing(self, params: p.TypingParams) -> object:
        return {"told": self._node.typing(params.contact, writing=params.writing)}

    async def _messages(self, params: p.ListParams) -> object:
        views = await self._node.messages(
            params.contact,
            before=params.before,
            after=params.after,
            limit=params.limit,
            search=params.search,
            after_ms=params.after_ms,
            before_ms=params.before_ms,
            oldest=params.oldest,
        )
        return [shapes.message(view) for view in views]

    async def _cancel(self, params: p.MessageParams) -> object:
        await self._node.cancel(params.contact, params.message_id)
        return {}

    async def _mark_read(self, params: p.ContactParams) -> object:
        await self._node.mark_read(params.contact)
        return {}

    async def _ledger(self, params: p.LedgerParams) -> object:
        return [
            shapes.ledger(view) for view in await self._node.ledger(params.contact, params.limit)
        ]

    async def _wait(self, params: p.WaitParams) -> object:
        return shapes.message(
            await self._node.wait_delivered(params.contact, params.message_id, params.timeout)
        )

    async def _record(self, params: p.RecordParams) -> object:
        return {"record": (await self._node.record(params.contact, RecordStep(params.step))).value}

    async def _sign(self, params: p.TextParams) -> object:
        view = await self._node.sign(params.contact, params.text)
        return {"message_id": view.message_id, "state": view.state.value}

    async def _export(self, params: p.MessageParams) -> object:
        return {"file": await self._node.export_statement(params.contact, params.message_id)}
