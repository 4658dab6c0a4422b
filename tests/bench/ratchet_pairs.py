"""Two parties in conversation: ours, vodozemac's and DoubleRatchet's, each driven as its users do.

What passes from one to the other is bytes with all of them. Each pair has spoken once both ways
before it is timed, so that no set-up message falls into the measurement.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final

from p2pchat.crypto import x25519
from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.ratchet.double_ratchet import decrypt, encrypt, init_initiator, init_responder
from p2pchat.ratchet.state import ASSOCIATED_DATA_LEN, RatchetSeed

MESSAGE: Final = b"m" * 100
ASSOCIATED_DATA: Final = bytes(ASSOCIATED_DATA_LEN)


class OurPair:
    """p2pchat's ratchet, with header encryption."""

    def __init__(self) -> None:
        seed = RatchetSeed(*(Secret(os.urandom(32)) for _ in range(3)))
        pair = x25519.generate(rng=system_rng)
        self._alice = init_initiator(
            seed,
            remote_ratchet_key=pair.public,
            associated_data=ASSOCIATED_DATA,
            rng=system_rng,
        )
        self._bob = init_responder(seed, ratchet_pair=pair, associated_data=ASSOCIATED_DATA)
        self.pingpong(1)

    def burst(self, count: int) -> None:
        alice, bob = self._alice, self._bob
        envelopes = []
        for _ in range(count):
            alice, envelope = encrypt(alice, MESSAGE, rng=system_rng)
            envelopes.append(envelope)
        for envelope in envelopes:
            bob, plaintext = decrypt(bob, envelope)
            assert plaintext == MESSAGE
        self._alice, self._bob = alice, bob

    def burst_and_answer(self, count: int, *, kem_due: bool) -> None:
        """A burst, an answer and a word back; the two then change places."""
        sender, receiver = self._alice, self._bob
        envelopes = []
        for _ in range(count):
            sender, envelope = encrypt(sender, MESSAGE, rng=system_rng, kem_due=kem_due)
            envelopes.append(envelope)
        for envelope in envelopes:
            receiver, plaintext = decrypt(receiver, envelope)
            assert plaintext == MESSAGE
        receiver, envelope = encrypt(receiver, MESSAGE, rng=system_rng)
        sender, _ = decrypt(sender, envelope)
        sender, envelope = encrypt(sender, MESSAGE, rng=system_rng)
        receiver, _ = decrypt(receiver, envelope)
        self._alice, self._bob = receiver, sender

    @property
    def kem_steps(self) -> int:
        """Hybrid steps that both have completed."""
        assert self._alice.kem_steps == self._bob.kem_steps
        return self._alice.kem_steps

    def pingpong(self, rounds: int) -> None:
        alice, bob = self._alice, self._bob
        for _ in range(rounds):
            alice, envelope = encrypt(alice, MESSAGE, rng=system_rng)
            bob, plaintext = decrypt(bob, envelope)
            assert plaintext == MESSAGE
            bob, envelope = encrypt(bob, MESSAGE, rng=system_rng)
            alice, plaintext = decrypt(alice, envelope)
            assert plaintext == MESSAGE
        self._alice, self._bob = alice, bob


class VodozemacPair:
    """Olm sessions of vodozemac's Python binding; its messages carry no encrypted header."""

    def __init__(self) -> None:
        from vodozemac import Account, AnyOlmMessage

        self._from_parts = AnyOlmMessage.from_parts
        alice, bob = Account(), Account()
        bob.generate_one_time_keys(1)
        one_time_key = next(iter(bob.one_time_keys.values()))
        self._alice = alice.create_outbound_session(bob.curve25519_key, one_time_key)
        first = self._alice.encrypt(MESSAGE).to_pre_key()
        assert first is not None
        self._bob, _ = bob.create_inbound_session(alice.curve25519_key, first)
        self._alice.decrypt(self._from_parts(*self._bob.encrypt(MESSAGE).to_parts()))
        self.pingpong(1)

    def burst(self, count: int) -> None:
        alice, bob, from_parts = self._alice, self._bob, self._from_parts
        messages = [alice.encrypt(MESSAGE).to_parts() for _ in range(count)]
        for kind, ciphertext in messages:
            plaintext = bob.decrypt(from_parts(kind, ciphertext))
            assert plaintext == MESSAGE

    def pingpong(self, rounds: int) -> None:
        alice, bob, from_parts = self._alice, self._bob, self._from_parts
        for _ in range(rounds):
            kind, ciphertext = alice.encrypt(MESSAGE).to_parts()
            assert bob.decrypt(from_parts(kind, ciphertext)) == MESSAGE
            kind, ciphertext = bob.encrypt(MESSAGE).to_parts()
            assert alice.decrypt(from_parts(kind, ciphertext)) == MESSAGE


class DoubleRatchetPair:
    """PyPI's DoubleRatchet with its recommended primitives at X25519 and SHA-256.

    It knows no header encryption; its header is serialised as its users must, for the wire and
    for the associated data.
    """

    def __init__(self) -> None:
        settings, double_ratchet = _double_ratchet()
        shared_secret = os.urandom(32)
        pair = x25519.generate(rng=system_rng)

        async def meet() -> tuple[Any, Any]:
            alice, first = await double_ratchet.encrypt_initial_message(
                **settings,
                shared_secret=shared_secret,
                recipient_ratchet_pub=pair.public,
                message=MESSAGE,
                associated_data=ASSOCIATED_DATA,
            )
            bob, _ = await double_ratchet.decrypt_initial_message(
                **settings,
                shared_secret=shared_secret,
                own_ratchet_priv=pair.private.reveal(),
                message=first,
                associated_data=ASSOCIATED_DATA,
            )
            return alice, bob

        self._alice, self._bob = asyncio.run(meet())
        self.pingpong(1)

    def burst(self, count: int) -> None:
        async def run() -> None:
            wires = [await _send(self._alice) for _ in range(count)]
            for wire in wires:
                assert await _receive(self._bob, wire) == MESSAGE

        asyncio.run(run())

    def pingpong(self, rounds: int) -> None:
        async def run() -> None:
            for _ in range(rounds):
                assert await _receive(self._bob, await _send(self._alice)) == MESSAGE
                assert await _receive(self._alice, await _send(self._bob)) == MESSAGE

        asyncio.run(run())


def _double_ratchet() -> tuple[dict[str, Any], Any]:
    """Return the library's settings and its class, completed as its documentation asks.

    The classes are made by ``type`` so that mypy judges them alike whether or not the bench
    group is installed.
    """
    from doubleratchet import DoubleRatchet
    from doubleratchet.recommended import (
        HashFunction,
        aead_aes_hmac,
        diffie_hellman_ratchet_curve25519,
        kdf_hkdf,
        kdf_separate_hmacs,
    )

    hashing = {"_get_hash_function": staticmethod(lambda: HashFunction.SHA_256)}
    info = {"_get_info": staticmethod(lambda: b"p2pchat benchmark")}
    settings = {
        "diffie_hellman_ratchet_class": diffie_hellman_ratchet_curve25519.DiffieHellmanRatchet,
        "root_chain_kdf": type("RootKdf", (kdf_hkdf.KDF,), hashing | info),
        "message_chain_kdf": type("ChainKdf", (kdf_separate_hmacs.KDF,), hashing),
        "message_chain_constant": b"\x01\x02",
        "dos_protection_threshold": 1000,
        "max_num_skipped_message_keys": 2000,
        "aead": type("Aead", (aead_aes_hmac.AEAD,), hashing | info),
    }
    building = {
        "_build_associated_data": staticmethod(lambda data, header: data + _pack_header(header))
    }
    return settings, type("Ratchet", (DoubleRatchet,), building)


def _pack_header(header: Any) -> bytes:
    previous: int = header.previous_sending_chain_length
    number: int = header.sending_chain_length
    packed: bytes = header.ratchet_pub + previous.to_bytes(4, "big") + number.to_bytes(4, "big")
    return packed


async def _send(ratchet: Any) -> bytes:
    message = await ratchet.encrypt_message(MESSAGE, ASSOCIATED_DATA)
    wire: bytes = _pack_header(message.header) + message.ciphertext
    return wire


async def _receive(ratchet: Any, wire: bytes) -> bytes:
    from doubleratchet import EncryptedMessage, Header

    header = Header(
        wire[:32], int.from_bytes(wire[32:36], "big"), int.from_bytes(wire[36:40], "big")
    )
    plaintext: bytes = await ratchet.decrypt_message(
        EncryptedMessage(header, wire[40:]), ASSOCIATED_DATA
    )
    return plaintext
