"""The running node: connections, contacts, delivery, in one asyncio event loop (protocol.md §10).

``node.Node`` is the public face, ``views`` is what it shows. Everything else is inside. Logging is
off unless the program that embeds it sets a handler; no text, name or key is ever logged.
"""

import logging

logging.getLogger("p2pchat").addHandler(logging.NullHandler())
