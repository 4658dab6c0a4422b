"""Pages that take the place of the chat until Esc: help, own link, comparison; pure.

A panel is as long as it needs to be; the window scrolls it.
"""

from __future__ import annotations

import textwrap
from datetime import tzinfo
from itertools import zip_longest
from typing import Final, assert_never

from p2pchat.tui.changing import CHOSEN_MARK, REPLY_MARK, VANISH_MARK
from p2pchat.tui.commands import COMMANDS
from p2pchat.tui.comparing import VERIFIED_BY
from p2pchat.tui.conversation import Tone
from p2pchat.tui.panel_state import (
    Comparison,
    HelpPanel,
    LinkPanel,
    Panel,
    PhrasePanel,
    SearchPanel,
    VerifyPanel,
    WhoPanel,
)
from p2pchat.tui.state import AppState, Contact
from p2pchat.tui.text import EMPTY, Fragment, Line, fit, line, paragraph, rule
from p2pchat.tui.words import (
    DELIVERY,
    OFFLINE,
    ONLINE,
    REVOKED,
    TRUST,
    presence,
    short_date,
    trust_words,
    verified_words,
)

KEYS: Final = (
    ("Enter", "send"),
    ("Alt+Enter, Ctrl+J", "new line"),
    ("Alt+1 … Alt+0", "go to a contact"),
    ("Alt+← Alt+→", "previous, next contact"),
    ("Alt+a", "next unread message or request"),
    ("PgUp, PgDn", "scroll"),
    ("Alt+↑ Alt+↓", "choose a message for /reply, /react …"),
    ("↑ ↓, Enter", "choose what was found, go to it"),
    ("Tab", "complete a command or name"),
    ("Esc", "close a page, go to the newest message"),
    ("F1", "this page"),
    ("Ctrl+L", "lock: keys and screen are forgotten"),
    ("Ctrl+C, Ctrl+D", "leave; what is queued stays queued"),
)
_GROUPS_PER_ROW: Final = 4
_PROSE_CELLS: Final = 80
"""Longer lines of prose are hard to read."""
_BESIDE_CODE_CELLS: Final = 40
"""The least room for the number and its explanation beside a QR code."""
_TWO_COLUMNS: Final = 110
"""From this width on the help stands in two columns."""


def panel_lines(state: AppState, panel: Panel, cells: int, zone: tzinfo | None) -> list[Line]:
    """Return all lines of a panel."""
    match panel:
        case HelpPanel():
            return _help(cells)
        case LinkPanel():
            return _link(state, cells)
        case VerifyPanel():
            return _verify(state, panel, min(cells, _PROSE_CELLS), zone)
        case PhrasePanel():
            return _phrase(state, panel, min(cells, _PROSE_CELLS))
        case WhoPanel():
            return _who(state, panel, cells)
        case SearchPanel():
            return []  # ``hits`` lays out those that are in sight
        case _ as unreachable:
            assert_never(unreachable)


def link_lines(link: str, cells: int) -> list[Line]:
    """Return the link from the first column on, so that it can be copied with the mouse."""
    parts = (link[at : at + cells] for at in range(0, len(link), cells))
    return [line(("class:link", part)) for part in parts]


def _help(cells: int) -> list[Line]:
    commands = [(f"/{each.name} {each.arguments}", each.does) for each in COMMANDS]
    signs = [(mark[1], meaning) for mark, meaning in DELIVERY.values()]
    signs += [
        (VANISH_MARK, "disappears after some time"),
        (REPLY_MARK, "the message below answers this one"),
        (CHOSEN_MARK, "chosen for the next command"),
    ]
    trust = [(f"{glyph} {word}", meaning) for _, glyph, word, meaning in (*TRUST.values(), REVOKED)]
    presence = [(f"{ONLINE} {OFFLINE}", "online, offline"), ("•", "unread messages")]
    room = cells // 2 if cells >= _TWO_COLUMNS else cells
    slash = paragraph(
        "// at the start sends a text that begins with /", room - 2, "class:dim", "  "
    )
    first = [*_table("Commands", commands, room), *slash]
    second = _table("Keys", KEYS, room)
    third = _table("At messages", signs, room)
    fourth = _table("Beside a contact", [*trust, *presence], room)
    if room < cells:
        return [EMPTY, *_beside(first, second, room), EMPTY, *_beside(third, fourth, room)]
    return [EMPTY, *first, EMPTY, *second, EMPTY, *third, EMPTY, *fourth]


def _beside(left: list[Line], right: list[Line], room: int) -> list[Line]:
    rows = zip_longest(left, right, fillvalue=EMPTY)
    return [(*fit(one, room), *other) for one, other in rows]


def _table(
    heading: str, rows: list[tuple[str, str]] | tuple[tuple[str, str], ...], cells: int
) -> list[Line]:
    first = max(len(left) for left, _ in rows) + 2
    lines = [line(("class:heading", f" {heading}"))]
    for left, right in rows:
        head = fit(line(("class:key", f"  {left}")), first + 2)
        texts = paragraph(right, max(10, cells - first - 3))
        lines.append((*head, *texts[0]))
        lines += [line(("", " " * (first + 2)), *more) for more in texts[1:]]
    return lines


def _link(state: AppState, cells: int) -> list[Line]:
    if state.identity is None:
        return [EMPTY, line(("class:dim", " Loading…"))]
    me = state.identity
    prose = min(cells, _PROSE_CELLS)
    return [
        EMPTY,
        *paragraph(f"{me.name}'s contact link", prose - 1, "class:heading", " "),
        EMPTY,
        *link_lines(me.link, cells),
        EMPTY,
        *paragraph(
            "Give it to a friend by any means: it is not secret. It holds your name, your key and "
            "the addresses that you listen on at this moment.",
            prose - 1,
            "",
            " ",
        ),
        *paragraph("Outside of this screen, `p2pchat whoami` prints it.", prose - 1, "", " "),
        EMPTY,
        line(("class:heading", " Peer id")),
        *paragraph(me.peer_id, cells),
        *([] if state.listen else _nobody_listens(prose)),
    ]


def _nobody_listens(cells: int) -> list[Line]:
    text = (
        "You are not listening, so the link holds no address: you can call others, but they "
        "cannot call you. `listen` in the profile's config.toml says so."
    )
    return [EMPTY, *paragraph(text, cells - 1, "class:warning", " ")]


def _verify(state: AppState, panel: VerifyPanel, cells: int, zone: tzinfo | None) -> list[Line]:
    """Set the number and what to do with it, its QR code beside it or below."""
    contact = state.contact(panel.handle)
    who = contact.name if contact else "this contact"
    heading = f"Compare the safety number with {who}"
    head = [EMPTY, *paragraph(heading, cells - 1, "class:heading", " ")]
    code: list[Line] = []
    if panel.number and not panel.problem and panel.comparison is Comparison.NONE:
        from p2pchat.tui.qr import qr_lines  # large tables, for who compares

        rows = qr_lines("".join(panel.number.split()))
        code = [line(("", " "), ("class:qr", row)) for row in rows]
    beside = cells - len(code[-1][-1][1]) - 3 if code else cells
    if code and beside >= _BESIDE_CODE_CELLS:
        return head + _beside(_number_and_how(contact, panel, beside, zone), code, beside)
    below = [EMPTY, *code] if code else []
    return [*head, *_number_and_how(contact, panel, cells, zone), *below]


def _number_and_how(
    contact: Contact | None, panel: VerifyPanel, cells: int, zone: tzinfo | None
) -> list[Line]:
    who = contact.name if contact else "this contact"
    lines = [EMPTY, *_number(panel), EMPTY]
    result = _result(panel, who, cells)
    if result:
        return lines + result
    how = (
        f"{who} sees the same 60 digits if nobody stands between you. Call {who} or meet, and "
        "read them to each other. If all are the same, type “same”. Or let them send you their "
        "digits by another way than this chat, and paste them below: white space does not matter."
    )
    lines += paragraph(how, cells - 1, "", " ")
    if contact is not None and contact.verified_at_ms is not None:
        date = short_date(contact.verified_at_ms, zone)
        by = VERIFIED_BY.get(contact.verified_by, "")
        text = f"✓ Verified before{by}, on {date}."
        lines += [EMPTY, *paragraph(text, cells - 1, "class:good", " ")]
    return lines


def _phrase(state: AppState, panel: PhrasePanel, cells: int) -> list[Line]:
    contact = state.contact(panel.handle)
    who = contact.name if contact else "this contact"
    heading = f"Compare a phrase with {who}"
    lines = [EMPTY, *paragraph(heading, cells - 1, "class:heading", " "), EMPTY]
    if panel.result:
        sign = {Tone.GOOD: "✓ ", Tone.WARNING: "⚠ "}.get(panel.tone, "✗ ")
        return [*lines, *paragraph(sign + panel.result, cells - 1, f"class:{panel.tone}", " ")]
    if panel.running:
        text = f"Waiting for {who} to type the same phrase. Esc leaves this page and waits on."
        return [*lines, *paragraph(text, cells - 1, "", " ")]
    first = (
        f"{who} has typed a phrase that you both know. Type it too"
        if panel.invited
        else f"Type a word or phrase that only {who} and you know, and let {who} do the same"
    )
    how = (
        f"{first}: below, unseen, then Enter. If both are the same, nobody stands between you. "
        "Capitals and spaces do not matter. A wrong phrase tells nobody anything but that it was "
        "wrong, and only three are allowed."
    )
    return [*lines, *paragraph(how, cells - 1, "", " ")]


def _number(panel: VerifyPanel) -> list[Line]:
    groups = panel.number.split()
    if not groups:
        return [line(("class:dim", "    …"))]
    return _rows([("class:number", group) for group in groups])


def _rows(groups: list[Fragment]) -> list[Line]:
    """Set groups of digits four to a row, as they are read aloud."""
    rows = [groups[at : at + _GROUPS_PER_ROW] for at in range(0, len(groups), _GROUPS_PER_ROW)]
    gap = ("", "  ")
    return [line(gap, *(part for group in row for part in (gap, group))) for row in rows]


def _result(panel: VerifyPanel, who: str, cells: int) -> list[Line]:
    if panel.problem:
        return paragraph(f"✗ {panel.problem}", cells - 1, "class:error", " ")
    match panel.comparison:
        case Comparison.NONE:
            return []
        case Comparison.RUNNING:
            return [line(("class:dim", " Comparing…"))]
        case Comparison.AGREED:
            return [
                *paragraph(
                    f"✓ The numbers are the same. {who} is verified.", cells - 1, "class:good", " "
                ),
                EMPTY,
                *paragraph(
                    f"If this key ever changes, sending stops until you decide. Esc goes back to "
                    f"the chat with {who}.",
                    cells - 1,
                    "",
                    " ",
                ),
            ]
        case Comparison.DIFFERED:
            return _differed(panel, who, cells)
        case _ as unreachable:
            assert_never(unreachable)


def _differed(panel: VerifyPanel, who: str, cells: int) -> list[Line]:
    pasted = textwrap.wrap(panel.pasted, 5)
    shown = panel.number.split()
    marked = [
        ("class:number" if index < len(shown) and shown[index] == group else "class:changed", group)
        for index, group in enumerate(pasted)
    ]
    what = (
        f"Do not write anything private to {who} now. Make sure that the pasted digits are the "
        f"ones that {who} sees for the chat with you: each pair of people has its own. If they "
        f"still differ, somebody stands between you: /block {who}, and exchange contact links "
        "again by a way that you trust."
    )
    return [
        rule(cells, "⚠ THE NUMBERS DIFFER", "class:warning", "class:changed"),
        *paragraph(what, cells - 1, "class:warning", " "),
        *paragraph("This is what you pasted:", cells - 1, "class:dim", " "),
        *_rows(marked),
    ]


def _who(state: AppState, panel: WhoPanel, cells: int) -> list[Line]:
    contact = state.contact(panel.handle)
    if contact is None:
        return [EMPTY, line(("class:dim", " This contact is gone."))]
    style, words = trust_words(contact)
    meaning = REVOKED[-1] if contact.is_revoked else TRUST[contact.trust][-1]
    words += verified_words(contact, panel.now_ms) or f": {meaning}"
    return [
        EMPTY,
        *paragraph(contact.name, cells - 1, "class:heading", " "),
        *paragraph(words, cells - 1, style, " "),
        fit(line(("", " "), *presence(contact, cells - 2)), cells),
        EMPTY,
        line(("class:heading", " Peer id")),
        *paragraph(contact.peer_id, cells),
    ]
