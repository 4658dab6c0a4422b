"""The past as a whole: finding, exporting, keeping for a while, leaving no trace."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from p2pchat.errors import UsageError
from p2pchat.node.book import PeerBook
from p2pchat.node.environment import Environment
from p2pchat.node.export import ExportFormat, write_export
from p2pchat.node.messages import message_view
from p2pchat.node.retention import RetentionDesk
from p2pchat.node.views import MessageView, RetentionView, ShrinkView
from p2pchat.store.database import Database

FOUND_MAX: Final = 1000
"""In one answer of ``search``; older ones are found by a date before which to look."""


class HistoryDesk:
    """What can be asked of the past as a whole."""

    def __init__(self, env: Environment, store: Database, book: PeerBook) -> None:
        self._env = env
        self._store = store
        self._book = book
        self._retention = RetentionDesk(env, book)

    def start(self) -> None:
        """Begin to delete what has been kept long enough."""
        self._retention.start()

    async def search(
        self,
        words: str,
        *,
        limit: int = 50,
        after_ms: int | None = None,
        before_ms: int | None = None,
    ) -> list[MessageView]:
        """Return the newest messages of all contacts that contain all words, oldest first.

        Raises:
            UsageError: No word, too many, or a limit out of range.
        """
        if not words.strip():
            raise UsageError("say which words to look for")
        if not 1 <= limit <= FOUND_MAX:
            raise UsageError(f"ask for 1 to {FOUND_MAX} messages at once")
        found = await self._env.store.read(
            lambda tx: tx.find_messages(words, limit=limit, after_ms=after_ms, before_ms=before_ms)
        )
        peers = {peer.contact_id: peer for peer in self._book}
        return [
            message_view(peers[record.contact_id], record)
            for record in found
            if record.contact_id in peers  # removed meanwhile
        ]

    async def retention(self, contact: str) -> RetentionView:
        """Return for how long a contact's messages are kept."""
        return await self._retention.show(self._book.find(contact))

    async def keep_for(self, contact: str, days: int | None) -> RetentionView:
        """Keep a contact's messages for so many days; 0 for good, None as the settings say.

        Raises:
            UsageError: Not a number of days that can be.
        """
        return await self._retention.keep_for(self._book.find(contact), days)

    async def shrink(self) -> ShrinkView:
        """Leave no trace of deleted messages in the profile's files, and give their room back.

        Needs as much memory as the database has bytes, and holds up writing meanwhile.

        Raises:
            StoreError: Not possible now; nothing is lost.
        """
        before = self._store.size_bytes()
        await self._store.shrink()
        return ShrinkView(before, self._store.size_bytes())

    async def export(self, contact: str, path: str, form: ExportFormat) -> int:
        """Write a conversation to a new file, readable by its owner alone.

        Args:
            contact: Whose.
            path: Absolute.
            form: Text for people, or JSON for programs.

        Returns:
            How many messages.

        Raises:
            UsageError: The path is not absolute.
            StoreError: The file exists or the disk refuses; nothing is left behind.
        """
        peer = self._book.find(contact)
        file = Path(path)
        if not file.is_absolute():
            raise UsageError("give the file's whole path: the node runs in another folder")
        own_name, rng = self._env.credentials.name, self._env.rng
        return await asyncio.to_thread(
            write_export, self._store, peer, file, form, own_name=own_name, rng=rng
        )
