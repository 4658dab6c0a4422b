"""statements.json: statement keys, statements, their file (protocol.md §9.4)."""

from __future__ import annotations

from typing import Any, Final

from p2pchat.crypto import ed25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import StatementError
from p2pchat.identity import statement
from p2pchat.identity.statement import KEY_CERTIFICATE_LEN, KEY_LABEL, STATEMENT_LABEL
from p2pchat.identity.statement_file import from_file, to_file
from p2pchat.interop.personas import seeded_rng
from p2pchat.interop.vectors.form import VectorFile, flipped, from_hex, refused
from p2pchat.interop.vectors.identities import NOW_MS, alice, bob

_SEED: Final = Secret(seeded_rng("vectors/statement key")(32))
_PUBLIC: Final = ed25519.public_key(_SEED)
_DAY_MS: Final = 24 * 3600 * 1000


def files() -> list[VectorFile]:
    """Return the file."""
    return [
        VectorFile(
            "statements.json",
            "protocol.md section 9.4; alice signs for bob",
            [_key(), *_statements(), _file()],
            _bad(),
            {
                "statement key": from_hex(statement.read_certificate),
                "statement": from_hex(statement.verify),
                "file": lambda text: from_file(text.encode()),
            },
        )
    ]


def _certificate() -> bytes:
    return statement.certify(alice().identity.seed, _PUBLIC, now_ms=NOW_MS)


def _signed(text: str, at_ms: int = NOW_MS) -> bytes:
    return statement.sign(
        _SEED, _certificate(), recipient=bob().identity.public, at_ms=at_ms, text=text
    )


def _key() -> dict[str, Any]:
    return {
        "name": "certificate of alice's statement key",
        "identity_seed": alice().identity.seed.reveal().hex(),
        "statement_seed": _SEED.reveal().hex(),
        "statement_key": _PUBLIC.hex(),
        "not_before_ms": NOW_MS,
        "certificate": _certificate().hex(),
    }


def _statements() -> list[dict[str, Any]]:
    said = {
        "statement": ("I owe Bob a boat.", NOW_MS + _DAY_MS),
        "statement in two lines, beyond ASCII": ("Grüße\n你好", NOW_MS),
        "statement on its key's last day": (".", NOW_MS + 365 * _DAY_MS),
    }
    return [
        {
            "name": name,
            "recipient": bob().identity.public.hex(),
            "at_ms": at_ms,
            "text": text,
            "signed": _signed(text, at_ms).hex(),
        }
        for name, (text, at_ms) in said.items()
    ]


def _file() -> dict[str, Any]:
    return {"name": "file", "file": to_file(_signed("Grüße"))}


def _bad() -> list[dict[str, str]]:
    good, certificate = _signed("I owe Bob a boat."), _certificate()
    body = good[KEY_CERTIFICATE_LEN:-64]
    foreign = statement.certify(bob().identity.seed, _PUBLIC, now_ms=NOW_MS)
    unlabelled = certificate[:-64] + ed25519.sign(alice().identity.seed, certificate[:-64])
    early = statement.certify(alice().identity.seed, _PUBLIC, now_ms=NOW_MS + 1)
    by_identity = ed25519.sign(alice().identity.seed, STATEMENT_LABEL + body)
    as_key = ed25519.sign(_SEED, KEY_LABEL + body)
    no_text = body[:-1] + b"\xff"
    error = StatementError.__name__
    return [
        *refused(
            "statement key",
            error,
            statement_key_of_144_bytes=certificate[:-1],
            statement_key_of_format_2=b"\x02" + certificate[1:],
            statement_key_whose_signature_has_no_label=unlabelled,
        ),
        *refused(
            "statement",
            error,
            statement_without_a_text=good[: KEY_CERTIFICATE_LEN + 73] + good[-64:],
            statement_with_another_text=flipped(good, KEY_CERTIFICATE_LEN + 73),
            statement_for_somebody_else=flipped(good, KEY_CERTIFICATE_LEN + 33),
            statement_under_a_certificate_of_another_identity=foreign + good[KEY_CERTIFICATE_LEN:],
            statement_before_its_key=early + good[KEY_CERTIFICATE_LEN:],
            statement_signed_by_the_identity=certificate + body + by_identity,
            statement_signed_under_another_label=certificate + body + as_key,
            statement_that_is_no_UTF_8=certificate
            + no_text
            + ed25519.sign(_SEED, STATEMENT_LABEL + no_text),
        ),
        *refused(
            "file",
            error,
            file_with_another_text=to_file(good).replace("boat", "ship"),
            file_without_signed_bytes="{}",
            file_that_is_no_JSON="I owe Bob a boat.",
        ),
    ]
