"""Charts as SVG that the server draws: they need no script and can be printed.

Every text goes through the element tree, so foreign names cannot become markup. The style sheet of the
page (`streams/pivotwatch/reporting/charts.css`) sets the colours. Each chart has a title and a description.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeAlias
from xml.etree.ElementTree import Element, SubElement, tostring

from pivotwatch.base.outside_text import visible

Points: TypeAlias = Sequence[tuple[float, float | None]]
"""Pairs of epoch milliseconds and a value; the value None is a gap."""

WIDTH, LEFT, RIGHT, FOOT = 760, 52, 14, 26
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
STEPS = (
    *(n * MINUTE for n in (1, 5, 15, 30)),
    *(n * HOUR for n in (1, 2, 3, 6, 12)),
    *(n * DAY for n in (1, 2, 7, 14, 28, 91, 364)),
)
MOST_TICKS = 9


class Chart:
    """A drawing with one time axis and one or several panels.

    Parameters
    ----------
    name
        Name that is unique on the page; the ids of the title and the description begin with it.
    title, description
        Texts for screen readers.
    span
        First and last time, in epoch milliseconds.
    height, width
        Size in SVG user units.

    Examples
    --------
    >>> chart = Chart("c", "<b>", "Two points.", (0, DAY), 120)
    >>> panel = chart.panel(8, 80, top=1.0, label="share")
    >>> panel.line([(0, 0.1), (DAY, 0.5)], "observed")
    >>> svg = chart.svg()
    >>> "&lt;b&gt;" in svg, 'points="52.0,80.0 746.0,48.0"' in svg
    (True, True)
    """

    def __init__(
        self,
        name: str,
        title: str,
        description: str,
        span: tuple[float, float],
        height: int,
        *,
        width: int = WIDTH,
    ) -> None:
        self.start, self.end = span[0], max(span[1], span[0] + 1)
        self.height, self.width = height, width
        ids = f"{name}-title", f"{name}-desc"
        attributes = {"viewBox": f"0 0 {width} {height}", "role": "img", "class": "chart"}
        self.root = Element("svg", attributes | {"aria-labelledby": " ".join(ids)})
        SubElement(self.root, "title", id=ids[0]).text = visible(title)
        SubElement(self.root, "desc", id=ids[1]).text = visible(description)

    def x(self, moment: float) -> float:
        """The x coordinate of a time, clipped to the drawing."""
        share = (moment - self.start) / (self.end - self.start)
        return LEFT + (self.width - LEFT - RIGHT) * min(1.0, max(0.0, share))

    def panel(self, y: int, height: int, *, top: float, label: str, percent: bool = True) -> Panel:
        """Add a panel with a value axis from 0 to ``top``."""
        return Panel(self, y, height, top=top, label=label, percent=percent)

    def shade(self, since: float, until: float, y: float, height: float) -> None:
        """Shade a time range, such as that of an alert."""
        left = self.x(since)
        self.rect(left, y, max(2.0, self.x(until) - left), height, "alerted")

    def mark(self, moment: float, y: float, height: float, label: str = "") -> None:
        """Draw a vertical line, such as that of a release."""
        if not self.start <= moment <= self.end:
            return
        x = self.x(moment)
        self.stroke((x, y), (x, y + height), "release")
        if not label:
            return
        late = x > self.width - 120
        self.text(x - 4 if late else x + 4, y + 10, label, "note", anchor="end" if late else "start")

    def time_axis(self) -> None:
        """Draw ticks and dates (UTC) at the bottom."""
        y = self.height - FOOT
        self.text(LEFT - 8, y + 17, "UTC", "tick", anchor="end")
        for moment, label in ticks(self.start, self.end, most=max(3, MOST_TICKS * self.width // WIDTH)):
            x = self.x(moment)
            self.stroke((x, y), (x, y + 4), "axis")
            anchor = "start" if x < LEFT + 20 else "end" if x > self.width - RIGHT - 24 else "middle"
            self.text(x, y + 17, label, "tick", anchor=anchor)

    def stroke(self, a: tuple[float, float], b: tuple[float, float], css: str) -> None:
        """Draw a straight line."""
        ends = {"x1": a[0], "y1": a[1], "x2": b[0], "y2": b[1]}
        SubElement(self.root, "line", {k: f"{v:.1f}" for k, v in ends.items()} | {"class": css})

    def rect(self, x: float, y: float, width: float, height: float, css: str, *, tip: str = "") -> None:
        """Draw a rectangle with the tooltip ``tip``."""
        sides = {"x": x, "y": y, "width": width, "height": height}
        element = SubElement(self.root, "rect", {k: f"{v:.1f}" for k, v in sides.items()} | {"class": css})
        if tip:
            SubElement(element, "title").text = visible(tip)

    def text(self, x: float, y: float, content: str, css: str, *, anchor: str = "start") -> None:
        """Draw a text."""
        attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "class": css, "text-anchor": anchor}
        SubElement(self.root, "text", attributes).text = visible(content)

    def shape(self, points: Iterable[tuple[float, float]], css: str, *, closed: bool = False) -> None:
        """Draw a line through points of the drawing, or the area that they enclose."""
        listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        SubElement(self.root, "polygon" if closed else "polyline", {"points": listed, "class": css})

    def svg(self) -> str:
        """The drawing as SVG text."""
        return tostring(self.root, encoding="unicode")


class Panel:
    """A part of a chart with its own value axis."""

    def __init__(self, chart: Chart, y: int, height: int, *, top: float, label: str, percent: bool) -> None:
        self.chart, self.y0, self.height, self.top = chart, y, height, top
        for value in (0.0, top / 2, top):
            y_of = self.y(value)
            chart.stroke((LEFT, y_of), (chart.width - RIGHT, y_of), "axis" if value == 0 else "grid")
            shown = f"{value:.1%}" if percent and top < 0.04 else f"{value:.0%}" if percent else f"{value:g}"
            chart.text(LEFT - 6, y_of + 4, shown, "tick", anchor="end")
        chart.text(LEFT, y - 5, label, "label")

    def y(self, value: float) -> float:
        """The y coordinate of a value, clipped to the panel."""
        return self.y0 + self.height * (1 - min(1.0, max(0.0, value / self.top)))

    def line(self, points: Points, css: str) -> None:
        """Draw a line with gaps where there is no value."""
        for run in runs(points):
            if len(run) == 1:
                x, y = self.chart.x(run[0][0]), self.y(run[0][1])
                self.chart.rect(x - 1.5, y - 1.5, 3, 3, f"{css} dot")
            else:
                self.chart.shape(((self.chart.x(t), self.y(v)) for t, v in run), css)

    def area(self, points: Points, css: str) -> None:
        """Draw the area under a line."""
        for run in runs(points):
            ends = [(run[-1][0], 0.0), (run[0][0], 0.0)]
            self.chart.shape(((self.chart.x(t), self.y(v)) for t, v in [*run, *ends]), css, closed=True)

    def band(self, steps: Sequence[tuple[float, float, float, float]], css: str) -> None:
        """Draw the area between two step lines; each step is (since, until, low, high)."""
        upper = [(t, high) for since, until, _, high in steps for t in (since, until)]
        lower = [(t, low) for since, until, low, _ in steps for t in (since, until)]
        edge = ((self.chart.x(t), self.y(v)) for t, v in upper + lower[::-1])
        self.chart.shape(edge, css, closed=True)


def runs(points: Points) -> list[list[tuple[float, float]]]:
    """Split a line at its gaps.

    Examples
    --------
    >>> runs([(0, 1.0), (1, None), (2, 3.0), (3, 4.0)])
    [[(0, 1.0)], [(2, 3.0), (3, 4.0)]]
    """
    out: list[list[tuple[float, float]]] = [[]]
    for moment, value in points:
        if value is None:
            out.append([])
        else:
            out[-1].append((moment, value))
    return [run for run in out if run]


def nice_top(value: float, *, least: float) -> float:
    """The smallest round number that is not below a value.

    Examples
    --------
    >>> nice_top(0.31, least=0.02), nice_top(37, least=4), nice_top(0, least=4)
    (0.4, 40.0, 4)
    """
    if value <= least:
        return least
    power = 10.0 ** math.floor(math.log10(value))
    return next(round(n * power, 9) for n in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if n * power >= value * 0.999)


def ticks(start: float, end: float, most: int = MOST_TICKS) -> list[tuple[float, str]]:
    """Round times (UTC) and their labels.

    Examples
    --------
    >>> ticks(0, 2 * DAY)[:3]
    [(0, '1 Jan'), (21600000, '06:00'), (43200000, '12:00')]
    """
    step = next((s for s in STEPS if (end - start) / s <= most), STEPS[-1])
    moments = range(math.ceil(start / step) * step, math.floor(end) + 1, step)
    return [(m, _tick(m)) for m in moments]


def _tick(moment: int) -> str:
    when = datetime.fromtimestamp(moment / 1000, UTC)
    return when.strftime("%H:%M") if moment % DAY else f"{when.day} {when:%b}"
