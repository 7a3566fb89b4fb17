"""A progress bar on standard error while a command reads files; none when that is not a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pivotwatch.tools.event_merge import EventFiles


@contextlib.contextmanager
def progress(files: EventFiles, console: Console | None = None) -> Iterator[None]:
    """Show a bar while files are read: the events, their rate, and the time left."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with _Bar(files, console):
        yield


class _Bar(Progress):
    """Asks the files how far they are each time that it is drawn, so that reading does not wait for it."""

    _files: EventFiles | None = None

    def __init__(self, files: EventFiles, console: Console) -> None:
        super().__init__(
            TextColumn("{task.description} {task.fields[count]:,} events"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._bar = self.add_task("reading", count=0, rate="")
        self._files = files

    def get_renderables(self) -> Iterable[RenderableType]:
        if self._files is not None:  # It draws itself once before it is made.
            stage, done, total = self._files.done
            count, seconds = self._files.count, self.tasks[0].elapsed or 0.0
            rate = f"{count / seconds:,.0f}/s" if seconds and count else ""
            self.update(self._bar, description=stage, completed=done, total=total, count=count, rate=rate)
        return super().get_renderables()
