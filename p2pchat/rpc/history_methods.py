"""What is stored of all conversations: search, export, keep for a time, shrink."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from msgspec import UnsetType

from p2pchat.rpc import params as p
from p2pchat.rpc import shapes

if TYPE_CHECKING:
    from p2pchat.node.node import Node


class HistoryMethods:
    """``message.search``, ``message.export``, ``contact.retention``, ``history.*``."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def table(self) -> p.Methods:
        """Return the methods by name."""
        return {
            "message.search": (p.SearchParams, self._search),
            "message.export": (p.ExportParams, self._export),
            "contact.retention": (p.RetentionParams, self._retention),
            "history.shrink": (p.Params, self._shrink),
        }

    async def _search(self, params: p.SearchParams) -> object:
        views = await self._node.history.search(
            params.words,
            limit=params.limit,
            after_ms=params.after_ms,
            before_ms=params.before_ms,
        )
        return [{"contact": view.contact, **shapes.message(view)} for view in views]

    async def _export(self, params: p.ExportParams) -> object:
        count = await self._node.history.export(params.contact, params.path, params.format)
        return {"messages": count}

    async def _retention(self, params: p.RetentionParams) -> object:
        history = self._node.history
        if isinstance(params.days, UnsetType):
            return asdict(await history.retention(params.contact))
        return asdict(await history.keep_for(params.contact, params.days))

    async def _shrink(self, _: p.Params) -> object:
        return asdict(await self._node.history.shrink())
