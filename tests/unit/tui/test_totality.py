"""``reduce`` is total: any action in any reachable state gives a state that can be drawn."""

from __future__ import annotations

from datetime import UTC

from hypothesis import given, settings
from hypothesis import strategies as st

from p2pchat.crypto.secret import Secret
from p2pchat.identity.trust import Trust
from p2pchat.tui import view
from p2pchat.tui.actions import Action, answer, news, opening, person
from p2pchat.tui.conversation import Anchor, Delivery, Message
from p2pchat.tui.effects import Call, SetComposer
from p2pchat.tui.firstrun import setup_lines
from p2pchat.tui.history import History
from p2pchat.tui.layout import body_lines
from p2pchat.tui.model import reduce
from p2pchat.tui.panel_state import Hit
from p2pchat.tui.state import AppState, Contact, Identity, Setup, Step
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
        "/searchall x",
        "/date 2026-01-31",
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
        "/resend",
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
HITS = st.lists(st.builds(Hit, HANDLES, MESSAGES), max_size=4).map(tuple)
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
        [
            "message.send",
            "message.list",
            "message.search",
            "contact.verify",
            "contact.compare",
            "record.sign",
            "x",
        ]
    ),
    st.just((("text", "hi"),)),
    HANDLES,
    KEYS,
)
ANCHORS = st.none() | st.builds(Anchor, st.integers(0, 5), st.integers(0, 5))
ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.builds(person.Submitted, WORDS, TIMES),
    st.builds(person.DraftChanged, WORDS),
    st.builds(person.ContactChosen, st.integers(-1, 9)),
    st.builds(person.ContactStepped, st.integers(-2, 2)),
    st.just(person.NextUnreadWanted()),
    st.builds(person.HistoryScrolled, ANCHORS, st.booleans()),
    st.builds(person.PanelScrolled, st.integers(-5, 90)),
    st.just(person.HelpToggled()),
    st.just(person.Escaped()),
    st.builds(person.Answered, st.booleans()),
    st.just(person.LeaveWanted()),
    st.just(person.LockWanted()),
    st.just(news.LockChanged()),
    st.builds(news.FailuresTold, st.integers(0, 9), TIMES),
    st.builds(
        opening.EntrySubmitted, st.sampled_from([b"", b"Ann", b"\xff", b"x" * 99]).map(Secret)
    ),
    st.just(opening.KeychainChosen()),
    st.just(opening.ProfileOpened()),
    st.builds(opening.SetupFailed, WORDS),
    st.builds(answer.IdentityShown, st.builds(Identity, WORDS, WORDS, WORDS)),
    st.builds(answer.StatusShown, st.lists(WORDS, max_size=2).map(tuple)),
    st.builds(answer.WarningsListed, st.lists(WORDS, max_size=2).map(tuple)),
    st.builds(answer.ContactsListed, CONTACTS),
    st.builds(answer.ContactAdded, HANDLES.filter(bool)),
    st.builds(
        answer.ContactSettled, HANDLES, st.sampled_from(["contact.remove", "contact.block", "x"])
    ),
    st.builds(answer.HistoryLoaded, HANDLES, KEYS, PAGES),
    st.builds(answer.NewerLoaded, HANDLES, KEYS, PAGES),
    st.builds(answer.SearchDone, HANDLES, st.sampled_from(["x", "foo"]) | TIMES, HITS),
    st.builds(answer.Exported, WORDS, st.integers(0, 3)),
    st.builds(answer.MessageStored, HANDLES, KEYS, KEYS, DELIVERY),
    st.builds(answer.NumberShown, HANDLES, st.sampled_from(["", "11111 22222"])),
    st.builds(answer.NumberAgreed, HANDLES),
    st.builds(answer.Retried, HANDLES),
    st.builds(answer.RecordChanged, HANDLES),
    st.builds(answer.PhraseOffered, HANDLES, st.booleans()),
    st.builds(answer.PhraseSettled, HANDLES, WORDS),
    st.builds(news.PhraseAsked, HANDLES, TIMES),
    st.builds(news.PhraseCompared, HANDLES, WORDS, st.integers(0, 3), TIMES),
    st.builds(answer.MarkedRead, HANDLES),
    st.builds(answer.CallFailed, CALLS, WORDS, st.booleans(), st.booleans()),
    st.builds(news.MessageArrived, HANDLES, MESSAGES),
    st.builds(person.MessageChosen, st.sampled_from([-9, -1, 1, 9])),
    st.builds(answer.MessageHandled, HANDLES),
    st.builds(answer.MessageResent, HANDLES, KEYS),
    st.builds(answer.WritingTold, st.booleans()),
    st.builds(news.ContactGone, HANDLES),
    st.just(news.IdentityRevoked()),
    st.builds(news.ContactWriting, HANDLES, st.booleans()),
    st.builds(answer.RecordChanged, HANDLES),
    st.builds(news.MessageQueued, HANDLES, MESSAGES),
    st.builds(news.MessageChanged, HANDLES, MESSAGES),
    st.builds(news.MessageRemoved, HANDLES, KEYS),
    st.builds(news.MessageMoved, HANDLES, KEYS, DELIVERY, WORDS),
    st.builds(news.ContactMoved, HANDLES, st.booleans(), TRUST, st.booleans()),
    st.builds(news.RequestArrived, WORDS),
    st.builds(news.SessionRenewed, HANDLES, WORDS, TIMES),
    st.builds(news.Announced, HANDLES, WORDS, TIMES),
    st.builds(news.KeyTold, HANDLES, st.sampled_from(["revoked", "x"]), TIMES, TIMES),
    st.builds(news.AuditWarned, WORDS),
    st.just(news.NewsLost()),
    st.builds(news.ClientLost, WORDS),
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
        assert state.visit is None or state.visit.handle == state.active
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
