"""Contact links (protocol.md §3.4): ``p2pchat:`` and one URL-safe payload, parsed strictly.

A link holds what is needed to find and pin a peer: identity key, a suggested name, addresses.
It is not secret and not signed: who hands it over decides what it is worth, which is why the
safety number exists.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from p2pchat.constants import (
    ADDRESS_MAX_BYTES,
    KEY_LEN,
    LINK_ADDRESSES_MAX,
    LINK_MAX_CHARS,
    NAME_MAX_BYTES,
)
from p2pchat.errors import IdentityError, LinkError
from p2pchat.identity.armour import Armour
from p2pchat.sanitize import clean_line

LINK_SCHEME: Final = "p2pchat:"
LINK_FORMAT: Final = 1
_ARMOUR: Final = Armour(
    scheme=LINK_SCHEME,
    label=b"p2pchat/1 contact link",
    noun="contact link",
    max_chars=LINK_MAX_CHARS,
    error=LinkError,
)
_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\Z"
)
_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9_.-]{1,15})?\Z")
"""Letters and digits of an IPv6 address; a zone is an interface's name, which has 15 at most."""
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}\Z")
_PORT_MAX: Final = 65535


@dataclass(frozen=True, slots=True)
class ContactLink:
    """What a link says: 32-byte identity key, name, and ``host:port`` addresses (none allowed)."""

    identity: bytes
    name: str
    addresses: tuple[str, ...] = ()


def parse_address(address: str) -> tuple[str, int]:
    """Split ``host:port`` or ``[ipv6]:port`` into a host and a port of 1..65535.

    Raises:
        IdentityError: Not of that form; the message repeats the form.
    """
    host, colon, port = address.rpartition(":")
    if colon and _PORT.match(port) and int(port) <= _PORT_MAX:
        if host.startswith("[") and host.endswith("]"):
            inner = host[1:-1]
            if _is_ipv6(inner):
                return inner, int(port)
        elif _HOST_NAME.match(host):
            return host, int(port)
    raise IdentityError("an address has the form host:port, or [ipv6]:port")


def encode_link(link: ContactLink) -> str:
    """Return the link as text.

    Raises:
        LinkError: A field is out of bounds.
    """
    name = _check_name(link.name)
    if len(link.identity) != KEY_LEN:
        raise LinkError("a link's identity key has 32 bytes")
    if len(link.addresses) > LINK_ADDRESSES_MAX:
        raise LinkError(f"a link holds at most {LINK_ADDRESSES_MAX} addresses")
    parts = [bytes([LINK_FORMAT]), link.identity, bytes([len(name)]), name]
    parts.append(bytes([len(link.addresses)]))
    for address in link.addresses:
        _check_address(address)
        raw = address.encode("ascii")
        parts += [len(raw).to_bytes(2, "big"), raw]
    body = b"".join(parts)
    return _ARMOUR.encode(body)


def parse_link(text: str) -> ContactLink:
    """Read a link; surrounding white space is allowed, nothing else is (R-3.4.2).

    Raises:
        LinkError: The message says what is wrong in words for the person who pasted it.
    """
    body = _ARMOUR.decode(text)
    if len(body) < 1 + KEY_LEN + 2:
        raise LinkError("the contact link ends too early")
    if body[0] != LINK_FORMAT:
        raise LinkError("the contact link is of a newer kind; a newer p2pchat can read it")
    reader = _Reader(body[1:])
    identity = reader.take(KEY_LEN)
    name = reader.text(reader.number(1), "utf-8")
    _check_name(name)
    count = reader.number(1)
    if count > LINK_ADDRESSES_MAX:
        raise LinkError(f"a link holds at most {LINK_ADDRESSES_MAX} addresses")
    addresses = tuple(reader.text(reader.number(2), "ascii") for _ in range(count))
    for address in addresses:
        _check_address(address)
    reader.finish()
    return ContactLink(identity, name, addresses)


class _Reader:
    """Takes fields off the front of a link's payload; runs out with a LinkError."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, count: int) -> bytes:
        if count > len(self._data):
            raise LinkError("the contact link ends too early")
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def text(self, length: int, encoding: str) -> str:
        try:
            return self.take(length).decode(encoding)
        except UnicodeDecodeError as error:
            raise LinkError("the contact link holds text that is not text") from error

    def finish(self) -> None:
        if self._data:
            raise LinkError("the contact link has something after its end")


def _check_name(name: str) -> bytes:
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise LinkError("the name holds half a surrogate pair") from error
    if not 1 <= len(encoded) <= NAME_MAX_BYTES:
        raise LinkError(f"a name has 1 to {NAME_MAX_BYTES} bytes of UTF-8")
    if clean_line(name, NAME_MAX_BYTES) != name:
        raise LinkError("the name holds characters that are not allowed in a contact link")
    return encoded


def _check_address(address: str) -> None:
    if len(address) > ADDRESS_MAX_BYTES:
        raise LinkError("an address in the contact link is too long")
    try:
        parse_address(address)
    except IdentityError as error:
        raise LinkError(str(error)) from error


def _is_ipv6(host: str) -> bool:
    if not _IPV6.match(host):  # ipaddress takes any zone whatever, escape sequences too
        return False
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
