"""The alert as a person reads it in a terminal: one block of at most twelve lines.

What moved, who, how sure that is, since when, what everybody else did, and what speaks
against it. Pure: an alert in, a `rich.text.Text` out; `plain` gives the same without colours.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime, timedelta

from rich.text import Text

from pivotwatch.contracts.alerts import Alert, AlertData, Evidence

LABEL = 10
MOST_LINES = 12
LONGEST_ID = 48

SEVERITY_STYLES = {
    "info": "bold cyan",
    "low": "bold blue",
    "medium": "bold yellow",
    "high": "bold red",
    "critical": "bold white on red",
}
STATE_STYLES = {"open": "bold", "updated": "bold", "resolved": "bold green", "suppressed": "dim"}
STATE_WORDS = {"open": "new", "updated": "update", "resolved": "resolved", "suppressed": "suppressed"}

# Rows that lose lines when there are too many. Never "against": doubts are not what is cut.
SHORTENED_FIRST = ("see", "also", "share", "pace", "together", "when", "certainty")

Row = tuple[str, str, str]


def render(alert: Alert, *, width: int = 100) -> Text:
    """Lay the alert out for a terminal of ``width`` columns."""
    inner = max(64, width - LABEL - 2)
    rows = [
        (label, textwrap.wrap(content, inner, break_on_hyphens=False), style)
        for label, content, style in _rows(alert.data, inner)
    ]
    text = headline(alert)
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
    ... "members_total": 21, "exchanges_to_model": 1840, "reasons": [], "evidence": {}}}''')
    >>> print(plain(alert))
    HIGH  network AS64500 moved to m-2  [new · 0123456789abcdef.1]
      who       21 accounts, 1,840 exchanges with it so far: a-1, a-2, …
      when      since 2026-02-05 20:00 UTC; found 3 h later
      against   A company-wide roll-out looks just like this.
    """
    return render(alert, width=width).plain


def headline(alert: Alert) -> Text:
    """The first line: how grave, what moved where, which revision."""
    data = alert.data
    text = Text()
    text.append(data.severity.upper(), style=SEVERITY_STYLES[data.severity])
    text.append(
        f"  {_kind(data.entity.kind)} {_safe(data.entity.id)} moved to {_safe(data.model)}", style="bold"
    )
    why = f": {_safe(data.transition).replace('-', ' ')}" if data.state != "open" and data.transition else ""
    text.append(f"  [{STATE_WORDS[data.state]}{why} · ", style="dim")
    text.append(f"{alert.id}]", style="dim")
    if data.state in ("resolved", "suppressed"):
        text.stylize(STATE_STYLES[data.state], 0, len(data.severity))
    return text


def _fitted(rows: list[tuple[str, list[str], str]]) -> list[tuple[str, list[str], str]]:
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
    """Label, content and style of every row that has something to say."""
    evidence = data.evidence
    # Of one account there is no pace and no together.
    group = data.entity.kind != "account"
    rows = (
        ("who", _who(data, width), ""),
        ("share", _share(data, evidence), ""),
        ("pace", _pace(evidence) if group else "", ""),
        ("certainty", _certainty(evidence), ""),
        ("together", _together(evidence) if group else "", ""),
        ("when", _when(data), ""),
        ("also", _also(data), ""),
        ("against", _against(data), "italic"),
        (
            "see",
            "  ".join(_safe(url, 200) for url in (data.urls.page, data.urls.runbook) if url),
            "underline",
        ),
    )
    return (row for row in rows if row[1])


def _who(data: AlertData, width: int) -> str:
    """How many, how much, and as many account ids as fit on one line."""
    count = data.exchanges_to_model
    exchanges = f"{count:,} exchange{'s' if count != 1 else ''} with it so far"
    if data.entity.kind == "account":
        return exchanges
    total = data.members_total
    line = f"{total:,} account{'s' if total != 1 else ''}, {exchanges}"
    shown = 0
    for member in data.members:
        more = f"{': ' if shown == 0 else ', '}{_safe(member)}"
        # Room for the mark that there are more.
        if len(line) + len(more) + 3 > width:
            break
        line += more
        shown += 1
    return line + (", …" if 0 < shown < total else "")


def _share(data: AlertData, evidence: Evidence) -> str:
    if evidence.observed_share is None:
        return ""
    line = f"{_percent(evidence.observed_share)} of its requests"
    if evidence.population_share is not None:
        line += f"; everybody else {_percent(evidence.population_share)}"
    if evidence.baseline_share is not None:
        line += f"; itself before {_percent(evidence.baseline_share)}"
    return line


def _pace(evidence: Evidence) -> str:
    parts = []
    if evidence.hazard_ratio is not None:
        theta = f" (ordinary: up to {evidence.theta:.3g})" if evidence.theta is not None else ""
        parts.append(f"{_number(evidence.hazard_ratio)} times as fast as the population{theta}")
    counts = (
        ("moves", evidence.switches_seen, evidence.switches_expected),
        ("first uses", evidence.first_uses_seen, evidence.first_uses_expected),
    )
    for name, seen, expected in counts:
        if seen is not None and expected is not None and (seen or expected):
            parts.append(f"{name} {seen:,}, expected {_number(expected)}")
    return "; ".join(parts)


def _certainty(evidence: Evidence) -> str:
    """The log e-value in words: its distance from the threshold is what counts."""
    if evidence.log_e_value is None or evidence.threshold is None:
        return ""
    above = evidence.log_e_value - evidence.threshold
    if above < 0:
        word = "enough only beside other groups (e-BH)" if evidence.e_bh else "below the alert line now"
    else:
        word = "clear" if above < 3 else "very clear" if above < 10 else "overwhelming"
    return f"{word}: log e-value {evidence.log_e_value:.1f}, alert line {evidence.threshold:.1f}"


def _together(evidence: Evidence) -> str:
    if evidence.synchrony is None:
        return ""
    line = f"{_percent(evidence.synchrony)} of them moved within 3 h"
    if evidence.population_synchrony is not None:
        line += f"; of everybody else who moved, {_percent(evidence.population_synchrony)}"
    return line


def _when(data: AlertData) -> str:
    line = f"since {_moment(data.onset)}"
    if data.released_at is not None:
        after = _span(data.onset - data.released_at)
        how = "release (inferred)" if data.release_inferred else "release"
        # Onset is the start of a bucket, so it may lie a little before.
        line += f", {after} after {how}" if data.onset > data.released_at else f", at {how}"
    return f"{line}; found {_span(data.detected_at - data.onset)} later"


def _also(data: AlertData) -> str:
    corroboration = data.evidence.corroboration
    others = [group for group in data.groups if group != data.entity]
    named = ", ".join(f"{_safe(group.kind)} {_safe(group.id)}" for group in others[:3])
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    signs = (
        f"same incident: {named}{more}" if named else "",
        "another kind of group shares the members" if corroboration.shared_members and not named else "",
        f"{_percent(corroboration.young_share)} of them are new accounts"
        if corroboration.young_share
        else "",
        f"network class {_safe(corroboration.network_class)}" if corroboration.network_class else "",
        "ADWIN agrees" if corroboration.adwin else "",
    )
    return "; ".join(filter(None, signs))


def _against(data: AlertData) -> str:
    evidence = data.evidence
    if data.entity.kind == "account":
        doubts = ["One account proves nothing: many honest ones switch within a day."]
    else:
        doubts = ["A company-wide roll-out looks just like this."]
    if evidence.data_lag:
        doubts.append("Events came late: counts may be incomplete.")
    if evidence.learning:
        doubts.append("Still learning how fast everybody moves.")
    return " ".join(doubts)


def _kind(kind: str) -> str:
    return {"signup": "sign-up batch", "payment": "payment key", "device": "device"}.get(kind, _safe(kind))


def _safe(text: str, longest: int = LONGEST_ID) -> str:
    r"""Names come from outside: no control characters reach the terminal, none is endless.

    Examples
    --------
    >>> print(_safe("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _percent(share: float) -> str:
    """Examples: 48 %, 0.3 %, 0 %."""
    percent = share * 100
    return f"{percent:.0f} %" if percent >= 1 or percent == 0 else f"{percent:.1g} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _moment(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M UTC")


def _span(span: timedelta) -> str:
    hours = span / timedelta(hours=1)
    if hours < 1:
        return f"{span / timedelta(minutes=1):.0f} min"
    return f"{hours:.3g} h" if hours < 72 else f"{hours / 24:.3g} days"
