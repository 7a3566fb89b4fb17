"""The charts of report and page: an incident over time, a release's adoption, a timeline of incidents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup

from pivotwatch.base.display import counted, percent
from pivotwatch.base.svg import FOOT, WIDTH, Chart, nice_top
from pivotwatch.contracts.alert_evidence import Series
from pivotwatch.contracts.alerts import AlertData
from pivotwatch.reporting.collector import Adoption


class Size(NamedTuple):
    """Width of a chart, heights of its two panels, and the gap between them, in units of the drawing."""

    width: int
    upper: int
    lower: int
    gap: int

    @property
    def tops(self) -> tuple[int, int]:
        """Upper edges of the two panels."""
        return 22, 22 + self.upper + self.gap

    @property
    def height(self) -> int:
        """Height of the whole chart."""
        return self.tops[1] + self.lower + 4 + FOOT


FULL = Size(WIDTH, 122, 122, 34)
ADOPTION = Size(WIDTH, 60, 56, 26)

ROWS_DRAWN = 40
ROW = 20
NAME = 36
NAMED = 6
ROOM = 240


def incident(data: AlertData, series: Series, size: Size = FULL) -> Markup:
    """An incident over time: shares above, events below."""
    start, width = millis(series.start), series.bucket_ms
    spans = [(start + a * width, start + b * width) for a, b in zip(series.at, series.until, strict=True)]
    what = f"{data.entity.kind} {data.entity.id} and {data.model}"
    chart = Chart(
        data.alert_id,
        f"{what[0].upper()}{what[1:]} over time",
        _description(series),
        (spans[0][0], spans[-1][1]),
        size.height,
        width=size.width,
    )
    shares = [v for v in (*series.share, *series.others_share) if v is not None]
    top = nice_top(max(shares, default=0.0), least=0.02)
    until = millis(data.detected_at)
    panels = list(zip(size.tops, (size.upper, size.lower), strict=True))
    for y, height in panels:
        chart.shade(millis(data.onset), until, y, height)
    upper = chart.panel(*panels[0], top=min(1.0, top), label=f"share of requests to {data.model}")
    middles = [(a + b) / 2 for a, b in spans]
    upper.area(list(zip(middles, series.others_share, strict=True)), "everyone")
    upper.line(list(zip(middles, series.share, strict=True)), "observed")
    _events(chart, series, spans, panels[1])
    if data.released_at is not None:
        chart.mark(millis(data.released_at), *panels[0], "release")
        chart.mark(millis(data.released_at), *panels[1])
    chart.time_axis()
    return Markup(chart.svg())  # noqa: S704  # the element tree has escaped every text


def _events(
    chart: Chart, series: Series, spans: Sequence[tuple[float, float]], place: tuple[int, int]
) -> None:
    """Events per bucket, so a step over several buckets is as high as a step over one."""
    per = [b - a for a, b in zip(series.at, series.until, strict=True)]
    seen = [n / w for n, w in zip(series.seen, per, strict=True)]
    high = [n / w for n, w in zip(series.high, per, strict=True)]
    low = [n / w for n, w in zip(series.low, per, strict=True)]
    expected = [n / w for n, w in zip(series.expected, per, strict=True)]
    top = nice_top(max(*seen, *high, 0.0), least=4)
    lower = chart.panel(*place, top=top, label="first uses and switches per bucket", percent=False)
    lower.band([(*span, a, b) for span, a, b in zip(spans, low, high, strict=True)], "ordinary")
    lower.line([(t, e) for span, e in zip(spans, expected, strict=True) for t in span], "expected")
    middles = [(a + b) / 2 for a, b in spans]
    lower.line(list(zip(middles, seen, strict=True)), "observed")


def _description(series: Series) -> str:
    most = max(series.seen, default=0)
    shares = [s for s in series.share if s is not None]
    others = [s for s in series.others_share if s is not None]
    return (
        f"The group's share of requests rose to {percent(max(shares, default=0))}, everyone else's to "
        f"{percent(max(others, default=0))}. At most {counted(most, 'event')} in one step. The table below "
        "has the numbers."
    )


def adoption(name: str, release: Adoption, size: Size = ADOPTION) -> Markup:
    """The adoption of a release over time: its share of all requests, and first uses per bucket."""
    end = release.points[-1].at + release.bucket_ms
    span = (release.points[0].at, end)
    text = f"{counted(release.first_uses, 'first use')}. Last share: {percent(release.last_share)}."
    chart = Chart(name, f"Adoption of {release.model}", text, span, size.height, width=size.width)
    panels = list(zip(size.tops, (size.upper, size.lower), strict=True))
    shares = [p.share for p in release.points if p.share is not None]
    top = min(1.0, nice_top(max(shares, default=0.0), least=0.02))
    panel = chart.panel(*panels[0], top=top, label="share of all requests")
    panel.area([(p.at, p.share) for p in release.points], "everyone")
    firsts = chart.panel(
        *panels[1],
        top=nice_top(max(p.first_uses for p in release.points), least=4),
        label="first uses per bucket",
        percent=False,
    )
    firsts.line([(p.at, p.first_uses) for p in release.points], "expected")
    chart.mark(release.released_at, *panels[0], "release")
    chart.mark(release.released_at, *panels[1])
    chart.time_axis()
    return Markup(chart.svg())  # noqa: S704  # the element tree has escaped every text


def timeline(alerts: Sequence[AlertData], span: tuple[float, float], releases: Sequence[Adoption]) -> Markup:
    """One bar per incident, from its start to its last update."""
    drawn = alerts[:ROWS_DRAWN]
    head = 12 * min(len(releases), NAMED)
    height = head + 10 + ROW * len(drawn) + FOOT
    chart = Chart(
        "timeline", "Timeline of incidents", "The table below has the same incidents.", span, height
    )
    for number, release in enumerate(releases):
        y = 2 + 12 * (number % NAMED)  # one below the other: releases are often close in time
        chart.mark(release.released_at, y, height - FOOT - y, release.model)
    for row, data in enumerate(drawn):
        y = head + 8 + ROW * row
        left, right = chart.x(millis(data.onset)), chart.x(millis(data.detected_at))
        name = f"{data.entity.kind} {data.entity.id}"
        tip = f"{name}: {data.severity}, {counted(data.members_total, 'account')}"
        chart.rect(left, y, max(4.0, right - left), ROW - 6, f"bar {data.severity}", tip=tip)
        shown = name if len(name) <= NAME else name[: NAME - 1] + "…"
        if right < WIDTH - ROOM:
            chart.text(right + 5, y + 11, shown, "tick")
        elif left > ROOM:
            chart.text(left - 5, y + 11, shown, "tick", anchor="end")
        else:
            chart.text(left + 6, y + 11, shown, "inside")
    chart.time_axis()
    return Markup(chart.svg())  # noqa: S704  # the element tree has escaped every text


def millis(when: datetime) -> float:
    """Epoch milliseconds."""
    return when.timestamp() * 1000
