"""What all checks of one run share: personas, the report, and what is known of the other side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from p2pchat.errors import P2PChatError
from p2pchat.interop.check.report import FailedError, NotReachedError, Report
from p2pchat.interop.check.wire import EndedError
from p2pchat.interop.personas import Persona, persona, seeded_rng
from p2pchat.node.clock import Clock
from p2pchat.session.delivery import SessionState


@dataclass(slots=True)
class Target:
    """What is known of the implementation under test.

    Attributes:
        identity: Once a certificate was seen.
        static: From its latest certificate.
        certificate: That certificate's bytes.
        accepts: Whether it accepts our personas as contacts; None until tried.
        echoes: Whether it echoes texts; None until tried.
    """

    identity: bytes | None = None
    static: bytes | None = None
    certificate: bytes = b""
    accepts: bool | None = None
    echoes: bool | None = None


@dataclass(slots=True)
class Kit:
    """One run.

    Attributes:
        clock: Of the shell.
        seed: All our keys follow from it.
        patience: A check that has to wait longer (seconds) is left out.
        only: If given, the requirements whose checks are done; and what those build on.
        sessions: What each persona's store would hold of its session.
        first_messages: IK messages that were answered, to be replayed.
    """

    clock: Clock
    seed: str
    patience: float
    only: frozenset[str] = frozenset()
    report: Report = field(default_factory=Report)
    target: Target = field(default_factory=Target)
    sessions: dict[str, SessionState] = field(default_factory=dict)
    _seen: dict[str, set[bytes]] = field(default_factory=dict)
    _drawn: int = 0

    def wants(self, requirements: Iterable[str]) -> bool:
        """Tell whether a check of these requirements is asked for."""
        return not self.only or not self.only.isdisjoint(requirements)

    def persona(self, name: str) -> Persona:
        """Return the person of that name; the same in every run with this seed."""
        return persona(name, self.seed)

    def rng(self, count: int) -> bytes:
        """Return bytes that no other run has: two runs must not use a key twice."""
        self._drawn += 1
        label = f"{self.seed}/{self.clock.wall_ms()}/{self._drawn}"
        return seeded_rng(label)(count)

    def saw(self, *requirements: str) -> None:
        """Note what ordinary traffic has shown to be kept."""
        self.report.keep(*requirements)

    def broke(self, problem: str, *requirements: str) -> None:
        """Note what ordinary traffic has shown to be broken."""
        self.report.fail(requirements, problem)

    def fresh(self, what: str, value: bytes, *requirements: str) -> None:
        """Note whether ``value`` is new, as keys and nonces have to be."""
        seen = self._seen.setdefault(what, set())
        if value in seen:
            self.broke(f"{what} came twice", *requirements)
        else:
            seen.add(value)
            self.saw(*requirements)

    def known(self, what: str, value: bytes) -> bool:
        """Tell whether ``value`` was seen as ``what``."""
        return value in self._seen.get(what, set())


@contextmanager
def set_up(what: str) -> Iterator[None]:
    """Turn a failure on the way to a check's point into ``NotReachedError``."""
    try:
        yield
    except (FailedError, EndedError, TimeoutError, P2PChatError) as error:
        raise NotReachedError(f"{what}: {str(error) or 'no answer'}") from error
