"""One run of the checker and its report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from p2pchat.interop.check import (  # noqa: F401  # each registers its checks
    dial_certificates,
    dial_clear,
    dial_first,
    dial_greeting,
    dial_session,
    dial_transport,
)
from p2pchat.interop.check import dialler
from p2pchat.interop.check.registry import CHECKS, Role, seen_by_the_way
from p2pchat.interop.check.report import Line, Outcome, Report, summary
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
    for check in CHECKS:
        if check.role is role:
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
    elsewhere = {name: f"shown by {how}" for name in judged(other)}
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
) -> int:
    """Run all checks of one role and write a line for each requirement.

    Returns:
        0, or 1 if any requirement failed.

    Raises:
        UnreachableError: Nothing answers at the address.
    """
    clock, transport = clock or SystemClock(), transport or TcpTransport()
    role = Role.RESPONDER if listens else Role.INITIATOR
    report = await _dial(address, seed, patience, clock, transport)
    lines = report.lines(judged(role), not_judged(role))
    _write(lines, as_json=as_json, write=write)
    return 1 if any(line.outcome is Outcome.FAILED for line in lines) else 0


async def _dial(
    address: str, seed: str, patience: float, clock: Clock, transport: Transport
) -> Report:
    kit = dialler.Dialling(clock, seed, patience)
    kit.aim(transport, address)
    (await transport.dial(address)).abort()  # UnreachableError says why
    await dialler.run(kit)
    return kit.report


def _write(lines: list[Line], *, as_json: bool, write: Write) -> None:
    for line in lines:
        write(line.as_json() if as_json else line.as_text())
    write(summary(lines))


