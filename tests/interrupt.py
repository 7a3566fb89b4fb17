"""Makes child processes of tests react to Ctrl-C."""

from __future__ import annotations

import signal


def interruptible() -> None:
    """Let SIGINT end a child process; call it in the child before the program starts.

    A program that a shell starts in the background ignores SIGINT, and so do its children.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
