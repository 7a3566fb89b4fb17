"""The alert as a person reads it in a terminal: one block of at most eighteen lines.

The title, what happened and how sure that is, what to do, further reasons, counter-evidence, statistics,
accounts and links. Pure: an alert in, a `rich.text.Text` out; `plain` gives the same without colours.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from rich.text import Text

from pivotwatch.base.display import counted
from pivotwatch.base.outside_text import visible
from pivotwatch.contracts.alert_texts import reason_parts
from pivotwatch.contracts.alerts import Alert, AlertData
from pivotwatch.formats.readable import readable
from pivotwatch.formats.summary import cut, title_of

LABEL = 10
MOST_LINES = 18
LONGEST_NAME = 48
LONGEST_SENTENCE = 500

SEVERITY_STYLES = {
    "info": "bold cyan",
    "low": "bold blue",
    "medium": "bold yellow",
    "high": "bold red",
    "critical": "bold white on red",
}
STATE_STYLES = {"open": "bold", "updated": "bold", "resolved": "bold green", "suppressed": "dim"}
STATE_WORDS = {"open": "new", "updated": "update", "resolved": "resolved", "suppressed": "suppressed"}

# Rows that lose lines when there are too many. Never the next step and the counter-evidence.
SHORTENED_FIRST = ("details", "see", "why", "who", "what")

Row = tuple[str, list[str], str]
"""Label, sentences and style."""


def render(alert: Alert, *, width: int = 100) -> Text:
    """Lay the alert out for a terminal of ``width`` columns."""
    shown = readable(alert, visible)
    inner = max(64, width - LABEL - 2)
    rows = [
        (label, [line for text in texts for line in _wrapped(text, inner)], style)
        for label, texts, style in _rows(shown.data, inner)
    ]
    text = _headline(shown)
    for label, lines, style in _fitted(rows):
        for number, line in enumerate(lines):
            text.append("\n  " + (label if number == 0 else "").ljust(LABEL), style="dim")
            text.append(line, style=style)
    return text


def plain(alert: Alert, *, width: int = 100) -> str:
    r"""The same without colours.

    Examples
    --------
    >>> from pivotwatch.contracts.alerts import parse_alert
    >>> alert = parse_alert('''{"specversion": "1.0", "id": "0123456789abcdef.1", "source": "/pivotwatch",
    ... "type": "io.pivotwatch.alert.opened", "time": "2026-02-05T23:00:00Z", "data": {
    ... "alert_id": "0123456789abcdef", "revision": 1, "dedup_key": "k", "state": "open",
    ... "severity": "high", "model": "m-2", "entity": {"kind": "network", "id": "AS64500"}, "groups": [],
    ... "onset": "2026-02-05T20:00:00Z", "detected_at": "2026-02-05T23:00:00Z", "members": ["a-1", "a-2"],
    ... "members_total": 21, "exchanges_to_model": 1840, "evidence": {}, "reasons": [
    ... "21 accounts on AS64500 switched to m-2: 20 switches, 0.47 expected.", "Next step: wait."]}}''')
    >>> print(plain(alert))
    HIGH  21 accounts on AS64500 switched to m-2 together  [new · 0123456789abcdef.1]
      what      21 accounts on AS64500 switched to m-2: 20 switches, 0.47 expected.
      do        Wait.
      against   None measured.
      who       21 accounts: a-1, a-2, …
    """
    return render(alert, width=width).plain


def headline(alert: Alert) -> Text:
    """The first line: severity, title, state and id."""
    return _headline(readable(alert, visible))


def _headline(alert: Alert) -> Text:
    data = alert.data
    text = Text()
    text.append(data.severity.upper(), style=SEVERITY_STYLES[data.severity])
    text.append(f"  {title_of(data)}", style="bold")
    reason = f": {cut(data.transition, LONGEST_NAME).replace('-', ' ')}" if data.transition else ""
    text.append(
        f"  [{STATE_WORDS[data.state]}{reason if data.state != 'open' else ''} · {alert.id}]", style="dim"
    )
    if data.state in ("resolved", "suppressed"):
        text.stylize(STATE_STYLES[data.state], 0, len(data.severity))
    return text


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` columns; a number stays with its unit."""
    bound = re.sub(r" (?=%|UTC)", "\xa0", text)
    return [line.replace("\xa0", " ") for line in textwrap.wrap(bound, width, break_on_hyphens=False)]


def _fitted(rows: list[Row]) -> list[Row]:
    """Shorten what matters least until the block has no more than its lines."""
    over = sum(len(lines) for _, lines, _ in rows) - (MOST_LINES - 1)
    for label in SHORTENED_FIRST:
        for number, (name, lines, style) in enumerate(rows):
            cut = min(over, len(lines) - 1)
            if name == label and cut > 0:
                kept = lines[: len(lines) - cut]
                rows[number] = (name, [*kept[:-1], kept[-1] + " …"], style)
                over -= cut
    return rows


def _rows(data: AlertData, width: int) -> Iterator[Row]:
    """Every row that has something to say."""
    parts = reason_parts(cut(reason, LONGEST_SENTENCE) for reason in data.reasons)
    links = "  ".join(cut(visible(url), 200) for url in (data.urls.page, data.urls.runbook) if url)
    rows: tuple[Row, ...] = (
        ("what", [parts.what, parts.how_sure], ""),
        ("do", [parts.next_step], "bold"),
        ("why", parts.more, ""),
        ("against", parts.counter_evidence or ["None measured."], "italic"),
        ("details", [parts.details], "dim"),
        ("who", [_who(data, width)], ""),
        ("see", [links], "underline"),
    )
    return (row for row in rows if any(row[1]))


def _who(data: AlertData, width: int) -> str:
    """How many accounts, and as many of their ids as fit on one line."""
    if data.entity.kind == "account" or not data.members:
        return ""
    line = counted(data.members_total, "account")
    shown = 0
    for member in data.members:
        more = f"{': ' if shown == 0 else ', '}{cut(member, LONGEST_NAME)}"
        # Room for the mark that there are more.
        if len(line) + len(more) + 3 > width:
            break
        line += more
        shown += 1
    return line + (", …" if 0 < shown < data.members_total else "")
