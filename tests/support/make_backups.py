"""Make the golden backup of the current schema, unless it is there already.

    uv run --locked python -m tests.support.make_backups

Each version's file is made once, by the program of that version, and kept: it is what people
have. ``tests/unit/store/backup/test_golden.py`` restores all of them.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from p2pchat.crypto.secret import Secret
from p2pchat.identity.trust import Pin, Trust
from p2pchat.store.backup import archive
from p2pchat.store.open import OpenProfile, PassphraseUnlock, create_profile
from p2pchat.store.ports import Transaction
from p2pchat.store.records import DeliveryState
from p2pchat.store.schema import SCHEMA_VERSION
from tests.support.net_random import seeded_rng
from tests.unit.store.files import contact, incoming, outgoing

FOLDER = Path(__file__).parents[1] / "vectors" / "backup"
PASSPHRASE = Secret(b"golden backup")
NOW_MS = 1_790_000_000_000


def fill(tx: Transaction) -> None:
    """Two contacts, five messages, a setting."""
    bob = tx.put_contact(
        replace(
            contact("Bob"),
            pin=Pin(b"b" * 32, Trust.VERIFIED),
            verified_at_ms=NOW_MS - 1,
            addresses=("192.0.2.1:4000", "[2001:db8::1]:4000"),
            post_quantum=True,
        )
    )
    carol = tx.put_contact(
        replace(contact("Carol"), pin=Pin(b"c" * 32, Trust.CHANGED, offered=b"d" * 32), note="hi")
    )
    tx.add_message(incoming(bob.contact_id, 1, "Grüße 🌍"))
    tx.add_message(outgoing(bob.contact_id, 2, "delivered"))
    tx.add_message(outgoing(bob.contact_id, 3, "sent"))
    tx.add_message(outgoing(bob.contact_id, 4, "queued"))
    tx.add_message(incoming(carol.contact_id, 5, "x" * 70_000))
    for number, state in ((2, DeliveryState.DELIVERED), (3, DeliveryState.SENT)):
        tx.set_message_state(bob.contact_id, [outgoing(1, number).message_id], state)
    tx.put_session(bob.contact_id, b"a ratchet's state")
    tx.put_setting("contact.1.note", "kept")


async def _filled(folder: Path) -> OpenProfile:
    profile = create_profile(
        folder,
        name="Ada",
        unlock=PassphraseUnlock(Secret(b"p")),
        rng=seeded_rng(7),
        now_ms=NOW_MS,
        memory_kib=8,
    )
    await profile.store.write(fill)
    (folder / "config.toml").write_text("stealth = true\n")
    return profile


def main() -> None:
    """Write ``schema-N.backup``."""
    path = FOLDER / f"schema-{SCHEMA_VERSION}.backup"
    if path.exists():
        sys.exit(f"{path.name} is there; a golden file is never made again")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        profile = asyncio.run(_filled(Path(folder) / "profile"))
        archive.create(profile, path, PASSPHRASE, rng=seeded_rng(8), now_ms=NOW_MS, memory_kib=8)
        profile.close()


if __name__ == "__main__":
    main()
