"""Which addresses this computer can be reached at, for the contact link (protocol.md §3.4).

A node that listens on every interface is bound to ``0.0.0.0`` or ``::``, which means nothing to a
peer. This asks the kernel for the addresses of the interfaces that are up. It sends no packet and
needs no default route: two laptops on one cable find each other too.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from p2pchat.transport.tcp import format_address

WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104  # names them, binds nothing
_SIOCGIFADDR: Final = 0x8915
_INTERFACE_NAME_LEN: Final = 16
_REQUEST_LEN: Final = 40
_ADDRESS_AT: Final = 20
_IPV6_TABLE: Final = Path("/proc/net/if_inet6")


def reachable(bound: Iterable[str]) -> tuple[str, ...]:
    """Replace bound wildcards by this computer's own addresses; loopback only if nothing else."""
    found: list[str] = []
    for address in bound:
        host, _, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if host in WILDCARDS:
            own = ipv4_addresses() if host == WILDCARDS[0] else ipv6_addresses()
            found += [format_address(item, int(port)) for item in _outside_first(own)]
        else:
            found.append(address)
    return tuple(dict.fromkeys(found))


def ipv4_addresses() -> list[str]:
    """Return the IPv4 addresses of all interfaces, as far as this system tells."""
    try:
        import fcntl  # only where there is one
    except ImportError:
        return _by_name(socket.AF_INET)
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            request = struct.pack(f"{_REQUEST_LEN}s", name.encode()[: _INTERFACE_NAME_LEN - 1])
            try:
                answer = fcntl.ioctl(sock.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue  # the interface has no IPv4 address
            found.append(socket.inet_ntoa(answer[_ADDRESS_AT : _ADDRESS_AT + 4]))
    return found or _by_name(socket.AF_INET)


def ipv6_addresses() -> list[str]:
    """Return the global and loopback IPv6 addresses; link-local ones mean nothing elsewhere."""
    try:
        table = _IPV6_TABLE.read_text()
    except OSError:
        return _by_name(socket.AF_INET6)
    addresses = (
        ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in table.splitlines()
    )
    return [str(address) for address in addresses if not address.is_link_local]


def _outside_first(addresses: list[str]) -> list[str]:
    outside = [item for item in addresses if not ipaddress.ip_address(item).is_loopback]
    return outside or addresses


def _by_name(family: socket.AddressFamily) -> list[str]:
    try:
        infos = socket.getaddrinfo(socket.gethostname(), None, family, socket.SOCK_STREAM)
    except OSError:
        return []
    return [str(info[4][0]) for info in infos]
