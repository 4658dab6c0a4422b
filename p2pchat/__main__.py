"""Entry of ``p2pchat`` and ``python -m p2pchat``; everything else is imported when it is needed."""

from __future__ import annotations

import sys

from p2pchat.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
