"""What can happen to the app's state, in the past tense, by where it comes from.

Keys make the actions of ``person`` and ``opening``, the client those of ``answer`` and ``news``.
"""

from __future__ import annotations

from p2pchat.tui.actions.answer import Answer, CallFailed
from p2pchat.tui.actions.news import News
from p2pchat.tui.actions.opening import Opening
from p2pchat.tui.actions.person import Person

Action = Opening | Person | Answer | CallFailed | News
