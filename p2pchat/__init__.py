"""p2pchat: two people chat directly, computer to computer (protocol.md §1)."""

__version__ = "0.1.0"
