"""The running node: connections, contacts, delivery, in one asyncio event loop (protocol.md §10).

``node.Node`` is the public face, ``views`` is what it shows. Everything else is inside.
"""
