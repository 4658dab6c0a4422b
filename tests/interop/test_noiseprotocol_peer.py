"""A peer built on PyPI ``noiseprotocol`` and protocol.md alone talks to a running node.

Nothing of p2pchat's core is used on the peer's side: the preamble, the certificate, the payloads
and the frames are put together here from the document's byte layouts.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgpack
import nacl.bindings
import nacl.signing
import pytest
from cryptography.exceptions import InvalidTag
from noise.connection import Keypair, NoiseConnection

from p2pchat.node.node import Node
from tests.support.node_world import World

OFFER = bytes.fromhex("01 0100 01 0001 00")
"""As a peer without hybrid suites and without IK offers: suite 0x0001 only."""
FULL_OFFER = bytes.fromhex("01 0100 04 0001 0002 0101 0102 00")
"""What this version's responder answers (§4.2)."""
PREAMBLE = b"p2pchat\n" + struct.pack(">HH", 0x0001, len(OFFER)) + OFFER
CERTIFICATE_LABEL = b"p2pchat/1 static key certificate\x00"
SIZES = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65519)
NOISE, PING, PONG, CLOSE, HELLO = 0x01, 0x01, 0x02, 0x03, 0x10
CERTIFICATE_LEN, KEY_LEN = 149, 32
DEADLINE_S = 20.0


class ForeignPeer:
    """An initiator that knows protocol.md and noiseprotocol, nothing else."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._identity = nacl.signing.SigningKey(b"\x42" * 32)
        self._static = b"\x24" * 32
        self._noise = NoiseConnection.from_name(b"Noise_XX_25519_ChaChaPoly_SHA256")

    async def handshake(self, preamble: bytes) -> dict[str, bytes]:
        """Shake hands; ``preamble`` is what goes on the wire, PREAMBLE what is hashed."""
        noise = self._noise
        noise.set_as_initiator()
        noise.set_prologue(PREAMBLE)
        noise.set_keypair_from_private_bytes(Keypair.STATIC, self._static)
        noise.start_handshake()
        self._writer.write(preamble)
        self._write(bytes([NOISE]) + noise.write_message())
        answer = await self._read()
        assert answer[0] == NOISE, answer.hex()
        payload = _unpad(bytes(noise.read_message(answer[1:])))
        content: dict[str, bytes] = msgpack.unpackb(payload)
        self._write(bytes([NOISE]) + noise.write_message(_pad({"cert": self._certificate()})))
        assert noise.handshake_finished
        return content

    async def send(self, kind: int, body: bytes) -> None:
        plaintext = struct.pack(">BH", kind, len(body)) + body
        size = next(size for size in SIZES if len(plaintext) <= size)
        self._write(self._noise.encrypt(plaintext.ljust(size, b"\0")))
        await self._writer.drain()

    async def receive(self) -> tuple[int, bytes]:
        plaintext = bytes(self._noise.decrypt(await self._read()))
        assert len(plaintext) in SIZES
        kind, length = struct.unpack(">BH", plaintext[:3])
        assert not any(plaintext[3 + length :])
        return kind, plaintext[3 : 3 + length]

    def _certificate(self) -> bytes:
        static = nacl.bindings.crypto_scalarmult_base(self._static)
        now_ms = int(time.time() * 1000)
        body = struct.pack(
            ">B32s32sIQQ",
            1,
            bytes(self._identity.verify_key),
            static,
            0,
            now_ms,
            now_ms + 3_600_000,
        )
        signed: bytes = body + self._identity.sign(CERTIFICATE_LABEL + body).signature
        return signed

    def _write(self, body: bytes) -> None:
        self._writer.write(struct.pack(">H", len(body)) + body)

    async def _read(self) -> bytes:
        (length,) = struct.unpack(">H", await self._reader.readexactly(2))
        return await self._reader.readexactly(length)


def _pad(fields: dict[str, bytes]) -> bytes:
    content: bytes = msgpack.packb(fields)
    padded = struct.pack(">H", len(content)) + content
    return padded + bytes(-len(padded) % 512)


def _unpad(payload: bytes) -> bytes:
    assert len(payload) % 512 == 0
    (length,) = struct.unpack(">H", payload[:2])
    return payload[2 : 2 + length]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    world = World(tmp_path, network=None)
    bob = world.person("bob")
    try:
        yield await bob.start()
    finally:
        await world.close()


@pytest.fixture
async def peer(node: Node) -> AsyncIterator[ForeignPeer]:
    host, port = node.status().listen[0].rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    yield ForeignPeer(reader, writer)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_noiseprotocol_shakes_hands_and_exchanges_frames(peer: ForeignPeer) -> None:
    """R-4.3.1, R-4.3.4, R-5.3.1, R-7.2.1, R-7.4.2: byte layouts as protocol.md says.

    An older peer is served in the class that it knows, and can tell that we would know better.
    """
    async with asyncio.timeout(DEADLINE_S):
        content = await peer.handshake(PREAMBLE)
        assert content["offer"] == FULL_OFFER
        assert len(content["cert"]) == CERTIFICATE_LEN
        assert len(content["ratchet"]) == KEY_LEN
        await peer.send(HELLO, msgpack.packb({"accepted": True, "name": "Foreigner"}))
        assert await peer.receive() == (HELLO, msgpack.packb({"accepted": False}))
        await peer.send(PING, b"12345678")
        assert await peer.receive() == (PONG, b"12345678")
        await peer.send(CLOSE, b"\x00\x00")


async def test_a_preamble_changed_on_the_path_fails_the_handshake(peer: ForeignPeer) -> None:
    """R-4.3.4: the prologue binds the preamble byte for byte, spare bytes included."""
    longer = PREAMBLE[:10] + struct.pack(">H", len(OFFER) + 1) + OFFER + b"\x00"
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(InvalidTag):
            await peer.handshake(longer)


async def test_another_magic_gets_no_answer(node: Node) -> None:
    """R-4.2.1, R-4.4.3: a scanner learns nothing but that the port was open."""
    host, port = node.status().listen[0].rsplit(":", 1)
    async with asyncio.timeout(DEADLINE_S):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
