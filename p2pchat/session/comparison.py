"""Comparing a phrase that both people type, sans-IO (protocol.md §3.8, §7.8).

One ``Comparison`` belongs to one connection and holds at most one run. It takes what the person
and the peer do and answers with steps, which the shell carries out in order: what stands behind
``CountTry`` or ``Ended`` waits until that is stored, so that no crash or reconnect gives back a
try. Whoever breaks a run off before its confirmations has learned nothing.

Every message names its run and is bound to its connection and its sender: one from another
connection, our own sent back to us, and one of an earlier run are told apart from a wrong phrase.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

from p2pchat.crypto import pake
from p2pchat.crypto.secret import Rng, Secret
from p2pchat.crypto.x25519 import KeyPair
from p2pchat.errors import DecryptionError, InvalidKeyError, LocalProtocolError
from p2pchat.session.comparison_steps import (
    BINDING_LEN,
    RUN_LEN,
    Step,
    decode_step,
    encode_step,
)

CHANNEL_LABEL: Final = b"p2pchat/1 comparison\x00"
BINDING_LABEL: Final = b"p2pchat/1 comparison binding\x00"
RUNS_MAX: Final = 64
"""Runs of one connection; people need a few, and each is remembered so that none comes again."""


class State(Enum):
    """Where the run stands on this side."""

    IDLE = "IDLE"
    """There is none."""
    ASKED = "ASKED"
    """Our share is sent; the other person has not typed yet."""
    INVITED = "INVITED"
    """Their share came; our person has not typed yet."""
    ANSWERED = "ANSWERED"
    """Both shares are out; their confirmation is awaited."""
    CONFIRMING = "CONFIRMING"
    """Our confirmation is sent; theirs is awaited."""


class Trigger(Enum):
    """What moves a run."""

    PHRASE = "local: phrase"
    GIVE_UP = "local: give up"
    ASK = "ASK received"
    ASK_FIRST = "ASK received, which goes before ours"
    ASK_LATE = "ASK received, which ours goes before"
    SHARE = "SHARE received"
    CONFIRM = "CONFIRM received"
    DIFFER = "DIFFER received"
    CANCEL = "CANCEL received"


_S, _T = State, Trigger
TRANSITIONS: Final[Mapping[tuple[State, Trigger], State]] = MappingProxyType(
    {
        (_S.IDLE, _T.PHRASE): _S.ASKED,
        (_S.IDLE, _T.ASK): _S.INVITED,
        (_S.INVITED, _T.PHRASE): _S.ANSWERED,
        (_S.ASKED, _T.ASK_FIRST): _S.ANSWERED,
        (_S.ASKED, _T.ASK_LATE): _S.ASKED,
        (_S.ASKED, _T.SHARE): _S.CONFIRMING,
        (_S.ANSWERED, _T.CONFIRM): _S.IDLE,
        (_S.CONFIRMING, _T.CONFIRM): _S.IDLE,
        (_S.CONFIRMING, _T.DIFFER): _S.IDLE,
        **{
            (state, trigger): _S.IDLE
            for state in (_S.ASKED, _S.INVITED, _S.ANSWERED, _S.CONFIRMING)
            for trigger in (_T.CANCEL, _T.GIVE_UP)
        },
    }
)


class Outcome(StrEnum):
    """How a run ended."""

    VERIFIED = "verified"
    """Both typed the same phrase, and nobody stands between."""
    DIFFERED = "differed"
    """Another phrase, or somebody in between who does not know it."""
    FOREIGN = "foreign"
    """A message of another connection came, or our own: somebody passes messages on."""
    REPLAYED = "replayed"
    """A message of an earlier run came."""
    DISTURBED = "disturbed"
    """A message came twice or out of turn, or held a point that no honest side sends."""
    CANCELLED = "cancelled"
    """The other side broke it off."""
    TIMED_OUT = "timed_out"
    """Somebody did not type in time; for the shell to say."""
    LOST = "lost"
    """The connection ended; for the shell to say."""


@dataclass(frozen=True, slots=True)
class Send:
    """Tell the peer this COMPARE notice's body."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """The other person wants to compare: ours is to type the phrase too."""


@dataclass(frozen=True, slots=True)
class CountTry:
    """Count one try against this contact, durably."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over; ``VERIFIED`` is stored before anything else happens."""

    outcome: Outcome


Action = Send | Asked | CountTry | Ended


def markdown() -> str:
    """Return the table as protocol.md §3.8 prints it."""
    rows = ["| state | on | next state |", "|---|---|---|"]
    rows += [
        f"| {state.value} | {trigger.value} | {following.value} |"
        for (state, trigger), following in TRANSITIONS.items()
    ]
    return "\n".join(rows)


class Comparison:
    """The comparisons of one connection.

    Args:
        ours: Our 32-byte identity.
        theirs: The peer's.
        handshake_hash: Of the connection, 32 bytes.
        rng: For run ids and scalars.
    """

    def __init__(self, *, ours: bytes, theirs: bytes, handshake_hash: bytes, rng: Rng) -> None:
        self._ours = ours
        self._theirs = theirs
        self._handshake_hash = handshake_hash
        self._rng = rng
        self._seen: dict[bytes, None] = {}
        self._left: bytes | None = None
        self._passed: bytes | None = None
        self.state = State.IDLE
        self._run = b""
        self._phrase: Secret | None = None
        self._pair: KeyPair | None = None
        self._asker_share = b""
        self._expected: bytes | None = None

    # --- What the person does -------------------------------------------------------------------

    def offer(self, phrase: Secret) -> list[Action]:
        """Begin a run with a normalised phrase, or take part in the one that the peer asked for.

        Raises:
            LocalProtocolError: A run is under way, or there were too many.
        """
        if (self.state, Trigger.PHRASE) not in TRANSITIONS:
            raise LocalProtocolError("a comparison with this contact is under way already")
        if self.state is State.INVITED:
            return self._answer(phrase)
        if len(self._seen) >= RUNS_MAX:
            raise LocalProtocolError("too many comparisons on this connection; connect anew")
        self._begin(self._rng(RUN_LEN))
        self._phrase = phrase
        self._pair = pake.begin(phrase, self._context(asked=True), rng=self._rng)
        self._asker_share = self._pair.public
        self._move(Trigger.PHRASE)
        return [self._say(Step.ASK, self._asker_share)]

    def give_up(self) -> list[Action]:
        """Break the run off, if there is one: the person declines, or time is over."""
        if self.state is State.IDLE:
            return []
        return self._end(Trigger.GIVE_UP, self._say(Step.CANCEL))

    # --- What the peer does ----------------------------------------------------------------------

    def receive(self, body: bytes) -> list[Action]:
        """Take the body of a COMPARE notice.

        Raises:
            ProtocolError: No step, or the wrong length for it.
        """
        step, run, binding, payload = decode_step(body)
        if not hmac.compare_digest(binding, self._binding(run, self._theirs)):
            return self._spoilt(Outcome.FOREIGN)
        if step is Step.ASK:
            return self._on_ask(run, payload)
        if run != self._run:
            # What crossed our own end of that run on its way is no replay, nor is what they said
            # of a run of theirs before they knew that ours goes on.
            if self.state is State.IDLE or run in (self._left, self._passed):
                return []
            return self._spoilt(Outcome.REPLAYED)
        trigger = Trigger[step.name]
        if (self.state, trigger) not in TRANSITIONS:
            return self._spoilt(Outcome.DISTURBED)
        match step:
            case Step.SHARE:
                return self._on_share(payload)
            case Step.CONFIRM if self.state is State.ANSWERED:
                return self._on_asker_confirm(payload)
            case Step.CONFIRM:
                outcome = Outcome.VERIFIED if self._confirms(payload) else Outcome.DIFFERED
                return self._end(trigger, Ended(outcome))
            case Step.DIFFER:
                return self._end(trigger, Ended(Outcome.DIFFERED))
            case _:
                return self._end(trigger, Ended(Outcome.CANCELLED))

    def _on_ask(self, run: bytes, share: bytes) -> list[Action]:
        if run in self._seen or len(self._seen) >= RUNS_MAX:
            return self._spoilt(Outcome.REPLAYED)
        if self.state is State.ASKED:  # both asked at once: the greater identity's run goes on
            if self._ours > self._theirs:
                self._seen[run] = None
                self._passed = run
                self._move(Trigger.ASK_LATE)
                return []
            phrase = self._phrase
            self._begin(run)
            self._asker_share = share
            self.state = TRANSITIONS[State.ASKED, Trigger.ASK_FIRST]
            return self._share(phrase)
        if self.state is not State.IDLE:
            return self._spoilt(Outcome.DISTURBED)
        self._begin(run)
        self._asker_share = share
        self._move(Trigger.ASK)
        return [Asked()]

    def _answer(self, phrase: Secret) -> list[Action]:
        self._move(Trigger.PHRASE)
        return self._share(phrase)

    def _share(self, phrase: Secret | None) -> list[Action]:
        """Send our share, and keep what the asker has to confirm."""
        if phrase is None:
            raise LocalProtocolError("a comparison has no phrase")
        context = self._context(asked=False)
        self._pair = pake.begin(phrase, context, rng=self._rng)
        try:
            pake.finish(
                self._pair,
                asker_share=self._asker_share,
                answerer_share=self._pair.public,
                run=context,
            )
        except InvalidKeyError:
            return self._spoilt(Outcome.DISTURBED)
        return [self._say(Step.SHARE, self._pair.public)]

    def _on_share(self, share: bytes) -> list[Action]:
        try:
            confirmations = self._confirmations(share, asked=True)
        except InvalidKeyError:
            return self._spoilt(Outcome.DISTURBED)
        self._expected = confirmations.answerer
        self._move(Trigger.SHARE)
        # Our confirmation lets the peer test one guess, so it counts before it is sent.
        return [CountTry(), self._say(Step.CONFIRM, confirmations.asker)]

    def _on_asker_confirm(self, confirmation: bytes) -> list[Action]:
        confirmations = self._confirmations(self._own().public, asked=False)
        self._expected = confirmations.asker
        if self._confirms(confirmation):
            reply = self._say(Step.CONFIRM, confirmations.answerer)
            return self._end(Trigger.CONFIRM, Ended(Outcome.VERIFIED), reply)
        differ = self._say(Step.DIFFER)
        return self._end(Trigger.CONFIRM, CountTry(), Ended(Outcome.DIFFERED), differ)

    def _spoilt(self, outcome: Outcome) -> list[Action]:
        """End whatever is under way: this is no honest peer's message."""
        if self.state is State.IDLE:
            return [Ended(outcome)]
        return self._end(Trigger.GIVE_UP, Ended(outcome), self._say(Step.CANCEL))

    # --- Parts ------------------------------------------------------------------------------------

    def _confirmations(self, answerer_share: bytes, *, asked: bool) -> pake.Confirmations:
        return pake.finish(
            self._own(),
            asker_share=self._asker_share,
            answerer_share=answerer_share,
            run=self._context(asked=asked),
        )

    def _confirms(self, confirmation: bytes) -> bool:
        try:
            pake.check(self._expected or b"", confirmation)
        except DecryptionError:
            return False
        return True

    def _own(self) -> KeyPair:
        if self._pair is None:
            raise LocalProtocolError("a comparison has no share")
        return self._pair

    def _context(self, *, asked: bool) -> pake.Run:
        """Return what the run is bound to besides the phrase (R-3.8.3)."""
        asker, answerer = (self._ours, self._theirs) if asked else (self._theirs, self._ours)
        return pake.Run(CHANNEL_LABEL + asker + answerer, self._handshake_hash + self._run)

    def _binding(self, run: bytes, sender: bytes) -> bytes:
        data = BINDING_LABEL + self._handshake_hash + sender + run
        return hashlib.sha256(data).digest()[:BINDING_LEN]

    def _say(self, step: Step, payload: bytes = b"") -> Send:
        return Send(encode_step(step, self._run, self._binding(self._run, self._ours), payload))

    def _begin(self, run: bytes) -> None:
        self._run = run
        self._seen[run] = None

    def _move(self, trigger: Trigger) -> None:
        self.state = TRANSITIONS[self.state, trigger]

    def _end(self, trigger: Trigger, *actions: Action) -> list[Action]:
        """Forget the run and everything that it drew."""
        self._move(trigger)
        self._left, self._run = self._run, b""
        self._phrase = self._pair = self._expected = None
        self._asker_share = b""
        return list(actions)
