"""Runs Wycheproof's files against p2pchat.crypto; a checker returns what went wrong, or None."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from p2pchat.crypto import aead, ed25519, kdf, kem, x25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import CryptoError, DecryptionError, InvalidKeyError, SignatureError

Case = dict[str, Any]
Checker = Callable[[Case], str | None]

FOLDER = Path(__file__).parents[2] / "vectors" / "wycheproof"


def cases(file_name: str) -> Iterator[Case]:
    """Yield each test of a file, with its group's public key where it has one."""
    document = json.loads((FOLDER / file_name).read_text(encoding="utf-8"))
    for group in document["testGroups"]:
        for test in group["tests"]:
            yield {**test, "publicKey": group.get("publicKey")}


def declared_count(file_name: str) -> int:
    """Return how many tests the file says that it has."""
    document = json.loads((FOLDER / file_name).read_text(encoding="utf-8"))
    count: int = document["numberOfTests"]
    return count


def check_x25519(case: Case) -> str | None:
    """Strict reading of "acceptable": a zero result is refused, any other one is computed."""
    private, public = Secret(bytes.fromhex(case["private"])), bytes.fromhex(case["public"])
    return _check_dh(x25519.key_pair(private), public, case) or _check_dh(
        x25519.long_term_key_pair(private), public, case
    )


def _check_dh(pair: x25519.KeyPair, public: bytes, case: Case) -> str | None:
    shared = bytes.fromhex(case["shared"])
    try:
        ours = pair.dh(public)
    except InvalidKeyError:
        zero = "ZeroSharedSecret" in case["flags"] and shared == bytes(32)
        return None if zero or case["result"] == "invalid" else "refused"
    if case["result"] == "invalid" or "ZeroSharedSecret" in case["flags"]:
        return "computed what must be refused"
    return None if ours == shared else "another shared secret"


def check_ed25519(case: Case) -> str | None:
    try:
        ed25519.verify(
            bytes.fromhex(case["publicKey"]["pk"]),
            bytes.fromhex(case["msg"]),
            bytes.fromhex(case["sig"]),
        )
    except SignatureError:
        return None if case["result"] == "invalid" else "refused"
    return None if case["result"] == "valid" else "accepted"


def check_chacha20_poly1305(case: Case) -> str | None:
    key, nonce, ad, plaintext = (bytes.fromhex(case[name]) for name in ("key", "iv", "aad", "msg"))
    ciphertext = bytes.fromhex(case["ct"]) + bytes.fromhex(case["tag"])
    for cipher in (aead.Cipher(key), _OneShot(key)):
        try:
            opened = cipher.open(nonce, ciphertext, ad)
        except CryptoError as error:
            if case["result"] == "valid":
                return "refused"
            if "ModifiedTag" in case["flags"] and not isinstance(error, DecryptionError):
                return "refused for the wrong reason"
            continue
        if case["result"] == "invalid":
            return "accepted"
        if opened != plaintext:
            return "another plaintext"
        if cipher.seal(nonce, plaintext, ad) != ciphertext:
            return "another ciphertext"
    return None


class _OneShot:
    """The one-shot functions, in the shape of ``Cipher``."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def seal(self, nonce: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
        return aead.seal(self.key, nonce, plaintext, associated_data)

    def open(self, nonce: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
        return aead.open_(self.key, nonce, ciphertext, associated_data)


def check_hkdf_sha256(case: Case) -> str | None:
    try:
        ours = kdf.hkdf_sha256(
            salt=bytes.fromhex(case["salt"]),
            input_key=bytes.fromhex(case["ikm"]),
            info=bytes.fromhex(case["info"]),
            length=case["size"],
        )
    except ValueError:
        return None if case["result"] == "invalid" else "refused"
    if case["result"] == "invalid":
        return "accepted"
    return None if ours == bytes.fromhex(case["okm"]) else "another output"


def check_mlkem_768(case: Case) -> str | None:
    """Seed to encapsulation key, and decapsulation; encapsulation has no published answers."""
    try:
        pair = kem.key_pair(Secret(bytes.fromhex(case["seed"])))
        shared_secret = pair.decapsulate(bytes.fromhex(case["c"]))
    except CryptoError:
        return None if case["result"] == "invalid" else "refused"
    if case["result"] == "invalid":
        return "accepted"
    if pair.public.hex() != case["ek"]:
        return "another encapsulation key"
    kem.EncapsulationKey(pair.public)
    return None if shared_secret.hex() == case["K"] else "another shared secret"


FILES: dict[str, tuple[Checker, str]] = {
    "x25519_test.json": (check_x25519, "shared"),
    "ed25519_test.json": (check_ed25519, "sig"),
    "chacha20_poly1305_test.json": (check_chacha20_poly1305, "tag"),
    "hkdf_sha256_test.json": (check_hkdf_sha256, "okm"),
    "mlkem_768_test.subset.json": (check_mlkem_768, "K"),
}
"""By file: its checker, and the field that holds what is expected."""
