"""A text as a QR code that a terminal can show: a contact link, a safety number."""

from __future__ import annotations

from functools import lru_cache

import segno

_HALVES = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
"""(upper, lower) module, dark is 1: drawn light on the dark ground that most terminals have."""
QUIET_MODULES = 2
"""Light frame around the code; the standard wants 4, cameras are content with 2."""


@lru_cache(maxsize=4)
def qr_lines(text: str) -> tuple[str, ...]:
    """Return the code, two rows of modules a line, by half blocks; made once, drawn often."""
    code = segno.make(text, error="l", micro=False)
    rows = [list(row) for row in code.matrix_iter(scale=1, border=QUIET_MODULES)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    return tuple(
        "".join(_HALVES[int(upper), int(lower)] for upper, lower in zip(*pair, strict=True))
        for pair in zip(rows[::2], rows[1::2], strict=True)
    )
