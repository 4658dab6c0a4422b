"""What a peer writes reaches the terminal as words only: asserted on the raw bytes."""

import asyncio
import json
from pathlib import Path

import pytest

from p2pchat.crypto.secret import system_rng
from p2pchat.identity.keys import generate_identity
from p2pchat.identity.trust import Pin, Trust
from p2pchat.store.ports import Transaction
from p2pchat.store.records import ContactRecord, DeliveryState, Direction, MessageRecord
from tests.support.cli_world import Profile, run_raw

HOSTILE = (
    "\x1b]52;c;aGVsbG8=\x07"  # writes the clipboard
    "\x1b[2J\x1b[1;1H\x1b]0;title\x1b\\"
    "\x9b31m\x9d52;c;eA==\x9c"  # the same by C1
    "\x00\x08\x7f\r"
    "\u202eevil\u202c \u2066x\u2069 \u200e\u200f\u061c"
    + "\u200b\u200d\u2060\ufeff" * 50
    + "e"
    + "\u0301" * 200
    + "\U000e0041\ufff9\u2028\u2029\u0085"
)
FORBIDDEN = [
    *(bytes([code]) for code in (*range(10), *range(11, 32), 0x7F)),
    *(chr(code).encode() for code in range(0x80, 0xA0)),
    *(chr(code).encode() for code in (0x202A, 0x202B, 0x202C, 0x202D, 0x202E)),
    *(chr(code).encode() for code in (0x2066, 0x2067, 0x2068, 0x2069, 0x200E, 0x200F, 0x061C)),
    *(chr(code).encode() for code in (0x200B, 0x2060, 0xFEFF, 0xE0041, 0xFFF9, 0x2028, 0x2029)),
    b"\xcc\x81" * 6,  # marks piled up
]


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """A profile into which everything hostile came, past every check on the way."""
    profile = Profile.quick(tmp_path, "Alice")
    opened = profile.open()

    def work(tx: Transaction) -> None:
        for number, trust in enumerate(Trust):
            identity = generate_identity(rng=system_rng).public
            contact = tx.put_contact(
                ContactRecord(
                    contact_id=0,
                    name=f"{number}{HOSTILE}",
                    pin=Pin(identity, trust, b"\x01" * 32 if trust is Trust.CHANGED else None),
                    note=HOSTILE,
                    addresses=("127.0.0.1:1",),
                )
            )
            for direction in Direction:
                tx.add_message(
                    MessageRecord(
                        message_id=bytes([number]) * 15 + direction[:1].encode(),
                        contact_id=contact.contact_id,
                        direction=direction,
                        text=f"before {HOSTILE}\n{HOSTILE} after",
                        sent_at_ms=2**62,
                        state=DeliveryState.FAILED,
                        reason=HOSTILE,
                    )
                )

    async def put() -> None:
        await opened.store.write(work)

    asyncio.run(put())
    opened.close()
    return profile


def harmless(output: bytes) -> bytes:
    for sequence in FORBIDDEN:
        assert sequence not in output, sequence
    return output


def test_nothing_that_a_peer_wrote_steers_the_terminal(profile: Profile) -> None:
    table = harmless(run_raw(*profile.options, "contacts").stdout)
    assert b"evil" in table
    contacts = harmless(run_raw(*profile.options, "contacts", "--json").stdout)
    assert contacts.isascii()
    handles = [json.loads(line)["peer_id"] for line in contacts.splitlines()]
    assert len(handles) == len(Trust)
    log = harmless(run_raw(*profile.options, "log", handles[0]).stdout)
    assert log.count(b"before") == log.count(b"after") == 2
    assert harmless(run_raw(*profile.options, "log", handles[0], "--json").stdout).isascii()


def test_a_hostile_handle_is_harmless_in_the_complaint(profile: Profile) -> None:
    for arguments in (
        ("send", HOSTILE.replace("\0", ""), "hello"),
        ("verify", HOSTILE.replace("\0", "")),
        (HOSTILE.replace("\0", ""),),
        ("--profile", HOSTILE.replace("\0", ""), "whoami"),
    ):
        result = run_raw(*profile.options, *arguments)
        assert result.returncode in (1, 2)
        assert harmless(result.stderr).count(b"\n") == 1
