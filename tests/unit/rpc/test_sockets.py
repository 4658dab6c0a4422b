"""The socket is private, replaces a dead one, fits any path; both kinds of client are alike."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from p2pchat.errors import StoreError
from p2pchat.rpc import client as client_module
from p2pchat.rpc import connection as connection_module
from p2pchat.rpc import server as server_module
from p2pchat.rpc import unix
from p2pchat.rpc.client import Client, LocalClient, SocketClient
from p2pchat.rpc.protocol import RpcCode, RpcError
from p2pchat.rpc.server import SocketServer
from tests.unit.rpc.dispatchers import Recorder, until


@pytest.fixture
async def recorder() -> Recorder:
    return Recorder()


async def connect(path: Path) -> SocketClient:
    connected = unix.connect(path)
    assert connected is not None
    return await SocketClient.open(connected)


@pytest.fixture(params=["local", "socket"])
async def client(
    request: pytest.FixtureRequest, recorder: Recorder, tmp_path: Path
) -> AsyncIterator[Client]:
    if request.param == "local":

        async def on_close() -> None:
            recorder.ran.append("closed")

        yield LocalClient(recorder, on_close=on_close)
        return
    server = SocketServer(tmp_path / "socket", recorder)
    await server.start()
    client = await connect(tmp_path / "socket")
    yield client
    await client.close()
    async with asyncio.timeout(10):
        await server.close()


async def test_calls_return_results(client: Client) -> None:
    assert await client.call("echo", {"value": "é\n"}) == {"value": "é\n"}
    assert await client.call("echo") == {}


async def test_calls_raise_what_was_answered(client: Client) -> None:
    with pytest.raises(RpcError) as caught:
        await client.call("unheard.of")
    assert caught.value.code == RpcCode.METHOD_NOT_FOUND


async def test_what_is_no_text_is_refused_before_it_is_sent(
    client: Client,
) -> None:
    if isinstance(client, SocketClient):
        with pytest.raises(RpcError) as caught:
            await client.call("echo", {"value": "a\udcff"})
        assert caught.value.code == RpcCode.INVALID_PARAMS
    assert await client.call("echo") == {}


async def test_calls_run_beside_a_wait(client: Client, recorder: Recorder) -> None:
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(client.call("wait"))
        assert await client.call("echo") == {}
        recorder.released.set()
        assert await waiting == "released"


async def test_notifications_begin_with_the_call(client: Client, recorder: Recorder) -> None:
    await client.call("echo")  # the server's end has subscribed by now
    stream = client.notifications()
    recorder.notify("a", {"n": 1})
    recorder.notify("b", {"n": 2})
    assert await anext(stream) == ("a", {"n": 1})
    assert await anext(stream) == ("b", {"n": 2})
    stream.close()


async def test_the_socket_is_private_from_its_first_instant(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "socket"
    modes: list[int] = []
    real_listen = socket.socket.listen

    def listen(self: socket.socket, backlog: int) -> None:
        modes.append(stat.S_IMODE(path.stat().st_mode))
        real_listen(self, backlog)

    monkeypatch.setattr(socket.socket, "listen", listen)
    before = os.umask(0)
    try:
        unix.bind(path).close()
        assert modes == [0o600]
        assert os.umask(0) == 0
    finally:
        os.umask(before)


async def test_a_dead_socket_is_replaced(tmp_path: Path, recorder: Recorder) -> None:
    path = tmp_path / "socket"
    unix.bind(path).close()  # the file stays, as after SIGKILL
    assert unix.connect(path) is None
    server = SocketServer(path, recorder)
    await server.start()
    client = await connect(path)
    assert await client.call("echo") == {}
    await client.close()
    await server.close()
    assert not path.exists()
    assert unix.connect(path) is None


async def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    path.write_text("precious")
    with pytest.raises(StoreError, match="no socket"):
        unix.bind(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("length", [107, 108, 250])
async def test_a_path_of_any_length_will_do(
    length: int, tmp_path: Path, recorder: Recorder
) -> None:
    folder = tmp_path / ("d" * (length - len(str(tmp_path)) - len("//socket")))
    folder.mkdir()
    path = folder / "socket"
    assert len(str(path)) == length
    server = SocketServer(path, recorder)
    await server.start()
    assert path.is_socket()
    client = await connect(path)
    assert await client.call("echo") == {}
    await client.close()
    await server.close()
    assert not path.exists()


async def test_a_folder_that_is_not_there_has_nobody_listening(tmp_path: Path) -> None:
    assert unix.connect(tmp_path / "none" / "socket") is None
    assert unix.connect(tmp_path / ("n" * 200) / "socket") is None
    with pytest.raises(StoreError):
        unix.bind(tmp_path / "none" / "socket")


async def test_clients_are_bounded(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "CLIENTS_MAX", 1)
    server = SocketServer(tmp_path / "socket", recorder)
    await server.start()
    first = await connect(tmp_path / "socket")
    assert await first.call("echo") == {}
    second = await connect(tmp_path / "socket")
    with pytest.raises(RpcError, match="ended"):
        await second.call("echo")
    assert await first.call("echo") == {}
    await first.close()
    async with asyncio.timeout(10):
        await server.close()


async def test_a_defect_in_one_connection_leaves_the_others(
    tmp_path: Path, recorder: Recorder, caplog: Any
) -> None:
    server = SocketServer(tmp_path / "socket", recorder)
    await server.start()
    first = await connect(tmp_path / "socket")
    second = await connect(tmp_path / "socket")
    with pytest.raises(RpcError, match="ended"):
        await first.call("defect")
    assert await second.call("echo") == {}
    assert "an RPC connection failed" in caplog.text
    await second.close()
    await server.close()


async def test_a_closing_server_answers_first(tmp_path: Path, recorder: Recorder) -> None:
    server = SocketServer(tmp_path / "socket", recorder)
    await server.start()
    client = await connect(tmp_path / "socket")
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        call = tasks.create_task(client.call("slow", {"turns": 30, "value": 1}))
        await until(lambda: recorder.at_work)
        await server.close()
        assert await call == {"turns": 30, "value": 1}
    stream = client.notifications()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    with pytest.raises(RpcError):
        await client.call("echo")


async def test_a_closing_server_does_not_wait_for_ever(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "FINISH_S", 0.05)
    server = SocketServer(tmp_path / "socket", recorder)
    await server.start()
    deaf = unix.connect(tmp_path / "socket")  # asks for much and reads nothing
    assert deaf is not None
    deaf.send(b'{"jsonrpc":"2.0","id":1,"method":"big","params":{"size":9000000}}\n')
    deaf.send(b'{"jsonrpc":"2.0","id":2,"method":"wait"}\n')
    await until(lambda: recorder.at_work)
    async with asyncio.timeout(10):
        await server.close()
    assert recorder.at_work == 0
    deaf.close()


async def test_whoever_waits_is_told_that_the_node_is_gone(
    tmp_path: Path,
) -> None:
    listener = unix.bind(tmp_path / "socket")
    client = await connect(tmp_path / "socket")
    listener.setblocking(True)
    server_end, _ = listener.accept()
    stream = client.notifications()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        call = tasks.create_task(_error_of(client))
        await asyncio.sleep(0)
        server_end.close()
        assert "ended" in (await call).message
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    listener.close()


@pytest.mark.parametrize("answer", [b"nonsense\n", b"\xff\n", b"[" * 5000 + b"\n"])
async def test_a_stranger_at_the_socket_is_left(answer: bytes, tmp_path: Path) -> None:
    listener = unix.bind(tmp_path / "socket")
    client = await connect(tmp_path / "socket")
    listener.setblocking(True)
    server_end, _ = listener.accept()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        call = tasks.create_task(_error_of(client))
        await asyncio.sleep(0)
        server_end.sendall(answer)
        assert (await call).code == RpcCode.FAILED
    server_end.close()
    listener.close()


async def test_an_iterator_that_lags_ends(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "NOTIFICATIONS_MAX", 3)
    server = SocketServer(tmp_path / "socket", recorder)
    await server.start()
    client = await connect(tmp_path / "socket")
    await client.call("echo")
    stream = client.notifications()
    for n in range(5):
        recorder.notify("n", {"n": n})
    await client.call("echo")
    assert [params["n"] async for _, params in stream] == [0, 1, 2]
    await client.close()
    await server.close()


async def _error_of(client: SocketClient) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await client.call("echo")
    return caught.value
