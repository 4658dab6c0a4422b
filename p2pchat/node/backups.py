"""Backups of the running node, made beside its work on a thread of their own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from p2pchat.crypto.secret import Secret
from p2pchat.errors import UsageError
from p2pchat.node.environment import Environment
from p2pchat.node.views import BackupView
from p2pchat.store.open import OpenProfile


async def back_up(
    env: Environment, profile: OpenProfile, path: str, passphrase: Secret
) -> BackupView:
    """Write a backup of ``profile`` to the new file ``path``.

    Raises:
        UsageError: The path is not absolute, or the passphrase empty.
        StoreError: The file exists or the disk refuses.
    """
    from p2pchat.store.backup import archive  # a node rarely needs it

    file = Path(path)
    if not file.is_absolute():
        raise UsageError("give the backup's whole path: the node runs in another folder")
    made = await asyncio.to_thread(
        archive.create, profile, file, passphrase, rng=env.rng, now_ms=env.clock.wall_ms()
    )
    return BackupView(made.made_at_ms, made.contacts, made.messages)
