"""Contact links and addresses, read strictly (protocol.md §3.4)."""

from __future__ import annotations

import base64
import hashlib
from ipaddress import IPv6Address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from p2pchat.constants import (
    ADDRESS_MAX_BYTES,
    LINK_ADDRESSES_MAX,
    LINK_MAX_CHARS,
    NAME_MAX_BYTES,
)
from p2pchat.errors import IdentityError, LinkError
from p2pchat.identity.link import ContactLink, encode_link, parse_address, parse_link
from p2pchat.sanitize import clean_line

KEY = bytes(range(32))
PLAIN = ContactLink(KEY, "Alice", ("192.0.2.7:4000", "[2001:db8::1]:65535"))
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LONGEST_HOST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


def body_of(
    *,
    number: int = 1,
    key: bytes = KEY,
    name: bytes = b"Alice",
    addresses: tuple[bytes, ...] = (b"192.0.2.7:4000",),
    count: int | None = None,
) -> bytes:
    """Lay out a link's payload by hand, as protocol.md §3.4 says."""
    body = bytes([number]) + key + bytes([len(name)]) + name
    body += bytes([len(addresses) if count is None else count])
    return body + b"".join(len(raw).to_bytes(2, "big") + raw for raw in addresses)


def link_of(body: bytes) -> str:
    checksum = hashlib.sha256(b"p2pchat/1 contact link" + body).digest()[:4]
    return "p2pchat:" + base64.urlsafe_b64encode(body + checksum).decode().rstrip("=")


def refused(text: str) -> str:
    with pytest.raises(LinkError) as caught:
        parse_link(text)
    return str(caught.value)


def test_the_layout() -> None:
    """R-3.4.1."""
    addresses = tuple(address.encode() for address in PLAIN.addresses)
    assert encode_link(PLAIN) == link_of(body_of(addresses=addresses))


NAMES = st.text(min_size=1, max_size=30).filter(
    lambda text: clean_line(text, NAME_MAX_BYTES) == text and len(text.encode()) <= NAME_MAX_BYTES
)
PORTS = st.integers(1, 65535)
LABELS = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9_])?", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join) | st.ip_addresses(v=4).map(str)
ADDRESSES = st.builds(lambda host, port: f"{host}:{port}", HOSTS, PORTS) | st.builds(
    lambda host, port: f"[{host}]:{port}", st.ip_addresses(v=6), PORTS
)


@given(
    st.builds(
        ContactLink,
        st.binary(min_size=32, max_size=32),
        NAMES,
        st.lists(ADDRESSES, max_size=LINK_ADDRESSES_MAX).map(tuple),
    )
)
@settings(max_examples=60)
def test_what_is_encoded_parses(link: ContactLink) -> None:
    """R-3.4.1, R-3.4.2."""
    text = encode_link(link)
    assert parse_link(text) == link
    assert len(text) <= LINK_MAX_CHARS
    assert set(text.removeprefix("p2pchat:")) <= set(LETTERS)


def test_whatever_letter_it_ends_in_stays() -> None:
    """R-3.4.1: only padding is cut off."""
    ends = set()
    for number in range(600):
        link = ContactLink(hashlib.sha256(bytes([number % 256, number // 256])).digest(), "Alice+")
        text = encode_link(link)
        assert parse_link(text) == link
        ends.add(text[-1])
    assert ends == set(LETTERS)


def test_the_longest_link_fits_its_limit() -> None:
    """R-3.4.1: no link that can be made is refused for its length."""
    longest = ContactLink(
        KEY, "n" * NAME_MAX_BYTES, tuple(f"{LONGEST_HOST}:{port}" for port in range(65528, 65536))
    )
    assert len(LONGEST_HOST) == 253
    assert parse_link(encode_link(longest)) == longest


@pytest.mark.parametrize("space", [" ", "\n", "\t\r\n ", "\u00a0", "\u3000"])
def test_white_space_around_it_is_allowed(space: str) -> None:
    """R-3.4.2."""
    assert parse_link(space + encode_link(PLAIN) + space) == PLAIN


@pytest.mark.parametrize("place", [1, 7, 8, 9, 40, -1])
@pytest.mark.parametrize("space", [" ", "\n", "\u200b"])
def test_nothing_else_is_allowed_inside_it(place: int, space: str) -> None:
    """R-3.4.2."""
    text = encode_link(PLAIN)
    refused(text[:place] + space + text[place:])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p2pchat",
        "p2pchat:",
        "P2PCHAT:" + encode_link(PLAIN)[8:],
        "p2pchat://" + encode_link(PLAIN)[8:],
        "http:" + encode_link(PLAIN)[8:],
        encode_link(PLAIN)[8:],
        "\u200bp2pchat:" + encode_link(PLAIN)[8:],
    ],
)
def test_another_scheme_is_refused(text: str) -> None:
    """R-3.4.2."""
    refused(text)


def test_every_flipped_bit_is_refused() -> None:
    """R-3.4.2: the checksum covers all of it."""
    body = body_of()
    checksum = hashlib.sha256(b"p2pchat/1 contact link" + body).digest()[:4]
    raw = body + checksum
    for place in range(len(raw)):
        for bit in range(8):
            flipped = bytearray(raw)
            flipped[place] ^= 1 << bit
            text = "p2pchat:" + base64.urlsafe_b64encode(flipped).decode().rstrip("=")
            assert "damaged" in refused(text)


def test_every_single_typing_error_is_refused() -> None:
    """R-3.4.2."""
    text = encode_link(PLAIN)
    for place in range(len("p2pchat:"), len(text)):
        wrong = "A" if text[place] != "A" else "B"
        refused(text[:place] + wrong + text[place + 1 :])


def test_a_link_cut_anywhere_is_refused() -> None:
    """R-3.4.2: by characters, and by bytes with a proper checksum after them."""
    text = encode_link(PLAIN)
    for length in range(len(text)):
        refused(text[:length])
    body = body_of()
    for length in range(len(body)):
        refused(link_of(body[:length]))


def test_bytes_after_the_end_are_refused() -> None:
    """R-3.4.2."""
    assert "after its end" in refused(link_of(body_of() + b"\x00"))


@pytest.mark.parametrize("name_len", [5, 6, 7])
def test_a_second_spelling_of_the_same_bytes_is_refused(name_len: int) -> None:
    """R-3.4.2: padding signs, unused bits that are set, the other base64 alphabet."""
    text = link_of(body_of(key=b"\xfb\xff\xbf" * 10 + b"\xff\xff", name=b"n" * name_len))
    assert parse_link(text).name == "n" * name_len
    payload = text.removeprefix("p2pchat:")
    spare_bits = {0: 0, 2: 4, 3: 2}[len(payload) % 4]
    last = LETTERS.index(payload[-1])
    for extra in range(1, 1 << spare_bits):
        assert "proper form" in refused(text[:-1] + LETTERS[last + extra])
    refused(text + "=" * (-len(payload) % 4 or 1))
    assert "-" in payload or "_" in payload
    refused("p2pchat:" + payload.replace("-", "+").replace("_", "/"))


@pytest.mark.parametrize("character", ["é", "\ud800", "\x00", "=", "+", "/", "%", "."])
def test_other_characters_are_refused(character: str) -> None:
    """R-3.4.2."""
    text = encode_link(PLAIN)
    refused(text[:20] + character + text[21:])


@pytest.mark.parametrize("number", [0, 2, 255])
def test_another_kind_says_that_it_is_newer(number: int) -> None:
    """R-3.4.2."""
    assert "newer" in refused(link_of(body_of(number=number)))


@pytest.mark.parametrize("name", [b"", b"n" * (NAME_MAX_BYTES + 1), b"\xff", b"n" * 255])
def test_names_out_of_bounds_are_refused(name: bytes) -> None:
    refused(link_of(body_of(name=name)))


def test_the_longest_name_is_counted_in_bytes() -> None:
    """R-3.4.1."""
    assert parse_link(link_of(body_of(name=("ä" * 32).encode()))).name == "ä" * 32
    refused(link_of(body_of(name=("ä" * 32 + "x").encode())))
    for bad in ("ä" * 32 + "x", ""):
        with pytest.raises(LinkError, match="1 to 64 bytes"):
            encode_link(ContactLink(KEY, bad))


@pytest.mark.parametrize(
    "name",
    [
        "a\x1b[31m",
        "a\x00",
        "a\nb",
        "a\u202eb",
        "a\u2066b",
        "a\u200bb",
        " a",
        "a  b",
        "a\x9b",
        "\x7f",
    ],
)
def test_names_that_would_not_show_as_they_are_are_refused(name: str) -> None:
    """R-3.4.2."""
    refused(link_of(body_of(name=name.encode())))
    with pytest.raises(LinkError):
        encode_link(ContactLink(KEY, name))


def test_half_a_surrogate_pair_is_no_name() -> None:
    """R-3.4.2: the command line hands over such text for bytes that are not UTF-8."""
    with pytest.raises(LinkError, match="surrogate"):
        encode_link(ContactLink(KEY, "a\udcff"))
    refused(link_of(body_of(name=b"\xed\xb3\xbf")))


@pytest.mark.parametrize("count", [9, 10, 255])
def test_too_many_addresses_are_refused(count: int) -> None:
    """R-3.4.2."""
    assert "at most 8" in refused(link_of(body_of(addresses=(b"a:1",) * count)))
    with pytest.raises(LinkError, match="at most 8"):
        encode_link(ContactLink(KEY, "A", ("a:1",) * count))


def test_eight_addresses_and_none_are_allowed() -> None:
    """R-3.4.2."""
    for count in (0, 8):
        assert len(parse_link(link_of(body_of(addresses=(b"a:1",) * count))).addresses) == count


def test_a_count_beyond_what_is_there_is_refused() -> None:
    assert "too early" in refused(link_of(body_of(count=2)))
    assert "after its end" in refused(link_of(body_of(count=0)))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_not_encoded(length: int) -> None:
    with pytest.raises(LinkError, match="32 bytes"):
        encode_link(ContactLink(bytes(length), "A"))


GOOD = {
    "127.0.0.1:1": ("127.0.0.1", 1),
    "example.org:65535": ("example.org", 65535),
    "my_host-2.local:80": ("my_host-2.local", 80),
    "x:9": ("x", 9),
    "[::]:80": ("::", 80),
    "[::1]:80": ("::1", 80),
    "[2001:DB8::ff]:443": ("2001:DB8::ff", 443),
    "[::ffff:192.0.2.1]:443": ("::ffff:192.0.2.1", 443),
    "[fe80::1%eth0]:80": ("fe80::1%eth0", 80),
    "[fe80::1%wlan0.100-x_y]:80": ("fe80::1%wlan0.100-x_y", 80),
    f"{LONGEST_HOST}:65535": (LONGEST_HOST, 65535),
    f"{'a' * 63}:1": ("a" * 63, 1),
}
BAD = [
    "",
    ":",
    ":80",
    "host",
    "host:",
    "host:0",
    "host:00",
    "host:080",
    "host:65536",
    "host:99999",
    "host:100000",
    "host:+80",
    "host:-1",
    "host:8 0",
    "host:80 ",
    " host:80",
    "host:80\n",
    "ho\nst:80",
    "host:٨٠",
    "hôst:80",
    "ho st:80",
    "a..b:80",
    ".a:80",
    "a.:80",
    "-a:80",
    "a-:80",
    "a.-b:80",
    "a-.b:80",
    "a/b:80",
    "a@b:80",
    "a:b:80",
    "::1:80",
    "2001:db8::1:80",
    "[::1]",
    "[::1]:",
    "[::1]80",
    "[::1:80",
    "::1]:80",
    "[]:80",
    "[x]:80",
    "[::1]]:80",
    "[[::1]:80",
    "[::g]:80",
    "[1:2:3:4:5:6:7:8:9]:80",
    "[192.0.2.1]:80",
    "[host]:80",
    "[::1 ]:80",
    "[::1%]:80",
    "[fe80::1%\x1b[31m]:80",
    "[fe80::1%a b]:80",
    "[fe80::1%\n]:80",
    "[fe80::1%ü]:80",
    "[fe80::1%a%b]:80",
    f"[fe80::1%{'e' * 16}]:80",
    f"{'a' * 64}:80",
    f"{LONGEST_HOST}e:80",
    "\x00:80",
    "\ud800:80",
]


@pytest.mark.parametrize("address", GOOD)
def test_addresses(address: str) -> None:
    """R-3.4.2."""
    assert parse_address(address) == GOOD[address]
    assert parse_link(encode_link(ContactLink(KEY, "A", (address,)))).addresses == (address,)


@pytest.mark.parametrize("address", BAD, ids=ascii)
def test_what_is_no_address(address: str) -> None:
    """R-3.4.2, in a link from either side, too."""
    with pytest.raises(IdentityError, match="host:port"):
        parse_address(address)
    with pytest.raises(LinkError):
        encode_link(ContactLink(KEY, "A", (address,)))
    refused(link_of(body_of(addresses=(address.encode("utf-8", "surrogatepass"),))))


def test_an_address_that_is_too_long_is_refused_for_that() -> None:
    """R-3.4.2."""
    too_long = "a" * (ADDRESS_MAX_BYTES + 1)
    assert "too long" in refused(link_of(body_of(addresses=(too_long.encode(),))))


@given(st.text("abc.:[]%-_0189 \x1b\n", max_size=20))
@example("[::1]:80")
def test_an_address_that_parses_is_plain_ascii(address: str) -> None:
    try:
        host, port = parse_address(address)
    except IdentityError:
        return
    assert address in (f"{host}:{port}", f"[{host}]:{port}")
    assert address.isascii()
    assert address.isprintable()
    assert " " not in address
    if ":" in host:
        IPv6Address(host)
