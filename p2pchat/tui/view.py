"""The chat screen as styled lines: sidebar, title, banner, composer's rule, status bar; pure.

Each function takes the state and the room it has, and returns lines that fit in it. Names and
messages in a state are sanitised already (see ``state``); nothing here reads a clock.
"""

from __future__ import annotations

from typing import Final, assert_never

from p2pchat.constants import TEXT_MAX_BYTES
from p2pchat.identity.trust import Trust
from p2pchat.tui import chats
from p2pchat.tui.cells import clip, width
from p2pchat.tui.conversation import Tone
from p2pchat.tui.history import Names
from p2pchat.tui.panel_state import Comparison, PhrasePanel, SearchPanel, VerifyPanel
from p2pchat.tui.state import AppState, Contact, Question
from p2pchat.tui.text import EMPTY, Line, fit, line, line_width, paragraph, rule, spread
from p2pchat.tui.words import (
    OFFLINE,
    ONLINE,
    presence,
    trust_sign,
    trust_words,
    verified_words,
)

SIDEBAR_MIN_COLUMNS: Final = 60
"""Narrower screens give all their room to the chat."""
_WIDE_COLUMNS: Final = 100
_KEYED_CONTACTS: Final = 10
"""Alt+1 to Alt+0."""
_OWN_REVOKED: Final = (
    "⊘ You have revoked your key: nothing is sent with it. Your contacts are told as they are met; "
    "leave p2pchat running. A new identity: p2pchat --profile NAME init"
)


def names(state: AppState) -> Names:
    """Return who is who in the shown conversation."""
    contact = state.active_contact
    mine = state.identity.name if state.identity else "You"
    return Names(mine, contact.name if contact else "")


def sidebar_width(columns: int) -> int:
    """Return the sidebar's cells; 0 hides it."""
    if columns < SIDEBAR_MIN_COLUMNS:
        return 0
    return 28 if columns >= _WIDE_COLUMNS else 22


def sidebar(state: AppState, cells: int, height: int) -> list[Line]:
    """Draw ourselves and the contacts; the list scrolls so that the active one shows."""
    name = state.identity.name if state.identity else ""
    online = sum(contact.online for contact in state.contacts)
    count = f" {online} of {len(state.contacts)} online" if state.contacts else ""
    head = [
        fit(line(("class:heading", f" {name}")), cells),
        fit(line(("class:dim", count)), cells),
        rule(cells),
    ]
    rows = [
        _contact_row(contact, index, cells, active=contact.handle == state.active)
        for index, contact in enumerate(state.contacts)
    ]
    room = max(1, height - len(head))
    at = next((i for i, each in enumerate(state.contacts) if each.handle == state.active), 0)
    first = max(0, min(at - room // 2, len(rows) - room))
    return head + rows[first : first + room]


def _contact_row(contact: Contact, index: int, cells: int, *, active: bool) -> Line:
    key = str((index + 1) % 10) if index < _KEYED_CONTACTS else " "
    style, glyph, _ = trust_sign(contact)
    dot = ONLINE if contact.online else OFFLINE
    unread = f" ({contact.unread})" if contact.unread else ""
    # " 1 ● • Carol (3)  ~": what stands around the name is kept, the name gives way.
    bullet = "• " if contact.unread else ""
    room = max(1, cells - len(f" {key} {dot} {bullet}{unread} {glyph} "))
    left = line(
        ("class:dim", f" {key} "),
        ("class:online" if contact.online else "class:dim", f"{dot} "),
        ("class:unread", bullet),
        ("class:unread" if contact.unread else "", clip(contact.name, room)),
        ("class:unread", unread),
    )
    row = spread(left, line((style, f"{glyph} ")), cells)
    return tuple((f"{s} class:selected", text) for s, text in row) if active else row


def title(state: AppState, cells: int, now_ms: int) -> list[Line]:
    """Draw the shown contact: name and trust, presence and its reason, a rule.

    How and when the contact was verified stands there too, if there is room beside the name.
    """
    contact = state.active_contact
    if contact is None:
        return [fit(line(("class:heading", " p2pchat")), cells), EMPTY, rule(cells)]
    style, words = trust_words(contact)
    full = words + verified_words(contact, now_ms)
    fits = width(contact.name) + width(full) + 3 <= cells
    trust = line((style, full if fits else words), ("", " "))
    writing = " · is writing…" if state.active in state.writing and contact.online else ""
    return [
        spread(line(("class:heading", f" {contact.name}")), trust, cells),
        fit(line(("", " "), *presence(contact, cells - 2), ("class:dim", writing)), cells),
        rule(cells),
    ]


def welcome(state: AppState, cells: int) -> list[Line]:
    """Fill the place of a chat that is not there yet."""
    if not state.contacts_loaded:
        return [line(("class:dim", " Loading…"))]
    steps = [
        ("class:heading", "Nobody is here yet."),
        ("", ""),
        ("", "Two people need each other's contact link once:"),
        ("", ""),
        ("", "/myid shows yours. Send it to a friend, by any means."),
        ("", "/add LINK takes theirs. Paste the link after /add."),
        ("", ""),
        ("class:dim", "F1 shows all keys and commands."),
    ]
    lines: list[Line] = [EMPTY]
    for style, text in steps:
        lines += paragraph(text, cells - 1, style, "  ")
    return lines


def banner(state: AppState, cells: int) -> list[Line]:
    """Say what must be decided or known before writing to the shown contact."""
    lines: list[Line] = []
    if state.lost:
        lines += paragraph(state.lost, cells - 1, "class:error", " ")
    if state.identity is not None and state.identity.revoked_at_ms is not None:
        lines += paragraph(_OWN_REVOKED, cells - 1, "class:warning", " ")
    if state.warning:
        lines += paragraph(state.warning, cells - 1, "class:warning", " ")
    contact = state.active_contact
    if contact is None or state.panel is not None:
        return lines
    if contact.is_revoked and contact.trust is not Trust.CHANGED:
        return lines + _revoked(contact, cells)
    match contact.trust:
        case Trust.CHANGED:
            lines += _changed(contact, chats.queued(state.conversation(state.active)), cells)
        case Trust.REQUEST:
            lines += _request(contact, cells)
        case Trust.BLOCKED:
            text = f"⊘ {contact.name} is blocked and learns nothing. /accept lets them in again."
            lines += paragraph(text, cells - 1, "class:blocked", " ")
        case Trust.UNVERIFIED if contact.verify_first:
            text = (
                f"~ Your settings allow messages to verified contacts only. Compare with "
                f"{contact.name} first: /verify or /secret."
            )
            lines += paragraph(text, cells - 1, "class:unverified", " ")
        case Trust.VERIFIED | Trust.UNVERIFIED:
            pass
        case _ as unreachable:
            assert_never(unreachable)
    return lines


def _appeared(who: str) -> str:
    return (
        f"Another key answered at {who}'s address. Either {who} has a new device or profile, or "
        f"somebody stands between you. Ask {who} by phone or in person. Nothing is sent until "
        "you decide:"
    )


def _announced(who: str) -> str:
    return (
        f"{who} has announced a new key, signed with the old one as well: {who} has made a new "
        f"identity, or whoever has stolen the old key did. Ask {who} by phone or in person. "
        "Nothing is sent until you decide:"
    )


def _revoked(contact: Contact, cells: int) -> list[Line]:
    who = contact.name
    what = (
        f"{who} has said that this key is to be used no more: a device may be lost, or the key "
        f"copied. It is refused for good, whoever comes with it. Ask {who} over another channel "
        "for a new link, and /add it."
    )
    return [
        rule(cells, f"⊘ {who} HAS REVOKED THIS KEY", "class:warning", "class:changed"),
        *paragraph(what, cells - 1, "class:warning", " "),
        *_choices(cells, ("/remove", "delete this contact and the history")),
    ]


def _changed(contact: Contact, queued: int, cells: int) -> list[Line]:
    who = contact.name
    accepting = "take the new key, then /verify"
    if queued:
        waiting = "1 queued message goes" if queued == 1 else f"{queued} queued messages go"
        accepting = f"take the new key, then /verify; {waiting} to it"
    what = _announced(who) if contact.announced else _appeared(who)
    title = (
        f"⚠ {who} HAS ANNOUNCED A NEW KEY"
        if contact.announced
        else (f"⚠ THE KEY OF {who} HAS CHANGED")
    )
    keeping = ("/keep", "keep the old key, refuse the new one")
    if contact.is_revoked:
        keeping = ("/remove", "the old key is revoked: give the contact up")
    return [
        rule(cells, title, "class:warning", "class:changed"),
        *paragraph(what, cells - 1, "class:warning", " "),
        *_choices(
            cells,
            ("/accept", accepting),
            keeping,
            ("/verify", "show the safety number of the old key"),
            ("/block", f"have nothing more to do with {who}"),
        ),
    ]


def _request(contact: Contact, cells: int) -> list[Line]:
    lines = [rule(cells, f"? {contact.name} asks to talk with you", "class:rule", "class:request")]
    if contact.note:
        lines += paragraph(f"“{contact.note}”", cells - 1, "", " ")
    return lines + _choices(
        cells,
        ("/accept", "start to talk"),
        ("/decline", "not now; they learn nothing, and are quiet for a day"),
        ("/block", "refuse; they learn nothing"),
    )


def _choices(cells: int, *choices: tuple[str, str]) -> list[Line]:
    lines: list[Line] = []
    for command, does in choices:
        head = f"   {command:<9}"
        first, *others = paragraph(does, max(10, cells - len(head) - 1))
        lines.append(line(("class:key", head), *first))
        lines += [line(("", " " * len(head)), *more) for more in others]
    return lines


def flash(state: AppState, cells: int) -> list[Line]:
    """Draw the open question, or the answer to what was just tried."""
    if state.confirm is not None:
        contact = state.contact(state.confirm.handle)
        match state.confirm.question:
            case Question.REMOVE:
                name = contact.name if contact else "this contact"
                text = f"Remove {name}, and all messages with them? y / n"
            case Question.DELETE:
                text = "Delete your message, here and on the other side? y / n"
            case Question.LEAVE:
                text = "A message is written but not sent, and would be lost. Leave? y / n"
            case _ as unreachable:
                assert_never(unreachable)
        return paragraph(text, cells - 1, "class:question", " ")
    if state.flash is None:
        return []
    sign = {Tone.INFO: "", Tone.GOOD: "✓ ", Tone.WARNING: "⚠ ", Tone.ERROR: "✗ "}
    text = sign[state.flash.tone] + state.flash.text
    return paragraph(text, cells - 1, f"class:{state.flash.tone}", " ")


def composer_rule(state: AppState, text: str, cells: int, *, more: bool = False) -> Line:
    """Draw the line above the composer, with a word on what is in it.

    Args:
        state: The app's state.
        text: What stands in the composer.
        cells: Room of the line.
        more: The open panel goes on below the screen.
    """
    hint, style = "", "class:dim"
    if isinstance(state.panel, VerifyPanel) and state.panel.comparison is not Comparison.AGREED:
        hint = "paste the number here · Esc goes back"
        hint = "paste the number · PgDn: more · Esc: back" if more else hint
    elif isinstance(state.panel, PhrasePanel) and not (state.panel.running or state.panel.agreed):
        hint = "type the phrase, unseen · Esc goes back"
    elif isinstance(state.panel, SearchPanel) and state.panel.found:
        hint = "↑ ↓ choose · Enter: go there · Esc: back"
    elif state.panel is not None:
        hint = "PgDn shows more · Esc goes back" if more else "Esc goes back to the chat"
    elif "\n" in text or len(text) > TEXT_MAX_BYTES // 4:
        hint, style = _size_hint(text)
    elif state.visit is not None or state.shown.anchor is not None:
        hint, style = "↓ newer messages below · Esc goes there", "class:new"
    elif text.startswith("/") and not text.startswith("//"):
        hint = "command · Tab completes"
    return rule(cells, hint, title_style=style)


def _size_hint(text: str) -> tuple[str, str]:
    count = text.count("\n") + 1
    size = len(text.encode("utf-8", "replace"))
    shown = f"{size / 1024:.1f} KiB" if size >= 1024 else f"{size} bytes"
    if size > TEXT_MAX_BYTES:
        return f"{shown}: too long, the limit is {TEXT_MAX_BYTES // 1024} KiB", "class:error"
    lines = f"{count:,} lines" if count > 1 else "1 line"
    return f"{lines}, {shown} · Enter sends it as one message", "class:dim"


def status_bar(state: AppState, columns: int) -> Line:
    """Draw the lowest line: help, what waits, where we listen, and keys as far as there is room."""
    others = sum(each.unread for each in state.contacts if each.handle != state.active)
    requests = sum(each.trust is Trust.REQUEST for each in state.contacts)
    waiting = [
        "⚠ audit" if state.warned else "",
        f"• {others} unread" if others else "",
        f"? {requests} request{'s' if requests > 1 else ''}" if requests else "",
    ]
    news = " · ".join(part for part in waiting if part)
    if state.listen:
        where = f"listening on {state.listen[0]}"
        where += f" +{len(state.listen) - 1}" if len(state.listen) > 1 else ""
    else:
        where = "not listening"
    left = [("class:status", " F1 help")]
    right = [("class:status.news", f"  {news} ")] if news else []
    style = "class:status"
    left_cells = len(" F1 help")
    for text, at_right in (
        (f" {where} ", True),
        ("  Alt+1…0 switch", False),
        ("  Alt+a next unread", False),
        ("  PgUp older", False),
    ):
        taken = left_cells + line_width(line(*right)) + width(text)
        if taken + 1 > columns:
            break
        if at_right:
            right.append((style, text))
        else:
            left.append((style, text))
            left_cells += width(text)
    return spread(line(*left), line(*right), columns, style)
