"""Listening where we listened before.

Contacts know the address that our link told them. With port 0 the system picks a port, so the
node remembers which one it got and takes it again: two people who both restart still find each
other. If somebody else has taken the port meanwhile, a new one is picked and remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pchat.errors import TransportError
from p2pchat.store.ports import Store
from p2pchat.transport.base import Listener, Stream, Transport

_ANY_PORT: Final = ":0"


async def listen(
    transport: Transport, store: Store, address: str, accept: Callable[[Stream], None]
) -> Listener:
    """Listen on ``host:port``; port 0 means the port of last time, or any free one.

    Raises:
        TransportError: The address cannot be listened on.
    """
    if not address.endswith(_ANY_PORT):
        return await transport.listen(address, accept)
    host = address.removesuffix(_ANY_PORT)
    key = f"port on {host}"
    remembered = await store.read(lambda tx: tx.get_setting(key))
    if remembered is not None:
        try:
            return await transport.listen(f"{host}:{remembered}", accept)
        except TransportError:
            pass  # taken meanwhile: any other will do
    listener = await transport.listen(address, accept)
    port = listener.addresses[0].rpartition(":")[2]
    await store.write(lambda tx: tx.put_setting(key, port))
    return listener
