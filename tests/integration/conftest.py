"""What the tests of running nodes share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.node_world import World, memory_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """People whose nodes meet over the memory transport, by the system's clock."""
    made = memory_world(tmp_path)
    yield made
    await made.close()
