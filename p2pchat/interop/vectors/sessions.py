"""session.json: digests, agreement, parts, acknowledgements, ledgers (protocol.md §8.4 to §8.6)."""

from __future__ import annotations

from typing import Any, Final

from p2pchat.crypto import x25519
from p2pchat.crypto.secret import Secret
from p2pchat.errors import ErrorCode
from p2pchat.interop.personas import seeded_rng
from p2pchat.interop.vectors.form import VectorFile, from_hex, refused
from p2pchat.ratchet.double_ratchet import init_responder
from p2pchat.ratchet.state import RatchetSeed
from p2pchat.session.delivery import (
    DIGEST_LABEL,
    Envelope,
    SessionState,
    SessionSummary,
    acknowledge,
    can_resume,
    next_digest,
)
from p2pchat.session.ledger import EMPTY, LEDGER_LABEL, Head, extend

VIOLATION: Final = ErrorCode.PROTOCOL_VIOLATION.name
_ID: Final = seeded_rng("vectors/session")(16)
_ENVELOPES: Final = [f"envelope {number}".encode() for number in range(1, 6)]


def files() -> list[VectorFile]:
    """Return the file."""
    return [
        VectorFile(
            "session.json",
            "protocol.md sections 8.4 to 8.6: digests, agreement, parts, acknowledgements, ledger; "
            "the envelopes are placeholders (those of the ratchet are in ratchet.json)",
            [_digests(), *_agreements(), *_parts(), _ledger(), *_ledgers()],
            refused("ACK", VIOLATION, ACK_of_what_was_not_sent=(6).to_bytes(8, "big"))
            + refused("ACK", VIOLATION, ACK_below_an_earlier_one=(1).to_bytes(8, "big")),
            {"ACK": from_hex(lambda data: acknowledge(_state(), int.from_bytes(data, "big")))},
        ),
    ]


def _digest(count: int) -> bytes:
    digest = next_digest(b"", _ID)
    for envelope in _ENVELOPES[:count]:
        digest = next_digest(digest, envelope)
    return digest


def _digests() -> dict[str, Any]:
    return {
        "name": "digests of one direction",
        "label": DIGEST_LABEL.decode(),
        "session_id": _ID.hex(),
        "envelopes": [envelope.hex() for envelope in _ENVELOPES],
        "digests": [_digest(count).hex() for count in range(len(_ENVELOPES) + 1)],
    }


def _ledger() -> dict[str, Any]:
    ids = [bytes([number]) * 16 for number in range(1, 5)]
    return {
        "name": "ledger of one direction",
        "label": LEDGER_LABEL.decode(),
        "message_ids": [message_id.hex() for message_id in ids],
        "digests": [extend(EMPTY, ids[:count]).digest.hex() for count in range(len(ids) + 1)],
    }


def _chain(*numbers: int) -> Head:
    return extend(EMPTY, [bytes([number]) * 16 for number in numbers])


_AGREED: Final[dict[str, Any]] = {
    "lost_here": 0, "sent_elsewhere": 0, "lost_there": 0, "lost_there_ids": [], "forked": False,
}  # fmt: skip


def _ledgers() -> list[dict[str, Any]]:
    """Two accounts compared. What is to be found is written down here, not computed."""
    one_two = {"sent": [1, 2], "waiting": [], "received": [1, 2, 3]}
    same, all_of_it = _chain(1, 2), _chain(1, 2, 3)
    lost = {"lost_there": 2, "lost_there_ids": [_hex(3), _hex(4)]}
    other = Head(2, _chain(1, 9).digest)
    longer = _chain(1, 2, 8, 9)
    waits = one_two | {"waiting": [3, 4]}
    more = one_two | {"sent": [1, 2, 3, 4]}
    cases: dict[str, tuple[dict[str, list[int]], Head, Head, dict[str, Any], Head, Head]] = {
        # ours; what they received and sent; what is found; what we say we sent and received then
        "nothing is missing": (one_two, same, all_of_it, {}, same, all_of_it),
        "our acknowledgement is under way": (one_two, same, same, {}, same, all_of_it),
        "theirs is under way": (waits, all_of_it, all_of_it, {}, same, all_of_it),
        "they lost two": (more, same, all_of_it, lost, _chain(1, 2, 3, 4), all_of_it),
        "they lost two and had another past": (
            *(more, other, all_of_it, lost | {"forked": True}, _chain(1, 2, 3, 4), all_of_it),
        ),
        "another past of what we sent": (
            *(one_two, other, all_of_it, {"forked": True}, other, all_of_it),
        ),
        "two were sent that we know nothing of": (
            *(one_two, longer, all_of_it, {"sent_elsewhere": 2}, longer, all_of_it),
        ),
        "the same while others wait": (
            *(waits, longer, all_of_it, {"sent_elsewhere": 2}, EMPTY, all_of_it),
        ),
        "we lost one": (
            *(one_two, same, _chain(1, 2, 3, 4), {"lost_here": 1}, same, _chain(1, 2, 3, 4)),
        ),
        "another past of what we received": (
            *(one_two, same, other, {"forked": True}, same, all_of_it),
        ),
    }
    return [
        {
            "name": f"ledgers: {name}",
            "ours": {key: [_hex(number) for number in numbers] for key, numbers in ours.items()},
            "theirs": _account(sent=they_sent, received=they_received),
            "find": _AGREED | found,
            "then": _account(sent=sent, received=received),
        }
        for name, (ours, they_received, they_sent, found, sent, received) in cases.items()
    ]


def _hex(number: int) -> str:
    return (bytes([number]) * 16).hex()


def _account(*, sent: Head, received: Head) -> dict[str, Any]:
    return {
        "sent": sent.count,
        "sent_digest": sent.digest.hex(),
        "received": received.count,
        "received_digest": received.digest.hex(),
    }


def _state() -> SessionState:
    """Return a side that has sent 5 envelopes, of which 2 were acknowledged, and received 3."""
    rng = seeded_rng("vectors/session state")
    ratchet = init_responder(
        RatchetSeed(Secret(rng(32)), Secret(rng(32)), Secret(rng(32))),
        ratchet_pair=x25519.generate(rng=rng),
        associated_data=rng(96),
    )
    waiting = tuple(
        Envelope(index, _ENVELOPES[index - 1], _digest(index), None) for index in (3, 4, 5)
    )
    return SessionState(_ID, ratchet, 5, 2, _digest(2), 3, bytes(32), waiting)


def _agreements() -> list[dict[str, Any]]:
    theirs = {
        "everything arrived": SessionSummary(_ID, 3, 5, _digest(5)),
        "one was lost": SessionSummary(_ID, 3, 4, _digest(4)),
        "nothing new arrived": SessionSummary(_ID, 3, 2, _digest(2)),
        "they sent one that did not arrive": SessionSummary(_ID, 4, 5, _digest(5)),
        "another session": SessionSummary(bytes(16), 3, 5, _digest(5)),
        "they forgot what they had acknowledged": SessionSummary(_ID, 3, 1, _digest(1)),
        "they received what was not sent": SessionSummary(_ID, 3, 6, _digest(5)),
        "they forgot what they had sent": SessionSummary(_ID, 2, 5, _digest(5)),
        "they received something else": SessionSummary(_ID, 3, 5, _digest(4)),
    }
    state = _state()
    return [
        {
            "name": f"agreement: {name}",
            "ours": {
                "session_id": _ID.hex(),
                "sent": 5,
                "acknowledged": 2,
                "received": 3,
                "digests_of_sent": {str(index): _digest(index).hex() for index in range(2, 6)},
            },
            "theirs": {
                "id": summary.session_id.hex(),
                "sent": summary.sent,
                "received": summary.received,
                "digest": summary.digest.hex(),
            },
            "say": "RESUME" if can_resume(state, summary) else "RESET",
        }
        for name, summary in theirs.items()
    ]


def _parts() -> list[dict[str, Any]]:
    """Sizes only: the bytes would be zeros."""
    cases = []
    for length in (1270, 65508, 65509, 73728):
        whole = 8 + length
        sizes = [min(65516, whole - start) for start in range(0, whole, 65516)]
        kinds = ["RATCHET_PART"] * (len(sizes) - 1) + ["RATCHET"]
        cases.append(
            {
                "name": f"parts of an envelope of {length} bytes",
                "envelope_bytes": length,
                "parts": [
                    {"kind": kind, "bytes": size} for kind, size in zip(kinds, sizes, strict=True)
                ],
            }
        )
    return cases
