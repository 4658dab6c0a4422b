"""What holds for the whole suite."""

from __future__ import annotations

import gc

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave thousands of collected tests out of each garbage collection from now on."""
    del session
    gc.collect()
    gc.freeze()
