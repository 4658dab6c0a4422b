"""The pages of an open store's database, as they are under the cipher."""

from __future__ import annotations

from p2pchat.store.database import Database


async def pages(store: object) -> bytes:
    """Every page, free ones too; read by the store's own thread, which may be keeping house."""
    assert isinstance(store, Database)
    writer = store._writer
    future = writer.inbox.submit_alone(lambda: writer._connection.serialize("main"))
    return await future or b""
