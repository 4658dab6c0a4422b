"""``reduce`` is total: any action in any reachable state gives a state that can be drawn."""

from __future__ import annotations

from datetime import UTC

from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.crypto.secret import Secret
from p2pchat.identity.trust import Trust
from p2pchat.tui import actions as a
from p2pchat.tui import view
from p2pchat.tui.actions import Action
from p2pchat.tui.effects import Call, SetComposer
from p2pchat.tui.firstrun import setup_lines
from p2pchat.tui.history import History
from p2pchat.tui.layout import body_lines
from p2pchat.tui.model import reduce
from p2pchat.tui.state import Anchor, AppState, Contact, Delivery, Identity, Message, Setup, Step
from p2pchat.tui.text import line_width

HANDLES = st.sampled_from(["", "Ann", "Bob", "gone"])
KEYS = st.sampled_from(["", "1", "2", "3", "local-0", "local-1"])
WORDS = st.sampled_from(
    [
        "",
        "hi",
        "/help",
        "/verify",
        "/verify 1",
        "/block",
        "/accept Bob",
        "/remove",
        "/myid",
        "same",
        "/search x",
        "/add p2pchat:x",
        "/msg Ann",
        "/foo",
        "//x",
        "/quit",
        "/lock",
        "/keep",
        "/retry",
        "/reply x",
        "/edit",
        "/edit x",
        "/delete",
        "/react +",
        "/disappearing",
        "/disappearing 1d",
        "/disappearing x",
        "/secret",
        "/secret new",
        "/whois",
        "/decline",
        "/record",
        "/record end",
        "/sign x",
        "1" * 60,
    ]
)
DELIVERY = st.sampled_from(Delivery)
TRUST = st.sampled_from(Trust)
TIMES = st.integers(-(2**70), 2**70)
MESSAGES = st.builds(
    Message,
    KEYS,
    st.booleans(),
    WORDS,
    TIMES,
    DELIVERY,
    WORDS,
    kind=st.sampled_from(["text", "statement", "record.propose", "timer.propose", "x"]),
    answers=KEYS,
    quote=WORDS,
    edited=st.booleans(),
    deleted=st.booleans(),
    reactions=st.lists(st.tuples(st.booleans(), WORDS), max_size=2).map(tuple),
    vanishes=st.booleans(),
)
PAGES = st.lists(MESSAGES, max_size=4, unique_by=lambda each: each.key).map(tuple)
CONTACTS = st.lists(
    st.builds(
        Contact,
        HANDLES.filter(bool),
        WORDS,
        WORDS,
        TRUST,
        unread=st.integers(0, 3),
        revoked_at_ms=st.none() | TIMES,
        announced=st.booleans(),
    ),
    max_size=3,
    unique_by=lambda each: each.handle,
).map(tuple)
CALLS = st.builds(
    Call,
    st.sampled_from(
        ["message.send", "message.list", "contact.verify", "contact.compare", "record.sign", "x"]
    ),
    st.just((("text", "hi"),)),
    HANDLES,
    KEYS,
)
ANCHORS = st.none() | st.builds(Anchor, st.integers(0, 5), st.integers(0, 5))
ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.builds(a.Submitted, WORDS, TIMES),
    st.builds(a.DraftChanged, WORDS),
    st.builds(a.ContactChosen, st.integers(-1, 9)),
    st.builds(a.ContactStepped, st.integers(-2, 2)),
    st.just(a.NextUnreadWanted()),
    st.builds(a.HistoryScrolled, ANCHORS, st.booleans()),
    st.builds(a.PanelScrolled, st.integers(-5, 90)),
    st.just(a.HelpToggled()),
    st.just(a.Escaped()),
    st.builds(a.Answered, st.booleans()),
    st.just(a.LeaveWanted()),
    st.just(a.LockWanted()),
    st.just(a.LockChanged()),
    st.builds(a.FailuresTold, st.integers(0, 9), TIMES),
    st.builds(a.EntrySubmitted, st.sampled_from([b"", b"Ann", b"\xff", b"x" * 99]).map(Secret)),
    st.just(a.KeychainChosen()),
    st.just(a.ProfileOpened()),
    st.builds(a.SetupFailed, WORDS),
    st.builds(a.IdentityShown, st.builds(Identity, WORDS, WORDS, WORDS)),
    st.builds(a.StatusShown, st.lists(WORDS, max_size=2).map(tuple)),
    st.builds(a.WarningsListed, st.lists(WORDS, max_size=2).map(tuple)),
    st.builds(a.ContactsListed, CONTACTS),
    st.builds(a.ContactAdded, HANDLES.filter(bool)),
    st.builds(a.ContactSettled, HANDLES, st.sampled_from(["contact.remove", "contact.block", "x"])),
    st.builds(a.HistoryLoaded, HANDLES, KEYS, PAGES),
    st.builds(a.SearchDone, HANDLES, WORDS | TIMES, PAGES),
    st.builds(a.Exported, WORDS, st.integers(0, 3)),
    st.builds(a.MessageStored, HANDLES, KEYS, KEYS, DELIVERY),
    st.builds(a.NumberShown, HANDLES, st.sampled_from(["", "11111 22222"])),
    st.builds(a.NumberAgreed, HANDLES),
    st.builds(a.Retried, HANDLES),
    st.builds(a.RecordChanged, HANDLES),
    st.builds(a.PhraseOffered, HANDLES, st.booleans()),
    st.builds(a.PhraseSettled, HANDLES, WORDS),
    st.builds(a.PhraseAsked, HANDLES, TIMES),
    st.builds(a.PhraseCompared, HANDLES, WORDS, st.integers(0, 3), TIMES),
    st.builds(a.MarkedRead, HANDLES),
    st.builds(a.CallFailed, CALLS, WORDS, st.booleans(), st.booleans()),
    st.builds(a.MessageArrived, HANDLES, MESSAGES),
    st.builds(a.MessageChosen, st.sampled_from([-1, 1])),
    st.builds(a.MessageHandled, HANDLES),
    st.builds(a.WritingTold, st.booleans()),
    st.builds(a.ContactWriting, HANDLES, st.booleans()),
    st.builds(a.RecordChanged, HANDLES),
    st.builds(a.MessageChanged, HANDLES, MESSAGES),
    st.builds(a.MessageRemoved, HANDLES, KEYS),
    st.builds(a.MessageMoved, HANDLES, KEYS, DELIVERY, WORDS),
    st.builds(a.ContactMoved, HANDLES, st.booleans(), TRUST, st.booleans()),
    st.builds(a.RequestArrived, WORDS),
    st.builds(a.SessionRenewed, HANDLES, WORDS, TIMES),
    st.builds(a.Announced, HANDLES, WORDS, TIMES),
    st.builds(a.KeyTold, HANDLES, st.sampled_from(["revoked", "x"]), TIMES, TIMES),
    st.builds(a.AuditWarned, WORDS),
    st.just(a.NewsLost()),
    st.builds(a.ClientLost, WORDS),
)
STARTS = st.sampled_from(
    [
        AppState(),
        AppState(setup=Setup(Step.NAME, first_run=True)),
        AppState(setup=Setup(Step.UNLOCK, first_run=False)),
    ]
)


@settings(max_examples=150)
@given(STARTS, st.lists(ACTIONS, max_size=25))
def test_any_action_in_any_state(state: AppState, actions: list[Action]) -> None:
    history = History(UTC)
    for action in actions:
        state, effects = reduce(state, action)
        for chat in state.conversations.values():
            keys = [each.key for each in chat.entries]
            assert len(keys) == len(set(keys))
        assert sum(isinstance(each, SetComposer) for each in effects) <= 1
    _draw(state, history)


def _draw(state: AppState, history: History) -> None:
    for columns, rows in ((80, 20), (40, 5)):
        if state.setup is not None:
            setup_lines(state, state.setup, columns)
        for line in (
            *view.sidebar(state, 22, rows),
            *view.title(state, columns, 1_795_435_200_000),
            *view.banner(state, columns),
            view.composer_rule(state, "text", columns),
            view.status_bar(state, columns),
            *body_lines(state, history, columns, rows, UTC),
        ):
            assert line_width(line) <= columns
