"""The sans-IO session: bytes in, events out, commands in, bytes out (protocol.md §4, §7 to §9)."""
