from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from p2pchat.crypto import aead
from p2pchat.crypto.secret import Secret
from p2pchat.errors import DecryptionError, ErrorCode, InvalidKeyError, LocalProtocolError
from p2pchat.noise.symmetric import HASHES, CipherState, SymmetricState
from tests.unit.noise.pairs import contents

KEY = bytes(range(32))
LAST_NONCE = 2**64 - 2
REKEY_VECTOR = Path(__file__).parents[2] / "vectors" / "noise" / "rekey_chachapoly.json"


def test_without_a_key_data_passes_unchanged() -> None:
    cipher = CipherState()
    assert not cipher.has_key
    assert cipher.encrypt_with_ad(b"ad", b"data") == b"data"
    assert cipher.decrypt_with_ad(b"ad", b"data") == b"data"
    assert cipher.nonce == 0


def test_nonces_are_four_zero_bytes_and_a_little_endian_counter() -> None:
    """R-5.1.4: written out by hand for each of the first messages, and for a large counter."""
    sender = CipherState(Secret(KEY))
    for counter in range(300):
        assert sender.nonce == counter
        nonce = bytes(4) + bytes([counter % 256, counter // 256]) + bytes(6)
        assert sender.encrypt_with_ad(b"ad", b"hi") == aead.seal(KEY, nonce, b"hi", b"ad")
    large = CipherState(Secret(KEY), nonce=0x0102030405060708)
    nonce = bytes.fromhex("000000000807060504030201")
    assert large.encrypt_with_ad(b"", b"hi") == aead.seal(KEY, nonce, b"hi", b"")


def test_a_new_key_starts_at_nonce_zero() -> None:
    """R-5.1.4"""
    cipher = CipherState(Secret(KEY), nonce=7)
    cipher.initialize_key(KEY[::-1])
    assert cipher.nonce == 0
    assert cipher.encrypt_with_ad(b"", b"hi") == aead.seal(KEY[::-1], bytes(12), b"hi", b"")


def test_the_last_nonce_is_never_used() -> None:
    """R-5.1.5"""
    sender = CipherState(Secret(KEY), nonce=LAST_NONCE)
    receiver = CipherState(Secret(KEY), nonce=LAST_NONCE)
    last = sender.encrypt_with_ad(b"", b"last")
    assert receiver.decrypt_with_ad(b"", last) == b"last"
    for call in (sender.encrypt_with_ad, receiver.decrypt_with_ad):
        with pytest.raises(LocalProtocolError, match="used up") as caught:
            call(b"", bytes(16))
        assert caught.value.code is ErrorCode.LIMIT_EXCEEDED
    assert sender.nonce == receiver.nonce == 2**64 - 1


@pytest.mark.parametrize("forged", [b"", bytes(15), bytes(16), bytes(40), bytes(65536)])
def test_a_failed_decryption_leaves_the_nonce(forged: bytes) -> None:
    """R-5.2.2, R-5.1.3: too short, wrong, or longer than a Noise message can be."""
    sender, receiver = CipherState(Secret(KEY)), CipherState(Secret(KEY))
    receiver.decrypt_with_ad(b"", sender.encrypt_with_ad(b"", b"one"))
    genuine = sender.encrypt_with_ad(b"", b"two")
    before = contents(receiver)
    with pytest.raises(DecryptionError):
        receiver.decrypt_with_ad(b"", forged)
    with pytest.raises(DecryptionError):
        receiver.decrypt_with_ad(b"other", genuine)
    assert contents(receiver) == before
    assert receiver.decrypt_with_ad(b"", genuine) == b"two"


def test_a_replayed_and_a_skipped_message_are_refused() -> None:
    sender, receiver = CipherState(Secret(KEY)), CipherState(Secret(KEY))
    one, two, three = (sender.encrypt_with_ad(b"", text) for text in (b"1", b"2", b"3"))
    assert receiver.decrypt_with_ad(b"", one) == b"1"
    for wrong in (one, three):
        with pytest.raises(DecryptionError):
            receiver.decrypt_with_ad(b"", wrong)
    assert receiver.decrypt_with_ad(b"", two) == b"2"


def test_the_longest_message_has_65535_bytes() -> None:
    """R-5.1.3"""
    sender, receiver = CipherState(Secret(KEY)), CipherState(Secret(KEY))
    with pytest.raises(LocalProtocolError, match="65519 bytes of plaintext, not 65520"):
        sender.encrypt_with_ad(b"", bytes(65520))
    assert sender.nonce == 0
    longest = sender.encrypt_with_ad(b"", bytes(65519))
    assert len(longest) == 65535
    assert receiver.decrypt_with_ad(b"", longest) == bytes(65519)


def test_a_message_of_65536_bytes_is_refused_even_if_it_is_authentic() -> None:
    """R-5.1.3"""
    receiver = CipherState(Secret(KEY))
    with pytest.raises(DecryptionError, match="at most 65535"):
        receiver.decrypt_with_ad(b"", aead.seal(KEY, bytes(12), bytes(65520), b""))
    assert receiver.nonce == 0


def test_rekey_gives_the_vectors_keys_and_keeps_the_nonce() -> None:
    """R-5.1.9"""
    vector = json.loads(REKEY_VECTOR.read_text(encoding="utf-8"))
    cipher = CipherState(Secret(bytes.fromhex(vector["k"])), nonce=5)
    for field in ("rekeyed", "rekeyed_twice"):
        cipher.rekey()
        assert cipher.nonce == 5
        expected = CipherState(Secret(bytes.fromhex(vector[field])), nonce=5)
        assert contents(cipher) == contents(expected)


def test_rekeyed_ciphers_understand_each_other_and_not_the_old_key() -> None:
    """R-5.1.9"""
    sender, receiver = CipherState(Secret(KEY)), CipherState(Secret(KEY))
    receiver.decrypt_with_ad(b"", sender.encrypt_with_ad(b"", b"before"))
    sender.rekey()
    after = sender.encrypt_with_ad(b"", b"after")
    with pytest.raises(DecryptionError):
        receiver.decrypt_with_ad(b"", after)
    receiver.rekey()
    assert receiver.decrypt_with_ad(b"", after) == b"after"


def test_a_cipher_at_its_last_nonce_can_still_be_rekeyed_but_stays_at_it() -> None:
    """R-5.1.5, R-5.1.9: rekeying gives a new key, not new nonces."""
    cipher = CipherState(Secret(KEY), nonce=2**64 - 1)
    cipher.rekey()
    with pytest.raises(LocalProtocolError):
        cipher.encrypt_with_ad(b"", b"")


def test_a_cipher_without_a_key_cannot_be_rekeyed() -> None:
    with pytest.raises(LocalProtocolError, match="rekeyed"):
        CipherState().rekey()


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidKeyError):
        CipherState(Secret(bytes(length)))
    with pytest.raises(InvalidKeyError):
        CipherState().initialize_key(bytes(length))


def test_restoring_brings_back_key_and_nonce() -> None:
    cipher = CipherState(Secret(KEY), nonce=3)
    before, checkpoint = contents(cipher), cipher.checkpoint()
    cipher.encrypt_with_ad(b"", b"")
    cipher.rekey()
    assert contents(cipher) != before
    cipher.restore(checkpoint)
    assert contents(cipher) == before


def test_repr_shows_no_key() -> None:
    """R-2.1.1"""
    canary = b"a canary of thirty-two bytes !!!"
    cipher = CipherState(Secret(canary), nonce=4)
    assert repr(cipher) == "<CipherState has_key=True nonce=4>"
    state = SymmetricState(b"name", HASHES["SHA256"])
    state.mix_key(canary)
    assert repr(state) == "<SymmetricState <CipherState has_key=True nonce=0>>"


@pytest.mark.parametrize("name", HASHES)
def test_a_protocol_name_is_padded_or_hashed(name: str) -> None:
    """R-5.1.1, Noise §5.2: up to the hash's length it is padded with zeros."""
    function = HASHES[name]
    fits, too_long = b"n" * function.length, b"n" * (function.length + 1)
    assert SymmetricState(b"short", function).h == b"short" + bytes(function.length - 5)
    assert SymmetricState(fits, function).h == fits
    assert SymmetricState(too_long, function).h == hashlib.new(name.lower(), too_long).digest()


def test_mixing_follows_the_specification_step_by_step() -> None:
    """R-5.1.1, Noise §5.2, written out with hmac for SHA-512, whose outputs are cut to 32 bytes."""
    import hmac

    def hkdf(ck: bytes, ikm: bytes) -> tuple[bytes, bytes, bytes]:
        key = hmac.digest(ck, ikm, "sha512")
        one = hmac.digest(key, b"\x01", "sha512")
        two = hmac.digest(key, one + b"\x02", "sha512")
        return one, two, hmac.digest(key, two + b"\x03", "sha512")

    state = SymmetricState(b"name", HASHES["SHA512"])
    ck = h = b"name".ljust(64, b"\0")
    keyed = [state.has_key]
    assert state.encrypt_and_hash(b"clear") == b"clear"
    h = hashlib.sha512(h + b"clear").digest()
    assert state.h == h

    state.mix_key(b"first")
    ck, key, _ = hkdf(ck, b"first")
    keyed.append(state.has_key)
    assert keyed == [False, True]
    sealed = state.encrypt_and_hash(b"text")
    assert sealed == aead.seal(key[:32], bytes(12), b"text", h)
    h = hashlib.sha512(h + sealed).digest()
    assert state.h == h

    state.mix_key_and_hash(b"second")
    ck, mixed, key = hkdf(ck, b"second")
    h = hashlib.sha512(h + mixed).digest()
    assert state.h == h
    assert state.encrypt_and_hash(b"") == aead.seal(key[:32], bytes(12), b"", h)

    first, second, final_ck = state.split()
    one, two, _ = hkdf(ck, b"")
    assert final_ck == Secret(ck)
    assert contents(first) == contents(CipherState(Secret(one[:32])))
    assert contents(second) == contents(CipherState(Secret(two[:32])))


def test_decrypting_hashes_the_ciphertext_only_when_it_is_authentic() -> None:
    """R-5.2.1"""
    ours, theirs = (SymmetricState(b"name", HASHES["SHA256"]) for _ in range(2))
    ours.mix_key(b"shared")
    theirs.mix_key(b"shared")
    sealed = ours.encrypt_and_hash(b"text")
    before = contents(theirs)
    with pytest.raises(DecryptionError):
        theirs.decrypt_and_hash(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert contents(theirs) == before
    assert theirs.decrypt_and_hash(sealed) == b"text"
    assert theirs.h == ours.h
