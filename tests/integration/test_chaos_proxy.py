"""Two node processes talk through a proxy that damages what passes (protocol.md §7.1, §8.5)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from p2pchat.cli.demo_peer import until_contact
from p2pchat.identity.link import encode_link, parse_link
from tests.integration.test_rpc_processes import Side
from tests.support.chaos import ChaosProxy
from tests.support.cli_world import Profile

CHAOS_S = 30.0
PAUSE_S = 0.02
FAULTS = {"flip", "drop", "repeat", "truncate"}
SETTLING_S = 60.0


@pytest.mark.slow
async def test_thirty_seconds_of_damage_lose_double_and_forge_nothing(tmp_path: Path) -> None:
    alice = Side(Profile.quick(tmp_path, "Alice"))
    bob = Side(Profile.quick(tmp_path, "Bob"))
    try:
        await asyncio.gather(alice.start(), bob.start())
        links = {
            side: parse_link((await side.call("identity.show"))["link"]) for side in (alice, bob)
        }
        host, _, port = links[bob].addresses[0].rpartition(":")
        async with ChaosProxy((host, int(port)), seed=20261123) as proxy:
            # The only way between the two leads through the proxy.
            through = replace(links[bob], addresses=(proxy.address,))
            await alice.call("contact.add", link=encode_link(through))
            await bob.call("contact.add", link=encode_link(replace(links[alice], addresses=())))
            end = time.monotonic() + CHAOS_S
            number = 0
            while time.monotonic() < end:
                number += 1
                await alice.send(bob, [f"from Alice {number}"])
                await bob.send(alice, [f"from Bob {number}"])
                await asyncio.sleep(PAUSE_S)
            assert set(proxy.faults) == FAULTS, "each kind of damage was really done"
            proxy.chaos = False
            async with asyncio.timeout(SETTLING_S):
                await until_contact(alice.process, "Bob", online=True)
                await alice.all_delivered(bob)
                await bob.all_delivered(alice)
            await alice.expect(bob)
            await bob.expect(alice)
            for side in (alice, bob):
                assert await side.process.end() == 0
                assert side.process.complaint == ""
    finally:
        for side in (alice, bob):
            if hasattr(side, "process"):
                await side.process.kill()
