"""The output of the demo: a status line, the alerts above it, and a summary at the end.

On a terminal the status line is updated in place. In a pipe or a CI log it is printed now and then.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pivotwatch.contracts.alerts import Alert
from pivotwatch.demo.verdict import Verdict
from pivotwatch.formats.text import headline, render

PRINT_EVERY = timedelta(hours=12)
"""Event time between two status lines where the output is not a terminal."""
COUNTED_ONLY = "info"
"""The severity of alerts that are counted but not printed: findings on single accounts are common."""


class Display:
    """Prints the progress and the alerts of a run.

    Parameters
    ----------
    released_at
        Time of the release.
    console
        Where to print; standard output by default.
    """

    def __init__(self, released_at: datetime, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.progress = self.console if self.console.is_terminal else Console(stderr=True, highlight=False)
        self.width = self.console.width if self.console.is_terminal else 100
        self.released_at = released_at
        self.events = 0
        self.now: datetime | None = None
        self.scored_until: datetime | None = None
        self.severities: Counter[str] = Counter()
        self._alerts: dict[str, str] = {}
        self._printed_at: datetime | None = None
        self._released = False
        self._live: Live | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Update the status line while the block runs."""
        if not self.console.is_terminal:
            yield
            return
        with Live(self._line(), console=self.console, refresh_per_second=4, transient=True) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def say(self, text: str, style: str = "dim") -> None:
        """Print a line of text."""
        self.progress.print(Text(text, style=style), soft_wrap=True)

    def sent(self, events: int, until: int) -> None:
        """Show that events were sent; event time is now ``until`` (epoch milliseconds)."""
        self.events += events
        self.now = datetime.fromtimestamp(until / 1000, UTC)
        if not self._released and self.now >= self.released_at:
            self._released = True
            self.say(f"— {self.released_at:%Y-%m-%d %H:%M} UTC: the new model is released —", "bold magenta")
        self._refresh()

    def scored(self, until: int) -> None:
        """Show that the pipeline has scored every bucket before ``until`` (epoch milliseconds)."""
        self.scored_until = datetime.fromtimestamp(until / 1000, UTC)
        self._refresh()

    def alert(self, alert: Alert) -> None:
        """Print a new alert as a block, and a later revision of it as one line."""
        data = alert.data
        before = self._alerts.get(data.alert_id)
        self._alerts[data.alert_id] = data.severity
        self.severities = Counter(self._alerts.values())
        if data.severity != COUNTED_ONLY:
            if before is None or before == COUNTED_ONLY:
                self.console.print(render(alert, width=self.width), soft_wrap=True)
            else:
                self.console.print(headline(alert), soft_wrap=True)
        self._refresh()

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._line())
        elif self.now is not None and (
            self._printed_at is None or self.now - self._printed_at >= PRINT_EVERY
        ):
            self._printed_at = self.now
            self.progress.print(self._line(), soft_wrap=True)

    def _line(self) -> Text:
        if self.now is None:
            return Text("starting …", style="dim")
        hours = (self.now - self.released_at) / timedelta(hours=1)
        release = f"release in {-hours:.0f} h" if hours < 0 else f"{hours:.0f} h after the release"
        scored = (
            f"scored through {self.scored_until:%a %H:%M}" if self.scored_until else "no bucket scored yet"
        )
        findings = self.severities[COUNTED_ONLY]
        alerts = len(self._alerts) - findings
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{self.now:%a %d %b %H:%M} UTC", style="bold")
        line.append(f" · {release} · {self.events:,} events")
        line.append(f" · {scored}", style="dim")
        line.append(f" · alerts {alerts}", style="bold red" if alerts else "")
        line.append(f" · findings {findings}", style="dim")
        return line


def summary(verdict: Verdict, durations: dict[str, float], events: int) -> Text:
    """A text that compares the run with the truth.

    Parameters
    ----------
    durations
        Name of each part of the run and its length in seconds.
    events
        Number of events sent.
    """
    text = Text()
    if verdict.delay is not None:
        text.append("FOUND", style="bold green")
        text.append(f"  the hidden campaign, {verdict.delay / timedelta(hours=1):.1f} h of event time")
        text.append(" after its first switch\n")
    else:
        text.append("NOT FOUND", style="bold red")
        text.append("  the hidden campaign raised no alert\n")
    honest = verdict.listed - verdict.listed_right
    accounts = (
        f"alerts list {verdict.listed_right:,} of {verdict.members:,} accounts (recall {verdict.recall:.0%}) "
        f"and {honest:,} honest ones (precision {verdict.precision:.0%}); an alert lists at most 100"
    )
    rows = [
        (
            "networks",
            f"{verdict.found_entities} of the {verdict.entities} networks of the campaign have an alert",
        ),
        ("accounts", accounts),
        ("false", f"{verdict.false_alerts} alerts on honest groups, {verdict.rollout_alerts} on roll-outs"),
        (
            "findings",
            f"{verdict.findings:,} single accounts, {verdict.findings_right:,} of them in the campaign",
        ),
        ("time", ", ".join(f"{name} {seconds:.0f} s" for name, seconds in durations.items())),
        ("events", f"{events:,}" + _rate(events, durations)),
    ]
    for label, content in rows:
        if verdict.found or label not in ("networks", "accounts"):
            text.append("  " + label.ljust(10), style="dim")
            text.append(content + "\n")
    text.right_crop(1)
    return text


def _rate(events: int, durations: dict[str, float]) -> str:
    seconds = durations.get("playback", 0.0)
    return f", {events / seconds:,.0f} per second" if seconds else ""
