"""The demo on the terminal: one line that lives, alerts above it as they come, a summary at the end.

Where nobody looks (a pipe, a log of CI) the living line becomes a plain line now and then.
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

# Plain lines come once per so much event time.
PLAIN_EVERY = timedelta(hours=12)
# Notes on single accounts are common and prove little: they are counted, not shown.
COUNTED_ONLY = "info"


class Display:
    """Shows a run.

    Parameters
    ----------
    released_at
        The launch, to say how far away it is.
    """

    def __init__(self, released_at: datetime, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.progress = self.console if self.console.is_terminal else Console(stderr=True, highlight=False)
        self.width = self.console.width if self.console.is_terminal else 100
        self.released_at = released_at
        self.events = 0
        self.now: datetime | None = None
        self.scored: datetime | None = None
        self.severities: Counter[str] = Counter()
        self._seen: dict[str, str] = {}
        self._told: datetime | None = None
        self._launched = False
        self._live: Live | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """While the run goes on."""
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
        """A line of its own."""
        self.progress.print(Text(text, style=style), soft_wrap=True)

    def sent(self, events: int, until: int) -> None:
        """Events went out; event time moved on."""
        self.events += events
        self.now = datetime.fromtimestamp(until / 1000, UTC)
        if not self._launched and self.now >= self.released_at:
            self._launched = True
            self.say(f"— {self.released_at:%Y-%m-%d %H:%M}: the new model is released —", "bold magenta")
        self._refresh()

    def judged(self, until: int) -> None:
        """The pipeline has come so far."""
        self.scored = datetime.fromtimestamp(until / 1000, UTC)
        self._refresh()

    def alert(self, alert: Alert) -> None:
        """A new alert as a whole block, a later word on it as one line."""
        data = alert.data
        before = self._seen.get(data.alert_id)
        self._seen[data.alert_id] = data.severity
        self.severities = Counter(self._seen.values())
        if data.severity != COUNTED_ONLY:
            if before is None or before == COUNTED_ONLY:
                self.console.print(render(alert, width=self.width), soft_wrap=True)
            else:
                self.console.print(headline(alert), soft_wrap=True)
        self._refresh()

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._line())
        elif self.now is not None and (self._told is None or self.now - self._told >= PLAIN_EVERY):
            self._told = self.now
            self.progress.print(self._line(), soft_wrap=True)

    def _line(self) -> Text:
        if self.now is None:
            return Text("starting …", style="dim")
        away = (self.now - self.released_at) / timedelta(hours=1)
        launch = f"launch in {-away:.0f} h" if away < 0 else f"{away:.0f} h after launch"
        scored = f"{self.scored:%a %H:%M}" if self.scored else "nothing yet"
        notes = self.severities[COUNTED_ONLY]
        alerts = len(self._seen) - notes
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{self.now:%a %d %b %H:%M}", style="bold")
        line.append(f" · {launch} · {self.events:,} events")
        line.append(f" · judged until {scored}", style="dim")
        line.append(f" · alerts {alerts}", style="bold red" if alerts else "")
        line.append(f" · notes {notes}", style="dim")
        return line


def summary(verdict: Verdict, stages: dict[str, float], events: int) -> Text:
    """The run against the truth."""
    text = Text()
    if verdict.delay is not None:
        text.append("FOUND", style="bold green")
        text.append(f"  the hidden campaign, {verdict.delay / timedelta(hours=1):.1f} h after its first move")
        text.append(" (event time)\n")
    else:
        text.append("NOT FOUND", style="bold red")
        text.append("  the hidden campaign raised no alert\n")
    strangers = verdict.listed - verdict.listed_right
    accounts = (
        f"listed {verdict.listed_right:,} of {verdict.members:,} (recall {verdict.recall:.0%}) and "
        f"{strangers:,} honest ones (precision {verdict.precision:.0%}); an alert lists at most 100"
    )
    notes = f"{verdict.accounts_noted:,} single accounts, {verdict.accounts_right:,} of them in the campaign"
    rows = [
        ("networks", f"{verdict.found_entities} of the campaign's {verdict.entities} have an alert"),
        ("accounts", accounts),
        ("false", f"{verdict.false_alerts} alerts on honest groups, {verdict.rollout_alerts} on roll-outs"),
        ("notes", notes),
        ("time", ", ".join(f"{name} {seconds:.0f} s" for name, seconds in stages.items())),
        ("events", f"{events:,}" + _rate(events, stages)),
    ]
    shown = [row for row in rows if verdict.found or row[0] not in ("networks", "accounts")]
    for label, content in shown:
        text.append("  " + label.ljust(10), style="dim")
        text.append(content + "\n")
    text.right_crop(1)
    return text


def _rate(events: int, stages: dict[str, float]) -> str:
    seconds = stages.get("playing", 0.0)
    return f", {events / seconds:,.0f} a second" if seconds else ""
