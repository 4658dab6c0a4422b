"""comparison.json: phrases, and a comparison of one step by step (protocol.md §3.8, §7.8)."""

from __future__ import annotations

from typing import Any, Final

from p2pchat.crypto import pake, x25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import ErrorCode, LocalProtocolError
from p2pchat.identity.phrase import normalise_phrase
from p2pchat.interop.personas import seeded_rng
from p2pchat.interop.vectors.form import MALFORMED, VectorFile, from_hex, refused
from p2pchat.interop.vectors.identities import alice, bob
from p2pchat.session.comparison import CHANNEL_LABEL, Action, Comparison, Send
from p2pchat.session.comparison_steps import HEAD_LEN, RUN_LEN, decode_step

TYPED: Final = "  The boat\twith the ＧＲＥＥＮ hull"
ANOTHER: Final = "the boat with the red hull"


def files() -> list[VectorFile]:
    """Return the file."""
    return [
        VectorFile(
            "comparison.json",
            "protocol.md sections 3.8 and 7.8; alice asks, bob answers",
            [*_phrases(), _run("the same phrase", TYPED), _run("another phrase", ANOTHER)],
            [*_bad_phrases(), *_bad_steps()],
            {"phrase": normalise_phrase, "COMPARE": from_hex(decode_step)},
        )
    ]


def _phrases() -> list[dict[str, Any]]:
    typed = {
        "phrase: spaces and width": TYPED,
        "phrase: case": "STRASSE straße",
        "phrase: composition": "Cafe\u0301 de Ｆlore",
        "phrase: a ligature and a no-break space": "ﬁne\u00a0day",
        "phrase: separators of lines": "one\u2028\u0085\r\nday\u1680",
    }
    return [
        {"name": name, "typed": text, "phrase": normalise_phrase(text).reveal().hex()}
        for name, text in typed.items()
    ]


def _run(name: str, answer: str) -> dict[str, Any]:
    """Return a run; bob's person typed ``answer``."""
    handshake_hash = seeded_rng("vectors/comparison hash")(32)
    asker_draws, answerer_draws = (
        seeded_rng(f"vectors/comparison {who}") for who in ("asker", "answerer")
    )
    drawn = [asker_draws(RUN_LEN), asker_draws(32)], [answerer_draws(32)]
    ours, theirs = alice().identity.public, bob().identity.public
    asker, answerer = (
        Comparison(ours=one, theirs=two, handshake_hash=handshake_hash, rng=_replay(draws))
        for one, two, draws in ((ours, theirs, drawn[0]), (theirs, ours, drawn[1]))
    )
    phrase = normalise_phrase(TYPED)
    ask = _said(asker.offer(phrase))
    answerer.receive(ask)
    share = _said(answerer.offer(normalise_phrase(answer)))
    confirm = _said(asker.receive(share))
    reply = _said(answerer.receive(confirm))
    asker.receive(reply)
    run = pake.Run(CHANNEL_LABEL + ours + theirs, handshake_hash + drawn[0][0])
    key = x25519.dh(Secret(drawn[0][1]), share[HEAD_LEN:])
    lengths = pake.with_lengths
    transcript = lengths(ask[HEAD_LEN:], pake.ASKER_DATA)
    transcript += lengths(share[HEAD_LEN:], pake.ANSWERER_DATA)
    return {
        "name": f"comparison: {name}",
        "asker": ours.hex(),
        "answerer": theirs.hex(),
        "handshake_hash": handshake_hash.hex(),
        "run": drawn[0][0].hex(),
        "asker_phrase": phrase.reveal().hex(),
        "answerer_phrase": normalise_phrase(answer).reveal().hex(),
        "ci": run.channel.hex(),
        "sid": run.session.hex(),
        "ya": drawn[0][1].hex(),
        "yb": drawn[1][0].hex(),
        "asker_g": pake.generator(phrase, run).hex(),
        "asker_k": key.hex(),
        "asker_isk": pake.intermediate_key(run.session, key, transcript).hex(),
        "messages": [body.hex() for body in (ask, share, confirm, reply)],
    }


def _replay(draws: list[bytes]) -> Any:
    left = iter(draws)

    def rng(count: int) -> bytes:
        drawn = next(left)
        if len(drawn) != count:
            raise LocalProtocolError("the vectors draw otherwise", ErrorCode.INTERNAL)
        return drawn

    return rng


def _said(actions: list[Action]) -> bytes:
    return next(action.body for action in actions if isinstance(action, Send))


def _bad_phrases() -> list[dict[str, str]]:
    return refused(
        "phrase",
        MALFORMED,
        phrase_of_three_characters=" a  b ",
        phrase_with_a_control_character="boat\x07boat",
        phrase_with_a_separator_that_is_no_space="boat\x1fboat",
        phrase_of_257_bytes="x" * 257,
    )


def _bad_steps() -> list[dict[str, str]]:
    head = bytes(HEAD_LEN - 1)
    return refused(
        "COMPARE",
        ErrorCode.PROTOCOL_VIOLATION.name,
        COMPARE_of_one_byte=b"\x01",
        COMPARE_of_an_unknown_step=b"\x06" + head,
        ASK_with_a_share_of_31_bytes=b"\x01" + head + bytes(31),
        SHARE_with_a_share_of_33_bytes=b"\x02" + head + bytes(33),
        CONFIRM_of_32_bytes=b"\x03" + head + bytes(32),
        DIFFER_with_a_payload=b"\x04" + head + b"\x00",
        CANCEL_with_a_payload=b"\x05" + head + b"\x00",
    )
