"""Ctrl-C for processes that tests start."""

from __future__ import annotations

import signal


def interruptible() -> None:
    """Run in a child before its program: SIGINT ends it.

    What a shell starts in the background ignores SIGINT, and so do its children: also the tests' own.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
