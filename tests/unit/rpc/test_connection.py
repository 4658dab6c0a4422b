"""A connection answers in its own time, keeps order where it matters, and stays bounded."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from p2pchat.rpc import connection as connection_module
from p2pchat.rpc.channels import PipeChannel, StreamChannel
from p2pchat.rpc.connection import REQUESTS_AT_WORK_MAX, serve
from p2pchat.rpc.outbox import Outbox, SlowClientError
from p2pchat.rpc.protocol import BATCH_MAX_CALLS, LINE_MAX_BYTES
from tests.unit.rpc.dispatchers import Recorder, until


class Peer:
    """The client's end, raw: bytes in and lines out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.ending = asyncio.Event()

    def write(self, *values: Any) -> None:
        self.writer.write(b"".join(json.dumps(value).encode() + b"\n" for value in values))

    async def line(self) -> Any:
        async with asyncio.timeout(10):
            return json.loads(await self.reader.readline())


def request(request_id: Any, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def read_all(fd: int) -> list[Any]:
    with os.fdopen(fd, "rb") as answers:
        return [json.loads(line) for line in answers]


@pytest.fixture
async def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
async def peer(recorder: Recorder, outbox: Outbox) -> AsyncIterator[Peer]:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=theirs, limit=1 << 24)
    client = Peer(reader, writer)
    channel = StreamChannel(*await asyncio.open_unix_connection(sock=ours))
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(channel, recorder, ending=client.ending, outbox=outbox))
        yield client
        writer.close()


async def test_a_request_is_answered_with_its_id(peer: Peer) -> None:
    peer.write(request("a", "echo", value=1))
    assert await peer.line() == {"jsonrpc": "2.0", "id": "a", "result": {"value": 1}}


async def test_errors_are_answered_and_the_connection_goes_on(peer: Peer) -> None:
    peer.writer.write(b"nonsense\n")
    peer.writer.write(b"x" * (LINE_MAX_BYTES + 1) + b"\n")
    peer.write(request(1, "unheard.of"), request(2, "echo"))
    answers = [await peer.line() for _ in range(4)]
    assert [answer.get("error", {}).get("code") for answer in answers] == [
        -32700,
        -32600,
        -32601,
        None,
    ]
    assert [answer["id"] for answer in answers] == [None, None, 1, 2]


async def test_a_line_of_exactly_the_bound_is_read(peer: Peer) -> None:
    frame = json.dumps(request(1, "echo", value="")).encode()
    line = frame.replace(b'""', b'"' + b"x" * (LINE_MAX_BYTES - len(frame)) + b'"')
    assert len(line) == LINE_MAX_BYTES
    peer.writer.write(line + b"\n")
    assert len((await peer.line())["result"]["value"]) == LINE_MAX_BYTES - len(frame)


async def test_a_notification_is_run_and_not_answered(peer: Peer, recorder: Recorder) -> None:
    peer.write({"jsonrpc": "2.0", "method": "echo", "params": {"value": "silent"}})
    peer.write({"jsonrpc": "2.0", "method": "unheard.of"})
    peer.write(request(1, "echo", value="loud"))
    assert (await peer.line())["id"] == 1
    assert recorder.ran == ["silent", "loud"]


async def test_a_batch_is_answered_in_one_line_without_its_notifications(peer: Peer) -> None:
    peer.write([request(1, "echo"), {"jsonrpc": "2.0", "method": "echo"}, 5, request(2, "echo")])
    answers = await peer.line()
    assert [answer["id"] for answer in answers] == [1, None, 2]


async def test_a_batch_of_notifications_is_not_answered(peer: Peer, recorder: Recorder) -> None:
    peer.write([{"jsonrpc": "2.0", "method": "echo", "params": {"value": 1}}], request(9, "echo"))
    assert (await peer.line())["id"] == 9
    assert recorder.ran == [1, None]


async def test_requests_run_in_the_order_of_their_arrival(peer: Peer, recorder: Recorder) -> None:
    peer.write(*(request(n, "slow", value=n, turns=20 - n) for n in range(20)))
    assert [(await peer.line())["id"] for _ in range(20)] == list(range(20))
    assert recorder.ran == list(range(20))


async def test_side_by_side_requests_begin_in_order_and_run_together(
    peer: Peer, recorder: Recorder
) -> None:
    peer.write(*(request(n, "put", value=n, turns=100 - n) for n in range(50)))
    answers = [(await peer.line())["id"] for _ in range(50)]
    assert recorder.ran == list(range(50))
    assert recorder.most_at_work > 1
    assert sorted(answers) == list(range(50))


async def test_side_by_side_requests_overtake_nothing_else(peer: Peer, recorder: Recorder) -> None:
    requests = [
        request(n, "slow" if n % 3 == 0 else "put", value=n, turns=n % 7) for n in range(60)
    ]
    for each in requests:  # arriving one by one: some find a turn just given
        peer.write(each)
        await asyncio.sleep(0)
    for _ in requests:
        await peer.line()
    assert recorder.ran == list(range(60))


async def test_a_batch_keeps_its_place_between_other_lines(peer: Peer, recorder: Recorder) -> None:
    def calls(*values: int) -> list[dict[str, Any]]:
        return [request(n, "slow" if n % 2 else "put", value=n, turns=7 - n) for n in values]

    peer.write(*calls(0), calls(1, 2, 3), *calls(4), calls(5, 6))
    for _ in range(4):
        await peer.line()
    assert recorder.ran == list(range(7))


async def test_a_wait_in_a_batch_holds_up_its_answer_only(peer: Peer, recorder: Recorder) -> None:
    peer.write([request(1, "wait"), request(2, "echo", value=2)], request(3, "echo", value=3))
    assert (await peer.line())["id"] == 3
    assert recorder.ran == [2, 3]
    recorder.released.set()
    assert [answer["id"] for answer in await peer.line()] == [1, 2]


async def test_the_largest_batch_passes(peer: Peer) -> None:
    for _ in range(3):
        peer.write([request(n, "echo") for n in range(BATCH_MAX_CALLS)])
    for _ in range(3):
        assert len(await peer.line()) == BATCH_MAX_CALLS


async def test_who_reads_no_answers_gets_no_further(recorder: Recorder) -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    channel = StreamChannel(*await asyncio.open_unix_connection(sock=ours))
    line = json.dumps(request(1, "big", size=100_000)).encode() + b"\n"
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        outbox = Outbox(room_bytes=1_000_000)
        tasks.create_task(serve(channel, recorder, ending=asyncio.Event(), outbox=outbox))
        for _ in range(20):  # much more than anybody takes
            with contextlib.suppress(BlockingIOError):
                while theirs.send(line * 100):
                    pass
            for _ in range(50):
                await asyncio.sleep(0)
        assert recorder.answered < 2 * REQUESTS_AT_WORK_MAX
        theirs.close()


async def test_a_long_wait_holds_up_nothing(peer: Peer, recorder: Recorder) -> None:
    peer.write(request(1, "wait"), request(2, "echo"))
    assert (await peer.line())["id"] == 2
    recorder.released.set()
    assert await peer.line() == {"jsonrpc": "2.0", "id": 1, "result": "released"}


async def test_requests_at_work_are_bounded(peer: Peer, recorder: Recorder) -> None:
    peer.write(*(request(n, "wait") for n in range(REQUESTS_AT_WORK_MAX + 50)))
    async with asyncio.timeout(10):
        await until(lambda: recorder.at_work >= REQUESTS_AT_WORK_MAX)
        for _ in range(100):
            await asyncio.sleep(0)
    recorder.released.set()
    for _ in range(REQUESTS_AT_WORK_MAX + 50):
        assert (await peer.line())["result"] == "released"
    assert recorder.most_at_work == REQUESTS_AT_WORK_MAX


async def test_notifications_reach_the_client(peer: Peer, recorder: Recorder) -> None:
    peer.write(request(1, "echo"))
    await peer.line()
    recorder.notify("contact.state", {"online": True})
    assert await peer.line() == {
        "jsonrpc": "2.0",
        "method": "contact.state",
        "params": {"online": True},
    }


async def test_after_the_end_of_input_answers_still_leave(peer: Peer) -> None:
    peer.write(request(1, "slow", value=1, turns=50))
    peer.writer.write(json.dumps(request(2, "echo")).encode())  # no newline: the last line counts
    peer.writer.write_eof()
    assert [(await peer.line())["id"] for _ in range(2)] == [1, 2]
    assert await peer.reader.read() == b""


async def test_ending_lets_answers_leave_and_closes(peer: Peer) -> None:
    peer.write(request(1, "echo"))
    await peer.line()
    peer.ending.set()
    assert await peer.reader.read() == b""


async def test_who_leaves_while_waiting_does_not_keep_the_connection(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "FINISH_S", 0.01)
    peer.write(request(1, "wait"))
    peer.writer.write_eof()
    async with asyncio.timeout(5):
        assert await peer.reader.read() == b""


async def test_a_defect_of_a_dispatcher_ends_the_connection_not_silently() -> None:
    # ``Dispatcher.call`` promises RpcError only; one that breaks it is seen by the owner.
    ours, theirs = socket.socketpair()
    with theirs:
        channel = StreamChannel(*await asyncio.open_unix_connection(sock=ours))
        theirs.sendall(json.dumps(request(1, "defect")).encode() + b"\n")
        with pytest.raises(ExceptionGroup):
            await serve(channel, Recorder(), ending=asyncio.Event())


async def test_a_client_that_reads_no_notifications_is_given_up(caplog: Any) -> None:
    recorder = Recorder()
    ours, theirs = socket.socketpair()
    with theirs:
        channel = StreamChannel(*await asyncio.open_unix_connection(sock=ours))
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(
                serve(channel, recorder, ending=asyncio.Event(), outbox=Outbox(max_bytes=1_000_000))
            )
            await until(lambda: recorder.streams)
            while not serving.done():
                recorder.notify("message.received", {"text": "x" * 10_000})
                await asyncio.sleep(0)
    assert recorder.streams == set()
    assert "does not read" in caplog.text


async def test_answers_wait_for_room_instead(peer: Peer, outbox: Outbox) -> None:
    count = 40  # of 1 MB each, more than the outbox holds
    peer.write(*(request(n, "big", size=1_000_000) for n in range(count)))
    assert [(await peer.line())["id"] for _ in range(count)] == list(range(count))


async def test_an_outbox_counts_what_it_holds() -> None:
    outbox = Outbox(max_bytes=10, room_bytes=5)
    await outbox.put_notification(b"12345678")
    with pytest.raises(SlowClientError):
        await outbox.put_notification(b"12345678")
    assert await outbox.next_chunk() == b"12345678\n"
    await outbox.put_notification(b"12345678")
    await outbox.close()
    await outbox.put_answer(b"too late")
    assert await outbox.next_chunk() == b"12345678\n"
    assert await outbox.next_chunk() == b""


async def test_pipes_serve_as_well_as_sockets() -> None:
    request_read, request_write = os.pipe()
    answer_read, answer_write = os.pipe()
    os.write(request_write, json.dumps(request(1, "echo", value="é")).encode() + b"\n")
    os.close(request_write)
    async with asyncio.timeout(10):
        await serve(PipeChannel(request_read, answer_write), Recorder(), ending=asyncio.Event())
    os.close(answer_write)
    assert [answer["result"] for answer in read_all(answer_read)] == [{"value": "é"}]
    os.close(request_read)


async def test_a_regular_file_serves_as_input(tmp_path: Any) -> None:
    path = tmp_path / "requests"
    path.write_text("".join(json.dumps(request(n, "echo")) + "\n" for n in range(100)))
    answer_read, answer_write = os.pipe()
    with path.open("rb") as requests:
        async with asyncio.timeout(10):
            channel = PipeChannel(requests.fileno(), answer_write)
            await serve(channel, Recorder(), ending=asyncio.Event())
    os.close(answer_write)
    assert [answer["id"] for answer in read_all(answer_read)] == list(range(100))


async def test_a_reader_that_has_gone_ends_the_connection() -> None:
    request_read, request_write = os.pipe()
    answer_read, answer_write = os.pipe()
    os.close(answer_read)
    os.write(request_write, json.dumps(request(1, "echo")).encode() + b"\n")
    async with asyncio.timeout(10):
        await serve(PipeChannel(request_read, answer_write), Recorder(), ending=asyncio.Event())
    for fd in (request_write, answer_write):
        os.close(fd)
