"""A small real dispatcher: methods about nothing but the calls themselves."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from p2pchat.rpc.protocol import RpcCode, RpcError


class Stream:
    """Notifications of one subscriber."""

    def __init__(self, owner: "Recorder") -> None:
        self._owner = owner
        self._queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        owner.streams.add(self)

    def put(self, method: str, params: dict[str, Any]) -> None:
        self._queue.put_nowait((method, params))

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> tuple[str, dict[str, Any]]:
        return await self._queue.get()

    def close(self) -> None:
        self._owner.streams.discard(self)


class Recorder:
    """Answers ``echo``, ``slow`` and ``put`` (after some turns of the loop), ``wait``, ``big``."""

    SIDE_BY_SIDE: ClassVar = frozenset({"put"})
    UNORDERED: ClassVar = frozenset({"wait"})

    def __init__(self) -> None:
        self.ran: list[Any] = []
        self.released = asyncio.Event()
        self.streams: set[Stream] = set()
        self.answered = 0
        self.at_work = 0
        self.most_at_work = 0

    async def call(self, method: str, params: dict[str, Any] | list[Any]) -> object:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            return await self._call(method, params)
        finally:
            self.answered += 1
            self.at_work -= 1

    async def _call(self, method: str, params: Any) -> object:
        match method:
            case "echo":
                self.ran.append(params.get("value"))
                return params
            case "slow":
                for _ in range(params["turns"]):
                    await asyncio.sleep(0)
                self.ran.append(params["value"])
                return params
            case "put":  # recorded at once, then on its way
                self.ran.append(params["value"])
                for _ in range(params["turns"]):
                    await asyncio.sleep(0)
                return params
            case "wait":
                await self.released.wait()
                return "released"
            case "big":
                return "x" * params["size"]
            case "defect":
                raise ZeroDivisionError("a secret word")
            case _:
                raise RpcError(RpcCode.METHOD_NOT_FOUND, "no such method")

    def subscribe(self) -> Stream:
        return Stream(self)

    def notify(self, method: str, params: dict[str, Any]) -> None:
        for stream in tuple(self.streams):
            stream.put(method, params)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until something holds that no event announces."""
    while not condition():  # noqa: ASYNC110  # the state of the thing under test has no event
        await asyncio.sleep(0)
