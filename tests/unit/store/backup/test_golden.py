"""Backups that earlier versions made are restored whole (tests/vectors/backup)."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pchat.crypto.secret import Secret, system_rng
from p2pchat.identity.trust import Trust
from p2pchat.store.backup import archive
from p2pchat.store.open import PassphraseUnlock
from p2pchat.store.schema import SCHEMA_VERSION
from tests.support.make_backups import FOLDER, NOW_MS, PASSPHRASE

FILES = sorted(FOLDER.glob("schema-*.backup"))


def test_each_older_version_has_its_file() -> None:
    older = {f"schema-{version}.backup" for version in range(1, SCHEMA_VERSION)}
    assert older <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_restored_whole(file: Path, tmp_path: Path) -> None:
    profile = archive.restore(
        file,
        PASSPHRASE,
        tmp_path / "new",
        unlock=PassphraseUnlock(Secret(b"new")),
        rng=system_rng,
        now_ms=NOW_MS,
        memory_kib=8,
    )
    assert profile.identity.name == "Ada"
    bob, carol = await profile.store.read(lambda tx: tx.contacts())
    assert (bob.pin.trust, bob.verified_at_ms, bob.post_quantum) == (
        Trust.VERIFIED,
        NOW_MS - 1,
        True,
    )
    assert bob.addresses == ("192.0.2.1:4000", "[2001:db8::1]:4000")
    assert (carol.pin.trust, carol.pin.offered, carol.note) == (Trust.CHANGED, b"d" * 32, "hi")
    messages = await profile.store.read(lambda tx: tx.messages(bob.contact_id))
    assert [(message.text, message.state) for message in messages] == [
        ("Grüße 🌍", "delivered"),
        ("delivered", "delivered"),
        ("sent", "sent"),
        ("queued", "queued"),
    ]
    [long] = await profile.store.read(lambda tx: tx.messages(carol.contact_id))
    assert long.text == "x" * 70_000
    assert await profile.store.read(lambda tx: tx.get_setting("contact.1.note")) == "kept"
    assert await profile.store.read(lambda tx: tx.session(bob.contact_id)) is None
    assert (tmp_path / "new/config.toml").read_text() == "stealth = true\n"
    profile.close()
