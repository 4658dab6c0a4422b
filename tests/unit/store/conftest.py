"""A real store on a real disk, for every test that asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pchat.store.database import Database
from tests.unit.store.files import new_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    opened = new_store(tmp_path)
    yield opened
    opened.close_now()
