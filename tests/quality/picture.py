"""The picture in the README of the method: ``python -m tests.quality.picture``.

A simulated launch with a campaign hidden in a proxy network goes through the real steps. What the last
alert on that network says about its past is drawn into ``models/launch.svg``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import orjson

from pivotwatch.base.svg import FOOT, LEFT, RIGHT, Chart, nice_top
from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch.simulation import generate
from pivotwatch_models.settings import HOUR_MS, Settings

PICTURE = Path(__file__).parents[2] / "models" / "launch.svg"
SCENARIO, SEED, DAYS = "c3-25", 1, 2.0
PANEL, FIRST, SECOND = 120, 26, 186
HEIGHT = SECOND + PANEL + 4 + FOOT
STYLE = """
text { font: 11px system-ui, sans-serif; fill: #4b5563 }
.label { font-weight: 600 } .note { font-weight: 600; fill: #6b3fa0 }
.ground { fill: #fff } .grid { stroke: #e3e6ea } .axis { stroke: #8a929c }
.others { fill: #9db8d2 } .normal { fill: #d5e0ec }
.expected { fill: none; stroke: #33557a; stroke-width: 1.5 }
.group { fill: none; stroke: #b3261e; stroke-width: 2; stroke-linejoin: round }
.release { stroke: #6b3fa0; stroke-width: 1.5; stroke-dasharray: 4 3 }
.of-group { fill: #b3261e } .of-expected { fill: #33557a }
@media (prefers-color-scheme: dark) {
 text { fill: #b6c0cb } .note { fill: #c4a2f2 }
 .ground { fill: #0d1117 } .grid { stroke: #2c333b } .axis { stroke: #6f7a86 }
 .others { fill: #35536f } .normal { fill: #2b3c4e }
 .expected { stroke: #9cc4ee } .group { stroke: #ff8a7a } .release { stroke: #c4a2f2 }
 .of-group { fill: #ff8a7a } .of-expected { fill: #9cc4ee }
}
"""


def main() -> None:
    """Simulate the launch and draw the network that the first alert names."""
    simulation = generate(SCENARIO, seed=SEED, days=DAYS)
    lines = (line for part in simulation.slices() for line in part.lines)
    outputs = DetectionPipeline(Settings(), releases=simulation.releases).run(lines)
    alerts = [orjson.loads(output.value)["data"] for output in outputs if output.topic == "alerts"]
    opened = alerts[0]
    last = [alert for alert in alerts if alert["alert_id"] == opened["alert_id"]][-1]
    PICTURE.write_text(draw(opened, last))


def draw(opened: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    """The drawing: what the last alert of an incident says about its group, and when the first was raised."""
    series = last["evidence"]["series"]
    begin, width = _ms(series["start"]), series["bucket_ms"]
    spans = [
        (begin + start * width, begin + until * width)
        for start, until in zip(series["at"], series["until"], strict=True)
    ]
    middles = [(start + until) / 2 for start, until in spans]
    chart = Chart(
        "launch",
        f"A launch in which one network moves to {last['model']} together",
        f"Above, the share of {last['model']} in the requests of one network and of all other accounts. "
        "Below, the network's first uses and switches per hour, the number expected, and the normal range.",
        (spans[0][0] - HOUR_MS, spans[-1][1]),
        HEIGHT,
    )
    _prepare(chart.root)
    name = opened["entity"]["id"]
    _shares(chart, series, middles, f"share of {last['model']} in all requests")
    _events(chart, series, spans, middles)
    _legend(chart, FIRST - 9, [(name, "of-group", True), ("all other accounts", "others", False)])
    _legend(
        chart,
        SECOND - 9,
        [
            ("seen", "of-group", True),
            ("expected", "of-expected", True),
            ("normal range (95 %)", "normal", False),
        ],
    )
    release, raised = _ms(last["released_at"]), _ms(opened["detected_at"])
    marks = [(release, "release"), (raised, f"alert, {(raised - release) / HOUR_MS:.0f} h later")]
    for moment, label in marks:
        chart.mark(moment, FIRST, PANEL, label)
        chart.mark(moment, SECOND, PANEL)
    chart.time_axis()
    chart.text(chart.width - RIGHT, HEIGHT - 9, "UTC", "tick", anchor="end")
    return chart.svg() + "\n"


def _shares(chart: Chart, series: Mapping[str, Any], middles: Sequence[float], label: str) -> None:
    shares = [share for share in (*series["share"], *series["others_share"]) if share is not None]
    panel = chart.panel(FIRST, PANEL, top=min(1.0, nice_top(max(shares), least=0.02)), label=label)
    panel.area(list(zip(middles, series["others_share"], strict=True)), "others")
    panel.line(list(zip(middles, series["share"], strict=True)), "group")


def _events(
    chart: Chart,
    series: Mapping[str, Any],
    spans: Sequence[tuple[float, float]],
    middles: Sequence[float],
) -> None:
    """Events per bucket: a row of the series may join several."""
    buckets = [until - start for start, until in zip(series["at"], series["until"], strict=True)]
    seen, expected, low, high = (
        [value / n for value, n in zip(series[name], buckets, strict=True)]
        for name in ("seen", "expected", "low", "high")
    )
    top = nice_top(max(*seen, *high), least=4)
    label = "first uses and switches of the network per hour"
    panel = chart.panel(SECOND, PANEL, top=top, label=label, percent=False)
    panel.band([(*span, a, b) for span, a, b in zip(spans, low, high, strict=True)], "normal")
    panel.line([(t, e) for span, e in zip(spans, expected, strict=True) for t in span], "expected")
    panel.line(list(zip(middles, seen, strict=True)), "group")


def _prepare(root: Element) -> None:
    """Let the drawing stand alone: a name space, a style of its own and a ground."""
    root.set("xmlns", "http://www.w3.org/2000/svg")
    style = Element("style")
    style.text = STYLE
    root.insert(0, style)
    SubElement(root, "rect", {"class": "ground", "width": "100%", "height": "100%"})


def _legend(chart: Chart, y: float, entries: Sequence[tuple[str, str, bool]]) -> None:
    """Name, class and whether it is a line, from the middle of the drawing to the right."""
    x = LEFT + 350.0
    for name, css, is_line in entries:
        chart.rect(x, y if is_line else y - 3, 14, 3 if is_line else 9, css)
        chart.text(x + 19, y + 4, name, "tick")
        x += 40 + 6.2 * len(name)


def _ms(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


if __name__ == "__main__":
    main()
