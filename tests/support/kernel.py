"""What this machine's kernel can do for a connection."""

from __future__ import annotations

import socket

from p2pchat.transport import tcp


def repeats_soon() -> bool:
    """Whether a program may limit the pauses between repetitions (Linux 6.15)."""
    with socket.socket() as sock:
        return tcp._set_tcp(sock, tcp._TCP_RTO_MAX_MS, tcp.RTO_MAX_MS)
