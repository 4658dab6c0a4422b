"""Carries out calls of the client one after the other, and turns what comes back into actions.

One at a time: two messages sent in a row arrive in this order, and a list asked for after a
change shows the change. Orders that repeat one still waiting are dropped, so a thousand
notifications cost a few lists.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from p2pchat.crypto.secret import Secret
from p2pchat.rpc.client import Client
from p2pchat.rpc.connection import NotificationStream
from p2pchat.rpc.protocol import RpcCode, RpcError
from p2pchat.tui import wire
from p2pchat.tui.actions import Action
from p2pchat.tui.actions.answer import CallFailed
from p2pchat.tui.actions.news import ClientLost, NewsLost
from p2pchat.tui.effects import Call

Dispatch = Callable[[Action], None]

_REPEATABLE: Final = frozenset({"contact.list", "message.mark_read", "node.status"})
LOST: Final = (
    "⚠ The p2pchat process that holds this profile has ended. What you sent is safe. Leave with "
    "Ctrl+C and start p2pchat again."
)


class Runner:
    """The queue of calls.

    Args:
        dispatch: Takes each resulting action.
        now_ms: Wall clock, for notices.
    """

    def __init__(self, dispatch: Dispatch, now_ms: Callable[[], int]) -> None:
        self._dispatch = dispatch
        self._now_ms = now_ms
        self._calls: asyncio.Queue[Call] = asyncio.Queue()
        self._repeatable_waiting: set[Call] = set()

    def order(self, call: Call) -> None:
        """Queue a call, unless the same question waits already."""
        if call.method in _REPEATABLE:
            if call in self._repeatable_waiting:
                return
            self._repeatable_waiting.add(call)
        self._calls.put_nowait(call)

    def forget(self) -> None:
        """Drop what waits: a locked profile answers nothing, and calls quote what was written."""
        while not self._calls.empty():
            self._calls.get_nowait()
        self._repeatable_waiting.clear()

    async def run_calls(self, client: Client) -> None:
        """Carry out calls until cancelled."""
        while True:
            call = await self._calls.get()
            if call.method in _REPEATABLE:
                self._repeatable_waiting.discard(call)
            self._dispatch(await _carry_out(client, call))

    async def follow(self, client: Client, stream: NotificationStream) -> None:
        """Turn notifications into actions until the node ends.

        Args:
            client: Asked whether the node still lives when the notifications end.
            stream: Made before the first call, so that nothing falls between.
        """
        heard = True
        while heard:
            heard = False
            try:
                async for method, params in stream:
                    heard = True
                    action = wire.notified(method, params, self._now_ms())
                    if action is not None:
                        self._dispatch(action)
            finally:
                stream.close()
            # A client that lagged far behind is cut off, too; it listens and lists anew.
            if not heard or not await _lives(client):
                break
            stream = client.notifications()
            self._dispatch(NewsLost())
        self._dispatch(ClientLost(LOST))


async def _lives(client: Client) -> bool:
    answer = await _carry_out(client, Call("node.status"))
    return not isinstance(answer, CallFailed) or answer.locked


def _params(call: Call) -> dict[str, object]:
    """Return the call's parameters as they leave this process."""
    params = {
        # Revealed only here: a state, an action or an effect that is printed shows nothing.
        name: value.reveal().decode() if isinstance(value, Secret) else value
        for name, value in call.params
    }
    if call.method == "message.export":  # named from this process's folder, not the node's
        params["path"] = os.path.abspath(os.path.expanduser(str(params["path"])))  # noqa: PTH100, PTH111  # no symlink is resolved
    return params


async def _carry_out(client: Client, call: Call) -> Action:
    try:
        result = await client.call(call.method, _params(call))
    except RpcError as error:
        trust, locked = error.code == RpcCode.TRUST, error.code == RpcCode.LOCKED
        return CallFailed(call, str(error), trust=trust, locked=locked)
    return wire.answered(call, result)
