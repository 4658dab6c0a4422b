"""Text passes a node as it was sent; cleaning it is the business of whoever shows it (R-9.3.5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.node_world import delivered, memory_world, until


@pytest.mark.parametrize(
    "text",
    [
        "a\ttab and\r\ntwo lines\n",
        "\x1b[31mred\x07 \x9b0m",
        "\u202eright to left\u2066",
        "👩‍👩‍👧‍👦 e\u0301 \U000e0041 \x00",
        " spaces at both ends ",
    ],
)
async def test_text_arrives_as_it_was_sent(tmp_path: Path, text: str) -> None:
    world = memory_world(tmp_path)
    try:
        alice, bob = await world.two()
        await alice.node.send("bob", text)
        await delivered(alice, "bob")
        await until(lambda: bool(bob.arrived()))
        assert bob.arrived() == [text]
        assert await bob.texts("alice") == [text]
        assert [view.text for view in await alice.history("bob")] == [text]
    finally:
        await world.close()
