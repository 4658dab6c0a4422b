"""What only TCP has: socket options, IPv6, several addresses of a name, words for failures."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket

import pytest

from p2pchat.errors import TransportError
from p2pchat.transport import interfaces, tcp
from p2pchat.transport.base import Stream
from p2pchat.transport.tcp import TcpTransport, _words, format_address
from tests.support.kernel import repeats_soon


async def options(*names: int) -> list[list[int]]:
    """Return the TCP options of a dialled stream and of an accepted one."""
    transport = TcpTransport()
    accepted: asyncio.Queue[Stream] = asyncio.Queue()
    listener = await transport.listen("127.0.0.1:0", accepted.put_nowait)
    found = []
    for stream in (await transport.dial(listener.addresses[0]), await accepted.get()):
        sock = stream._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # inside
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        found.append([sock.getsockopt(socket.IPPROTO_TCP, name) for name in names])
        stream.abort()
        await stream.wait_closed()
    await listener.aclose()
    return found


async def test_small_frames_leave_at_once_and_a_vanished_peer_is_noticed() -> None:
    names = [socket.TCP_KEEPCNT]
    if hasattr(socket, "TCP_USER_TIMEOUT") and repeats_soon():
        names.append(socket.TCP_USER_TIMEOUT)
    wanted = [tcp.KEEPALIVE_PROBES, tcp.USER_TIMEOUT_MS][: len(names)]
    assert await options(*names) == [wanted, wanted]


@pytest.mark.skipif(not repeats_soon(), reason="this kernel knows no TCP_RTO_MAX_MS (Linux 6.15)")
async def test_what_was_lost_is_repeated_soon() -> None:
    assert tcp._TCP_RTO_MAX_MS is not None
    assert await options(tcp._TCP_RTO_MAX_MS) == [[tcp.RTO_MAX_MS], [tcp.RTO_MAX_MS]]


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="a system without the option")
@pytest.mark.parametrize("missing", [None, 9999])
async def test_where_the_kernel_does_not_repeat_soon_who_dialled_gives_up_soon(
    monkeypatch: pytest.MonkeyPatch, missing: int | None
) -> None:
    monkeypatch.setattr(tcp, "_TCP_RTO_MAX_MS", missing)
    dialled, accepted = await options(socket.TCP_USER_TIMEOUT)
    assert dialled == [tcp.DIALLED_TIMEOUT_MS]
    assert accepted == [tcp.USER_TIMEOUT_MS]


async def test_ipv6() -> None:
    transport = TcpTransport()
    accepted: asyncio.Queue[Stream] = asyncio.Queue()
    try:
        listener = await transport.listen("[::1]:0", accepted.put_nowait)
    except TransportError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    assert listener.addresses[0].startswith("[::1]:")
    here = await transport.dial(listener.addresses[0])
    there = await accepted.get()
    assert there.peer_address.startswith("[::1]:")
    for stream in (here, there):
        stream.abort()
        await stream.wait_closed()
    await listener.aclose()


async def test_a_name_with_two_addresses_reaches_the_one_that_listens() -> None:
    transport = TcpTransport()
    accepted: asyncio.Queue[Stream] = asyncio.Queue()
    listener = await transport.listen("127.0.0.1:0", accepted.put_nowait)
    port = listener.addresses[0].rpartition(":")[2]
    here = await transport.dial(f"localhost:{port}")  # ::1 first, where there is IPv6
    there = await accepted.get()
    for stream in (here, there):
        stream.abort()
        await stream.wait_closed()
    await listener.aclose()


@pytest.mark.parametrize("turns", range(1, 40))
async def test_a_cancelled_dial_leaves_no_socket_behind(turns: int) -> None:
    """Cancelled after any number of turns of the loop; a forgotten socket is an error."""
    transport = TcpTransport()
    streams: list[Stream] = []
    listener = await transport.listen("127.0.0.1:0", streams.append)
    port = listener.addresses[0].rpartition(":")[2]

    async def dial() -> None:
        streams.append(await transport.dial(f"localhost:{port}"))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(dial())
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns % 3 == 0:
            await asyncio.sleep(0.001 * turns / 10)
        task.cancel()
    for stream in streams:
        stream.abort()
        await stream.wait_closed()
    await listener.aclose()
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()


async def test_a_port_that_needs_rights_or_is_taken() -> None:
    transport = TcpTransport()
    listener = await transport.listen("127.0.0.1:0", lambda stream: stream.abort())
    with pytest.raises(TransportError, match="another program listens there"):
        await transport.listen(listener.addresses[0], lambda stream: stream.abort())
    await listener.aclose()
    again = await transport.listen(listener.addresses[0], lambda stream: stream.abort())
    await again.aclose()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ECONNREFUSED, "x"), "connection refused"),
        (OSError(errno.ENETUNREACH, "x"), "no route to that network"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (socket.gaierror(-2, "Name or service not known"), "unknown host name"),
    ],
)
def test_words_for_the_systems_errors(error: OSError, words: str) -> None:
    assert _words(error) == words


def test_addresses_are_written_as_they_are_read() -> None:
    assert format_address("192.0.2.1", 80) == "192.0.2.1:80"
    assert format_address("fe80::1%eth0", 80) == "[fe80::1]:80"


def test_a_wildcard_becomes_this_computers_addresses() -> None:
    """R-3.4: a link must hold addresses that mean something to the peer."""
    found = interfaces.reachable(["0.0.0.0:4000", "192.0.2.1:5000"])
    assert "192.0.2.1:5000" in found
    assert not any(address.startswith(("0.", "[::]")) for address in found)
    assert all(address.endswith((":4000", ":5000")) for address in found)
    assert "127.0.0.1" in interfaces.ipv4_addresses()


def test_loopback_is_named_only_if_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    own = ["127.0.0.1", "192.0.2.7"]
    monkeypatch.setattr(interfaces, "ipv4_addresses", lambda: own)
    assert interfaces.reachable(["0.0.0.0:1"]) == ("192.0.2.7:1",)
    own.remove("192.0.2.7")
    assert interfaces.reachable(["0.0.0.0:1"]) == ("127.0.0.1:1",)


def test_link_local_ipv6_addresses_are_left_out() -> None:
    assert not [item for item in interfaces.ipv6_addresses() if item.startswith("fe80")]
