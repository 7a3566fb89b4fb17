"""Alerts on standard output for a person."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from pivotwatch.contracts.alerts import Alert
from pivotwatch.formats.text import render


def alert_printer(console: Console | None = None) -> Callable[[Alert], None]:
    """A function that prints an alert, with colours when the output is a terminal.

    rich omits the colours when the output is not a terminal or when NO_COLOR is set.
    """
    target = console or Console(highlight=False)
    # A file or a pipe has no width, and a fixed width keeps the lines whole.
    width = target.width if target.is_terminal else 100

    def show(alert: Alert) -> None:
        target.print(render(alert, width=width), soft_wrap=True)
        target.print()

    return show
