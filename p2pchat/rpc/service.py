"""The methods of JSON-RPC, together: one node seen through plain values (interface.md).

Every client speaks to this, the terminal app in the same process as well as a program at the
end of a pipe, so that there is one meaning of each method. Parameters are converted before the
node is touched; results and notifications are JSON values. Nothing here reads or writes bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from p2pchat.rpc import params as p
from p2pchat.rpc.contact_methods import ContactMethods
from p2pchat.rpc.failures import to_rpc_error
from p2pchat.rpc.history_methods import HistoryMethods
from p2pchat.rpc.message_methods import MessageMethods
from p2pchat.rpc.node_methods import NodeMethods
from p2pchat.rpc.notifications import Notifications
from p2pchat.rpc.protocol import RpcCode, RpcError

if TYPE_CHECKING:
    from p2pchat.node.node import Node

_log = logging.getLogger(__name__)


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
        self._methods: p.Methods = {
            **NodeMethods(node, on_stop).table(),
            **ContactMethods(node).table(),
            **MessageMethods(node).table(),
            **HistoryMethods(node).table(),
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
