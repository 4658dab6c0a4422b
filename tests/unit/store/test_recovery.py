"""The recovery kit: words that stand for a seed, and a file under a passphrase of its own."""

from __future__ import annotations

import pytest

from p2pchat.crypto import pwhash
from p2pchat.crypto.secret import Secret
from p2pchat.errors import LockedError, P2PChatError, StoreError, UsageError
from p2pchat.store import recovery
from p2pchat.store.recovery import FILE_MAX_BYTES, MAGIC, Kit
from tests.support.net_random import seeded_rng

PASSPHRASE = Secret(b"of the kit alone")
KIT = Kit(Secret(bytes(range(100, 132))), "Älice")

# Published by the authors of BIP 39 (trezor/python-mnemonic, vectors.json, English, 256 bits).
PUBLISHED = {
    "00" * 32: "abandon " * 23 + "art",
    "7f" * 32: "legal winner thank year wave sausage worth useful legal winner thank year wave "
    "sausage worth useful legal winner thank year wave sausage worth title",
    "80" * 32: "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd "
    "amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless",
    "ff" * 32: "zoo " * 23 + "vote",
}


@pytest.mark.parametrize("seed", PUBLISHED)
def test_words_are_those_of_bip_39(seed: str) -> None:
    words = recovery.to_words(Secret(bytes.fromhex(seed)))
    assert words == PUBLISHED[seed].split()
    assert recovery.from_words(PUBLISHED[seed]) == Secret(bytes.fromhex(seed))


def test_case_and_white_space_do_not_matter() -> None:
    words = recovery.to_words(KIT.seed)
    assert recovery.from_words("\n ".join(words).upper() + "\n") == KIT.seed


def test_a_mistaken_word_is_named_by_its_place_alone() -> None:
    words = recovery.to_words(KIT.seed)
    words[6] = "zoological"
    with pytest.raises(UsageError, match=r"^word 7 is none") as caught:
        recovery.from_words(" ".join(words))
    assert not any(word in str(caught.value) for word in words if len(word) > 4)
    assert caught.value.__cause__ is None


def test_words_in_another_order_or_number_are_refused() -> None:
    words = recovery.to_words(KIT.seed)
    exchanged = [words[1], words[0], *words[2:]]
    with pytest.raises(UsageError, match="do not belong together"):
        recovery.from_words(" ".join(exchanged))
    for some in (words[:23], [*words, words[0]], []):
        with pytest.raises(UsageError, match="24 words"):
            recovery.from_words(" ".join(some))


def file(kit: Kit = KIT) -> bytes:
    return recovery.seal(kit, PASSPHRASE, rng=seeded_rng(1), memory_kib=8)


def test_a_file_comes_back_and_shows_nothing() -> None:
    encoded = file()
    assert recovery.open_(encoded, PASSPHRASE) == KIT
    assert KIT.seed.reveal() not in encoded
    assert KIT.name.encode() not in encoded
    assert len(file(Kit(KIT.seed, "n" * 64))) == FILE_MAX_BYTES
    assert recovery.seal(KIT, PASSPHRASE, rng=seeded_rng(2), memory_kib=8) != encoded


def test_another_passphrase_does_not_open_it() -> None:
    with pytest.raises(LockedError, match="passphrase is wrong"):
        recovery.open_(file(), Secret(b"of something else"))
    with pytest.raises(UsageError, match="empty"):
        recovery.seal(KIT, Secret(b""), rng=seeded_rng(1), memory_kib=8)


@pytest.mark.parametrize("place", [*range(len(MAGIC) + 1), 18, 33, 37, 41, 42, 53, 54, -1])
def test_a_changed_byte_is_refused(place: int) -> None:
    """Costs that a hostile file names are bounded before anything is allocated."""
    changed = bytearray(file())
    changed[place] ^= 0x80 if place in (34, 38) else 1
    with pytest.raises(P2PChatError):
        recovery.open_(bytes(changed), PASSPHRASE)


@pytest.mark.parametrize(("time_cost", "memory_kib"), [(0, 8), (17, 8), (3, 7), (3, 2**32 - 1)])
def test_costs_out_of_range_are_refused(time_cost: int, memory_kib: int) -> None:
    encoded = file()
    costs = time_cost.to_bytes(4, "big") + memory_kib.to_bytes(4, "big")
    at = len(MAGIC) + 1 + pwhash.SALT_LEN
    with pytest.raises(UsageError, match="out of range"):
        recovery.open_(encoded[:at] + costs + encoded[at + 8 :], PASSPHRASE)


def test_other_files_are_told_apart() -> None:
    encoded = file()
    with pytest.raises(UsageError, match="no recovery kit"):
        recovery.open_(b"something else", PASSPHRASE)
    with pytest.raises(StoreError, match="newer p2pchat"):
        recovery.open_(MAGIC + b"\x02" + encoded[len(MAGIC) + 1 :], PASSPHRASE)
    for damaged in (encoded[:100], encoded + bytes(64)):
        with pytest.raises(UsageError, match="wrong length"):
            recovery.open_(damaged, PASSPHRASE)
