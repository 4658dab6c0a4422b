"""Every command and its arguments as data: the parser and the shell completions come from it.

Names and meanings are fixed by interface.md; the order is that of ``--help``.
"""

from __future__ import annotations

from p2pchat.cli.table.messages import MESSAGES
from p2pchat.cli.table.people import PEOPLE
from p2pchat.cli.table.profile import PROFILE
from p2pchat.cli.table.tools import TOOLS

COMMANDS = (*PEOPLE, *MESSAGES, *PROFILE, *TOOLS)
