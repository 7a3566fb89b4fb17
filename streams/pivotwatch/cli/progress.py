"""A progress bar on standard error while a command reads files; none when that is not a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pivotwatch.tools.event_files import Lines

# A bar that moves smoothly and costs no measurable time.
LINES_PER_UPDATE = 20_000


@contextlib.contextmanager
def progress(lines: Lines, console: Console | None = None) -> Iterator[Iterable[bytes]]:
    """The same lines. A bar shows the bytes read, the rate and the time left."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lines
        return
    columns = (
        TextColumn("{task.fields[count]:,} events"),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield _with_bar(lines, bar)


def _with_bar(lines: Lines, bar: Progress) -> Iterator[bytes]:
    task = bar.add_task("", total=lines.size, count=0, rate="")
    for line in lines:
        if lines.count % LINES_PER_UPDATE == 0:
            seconds = bar.tasks[0].elapsed or 0.0
            rate = f"{lines.count / seconds:,.0f}/s" if seconds else ""
            bar.update(task, completed=lines.read, count=lines.count, rate=rate)
        yield line
    bar.update(task, completed=lines.read, count=lines.count)
