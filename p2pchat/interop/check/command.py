"""One run of the checker and its report."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from p2pchat.interop.check import dialler, listener
from p2pchat.interop.check.registry import Role, checks_of, seen_by_the_way
from p2pchat.interop.check.report import Line, Outcome
from p2pchat.interop.check.requirements import ELSEWHERE
from p2pchat.node.clock import Clock, SystemClock
from p2pchat.transport.base import Transport
from p2pchat.transport.tcp import TcpTransport

PATIENCE_S: Final = 20.0
"""Enough for the handshake's deadline and the keepalive, not for 45 s of silence."""

Write = Callable[[str], None]


def judged(role: Role) -> dict[str, str]:
    """Return every requirement that a run in this role can judge, and how."""
    table: dict[str, list[str]] = {}
    for check in checks_of(role):
        for requirement in check.requirements:
            table.setdefault(requirement, []).append(check.how)
    for requirement, how in seen_by_the_way(role).items():
        table.setdefault(requirement, []).append(how)
    return {requirement: " ".join(hows) for requirement, hows in table.items()}


def not_judged(role: Role) -> dict[str, str]:
    """Return every other requirement, and where it shows."""
    ours = judged(role)
    other = Role.RESPONDER if role is Role.INITIATOR else Role.INITIATOR
    how = "check --listen" if other is Role.RESPONDER else "check HOST:PORT"
    elsewhere = dict.fromkeys(judged(other), f"shown by {how}")
    for name, where in ELSEWHERE.items():
        elsewhere.setdefault(name, f"cannot be seen from here: {where}")
    return {name: why for name, why in elsewhere.items() if name not in ours}


async def check(
    address: str,
    *,
    listens: bool,
    seed: str,
    patience: float,
    as_json: bool,
    write: Write,
    clock: Clock | None = None,
    transport: Transport | None = None,
    pace: float = dialler.PACE_S,
    only: frozenset[str] = frozenset(),
) -> int:
    """Run the checks of one role and write a line for each requirement.

    Args:
        address: Of the other side, or where it will dial.
        listens: We are the responder.
        seed: All our keys follow from it.
        patience: What takes longer (seconds) is left out.
        as_json: One object a line.
        write: Takes a line.
        clock: The system's by default.
        transport: TCP by default.
        pace: Seconds between two connections that we make.
        only: Requirements; all by default.

    Returns:
        0, or 1 if any requirement failed.

    Raises:
        UnreachableError: Nothing answers at the address.
    """
    clock, transport = clock or SystemClock(), transport or TcpTransport()
    role = Role.RESPONDER if listens else Role.INITIATOR
    if listens:
        kit = listener.Listening(clock, seed, patience, only)
        await _listen(kit, address, transport, as_json=as_json, write=write)
        report = kit.report
    else:
        caller = dialler.Dialling(clock, seed, patience, only)
        caller.aim(transport, address, pace=pace)
        (await transport.dial(address)).abort()  # UnreachableError says why
        await dialler.run(caller)
        report = caller.report
    lines = report.lines(judged(role), not_judged(role))
    _write(lines, as_json=as_json, write=write)
    return 1 if any(line.outcome is Outcome.FAILED for line in lines) else 0


async def _listen(
    kit: listener.Listening, address: str, transport: Transport, *, as_json: bool, write: Write
) -> None:
    kit.prepare()
    bound = await transport.listen(address, kit.accept)
    try:
        where, link = bound.addresses[0], kit.host.link(bound.addresses[0])
        if as_json:
            write(json.dumps({"listening": where, "peer_id": kit.host.peer_id, "link": link}))
        else:
            write(f"listening on {where} as {kit.host.peer_id}")
            write(f"link {link}")
        await listener.run(kit)
    finally:
        await bound.aclose()


def _write(lines: list[Line], *, as_json: bool, write: Write) -> None:
    for line in lines:
        write(line.as_json() if as_json else line.as_text())
    counts = {outcome: sum(line.outcome is outcome for line in lines) for outcome in Outcome}
    if as_json:
        write(json.dumps({str(outcome): count for outcome, count in counts.items()}))
    else:
        write(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
