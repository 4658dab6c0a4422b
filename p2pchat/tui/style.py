"""The app's colours, by the terminal's own palette, so that light and dark themes both work.

Colour repeats what a word or a glyph already says (see ``words``); NO_COLOR loses nothing.
"""

from __future__ import annotations

from typing import Final

from prompt_toolkit.styles import Style

STYLE: Final = Style.from_dict(
    {
        "heading": "bold",
        "dim": "#8a8a8a",
        "rule": "#8a8a8a",
        "selected": "reverse",
        "unread": "bold",
        "online": "ansigreen",
        "verified": "ansigreen bold",
        "unverified": "ansiyellow",
        "changed": "bg:ansired ansiwhite bold",
        "blocked": "#8a8a8a",
        "request": "ansimagenta bold",
        "time": "#8a8a8a",
        "mine": "ansicyan",
        "theirs": "bold",
        "body": "",
        "mark": "#8a8a8a",
        "mark.done": "ansigreen",
        "mark.read": "ansicyan",
        "mark.failed": "ansired bold",
        "new": "ansicyan",
        "info": "#8a8a8a",
        "good": "ansigreen",
        "warning": "ansiyellow",
        "error": "ansired",
        "question": "bold",
        "key": "ansicyan",
        "link": "ansicyan",
        "number": "bold",
        "qr": "bg:ansiblack ansiwhite",
        "prompt": "#8a8a8a",
        "status": "bg:#303030 #d0d0d0",
        "status.news": "bold",
        "completion-menu": "bg:#303030 #d0d0d0",
        "completion-menu.completion.current": "bg:#d0d0d0 #303030 noreverse",
        "harmless": "ansired",
    }
)
