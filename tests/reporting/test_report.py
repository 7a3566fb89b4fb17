"""The report: its content, escaping of foreign text, and limits of its size."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import msgspec
import orjson
import pytest
from click.testing import CliRunner

from pivotwatch.base.svg import DAY, HOUR, Chart, nice_top, ticks
from pivotwatch.cli import main
from pivotwatch.contracts.alerts import parse_alert
from pivotwatch.reporting import charts, tables
from pivotwatch.reporting.caveats import notes
from pivotwatch.reporting.collector import MOST_POINTS, Adoption, Point
from pivotwatch.reporting.page import render
from pivotwatch_models.settings import HOUR_MS, Settings
from tests.detection.stream import launch
from tests.reporting.examples import HOSTILE, alert, collected, status

MOST_BYTES = 1_500_000


def page(*outputs, **more):
    return render(collected(*outputs, **more), Settings())


def data(**more):
    return parse_alert(alert(**more).value).data


def test_it_shows_the_incidents():
    text = page(alert(1), alert(2, severity="medium"))
    for part in (
        "18,000",
        "Incidents in detail",
        "1 medium",
        "Counter-evidence",
        "expected at everyone else's speed",
    ):
        assert part in text
    assert text.count('class="incident"') == 2


def test_without_alerts_it_says_that_there_are_none():
    text = page()
    assert "Nothing was found" in text
    assert 'class="incident"' not in text


@pytest.mark.parametrize("place", ["model", "entity", "members", "reasons"])
def test_foreign_text_is_escaped(place):
    values = {
        "model": HOSTILE,
        "entity": {"kind": "network", "id": HOSTILE},
        "members": [HOSTILE],
        "reasons": [HOSTILE],
    }
    text = page(alert(**{place: values[place]}))
    assert "<script" not in text
    assert "<b>&" not in text
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)


def test_it_loads_nothing_from_other_hosts():
    text = page(alert())
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", text)
    assert "@import" not in text
    assert "url(" not in text


def test_the_number_of_incidents_is_limited_and_the_rest_is_counted():
    text = page(*(alert(i) for i in range(2500)))
    assert len(text.encode()) < MOST_BYTES
    assert 20 < text.count('class="incident"') <= 200
    assert "1000 more are not listed" in text


def test_merged_incidents_are_not_shown_twice():
    assert 'class="incident"' not in page(alert(merged_into={"kind": "network", "id": "AS1"}))


def test_thin_data_cause_a_caveat_with_a_wider_bucket():
    thin = collected(hours=())
    for hour in range(2, 8):
        thin.take(status(hour, accounts=30, requests=45))
    (told,) = [note for note in notes(thin, Settings()) if "Too few accounts" in note]
    assert 'bucket = "6h"' in told
    assert "1.5 requests" in told
    assert notes(collected(), Settings()) == []


def test_uncounted_events_are_named():
    gathered = collected(status(21, late=3, invalid=2, failed=1))
    assert [note.split()[0] for note in notes(gathered, Settings())] == ["3", "2", "1"]


def test_a_silent_bucket_is_a_gap():
    gathered = collected(status(21, requests=0, accounts=0))
    (course,) = gathered.releases.values()
    assert course.points[-1][1:] == (None, 0, 0)


def test_a_long_series_is_coarsened():
    course = Adoption("m", 0, False, HOUR_MS, points=[Point(i * HOUR_MS, 0.5, 1, 9) for i in range(5000)])
    coarse = course.coarse()
    assert len(coarse.points) <= MOST_POINTS
    assert coarse.first_uses == 5000


def test_counter_evidence_is_separate_from_reasons():
    told = "Company roll-out pattern: it keeps office hours."
    text = page(alert(reasons=["It switched.", "Counter-evidence: c" + told[1:]]))
    reasons, _, against = text.partition("Counter-evidence")
    assert "It switched." in reasons
    assert told not in reasons
    assert told in against
    assert "None measured." in page(alert(reasons=["It switched.", "Counter-evidence: none measured."]))


def test_the_chart_of_an_incident_has_all_parts():
    found = data()
    svg = str(charts.incident(found, found.evidence.series))
    root = ElementTree.fromstring(svg)
    assert [child.tag for child in root[:2]] == ["title", "desc"]
    for css in ("observed", "everyone", "expected", "ordinary", "alerted", "axis"):
        assert f'class="{css}"' in svg


def test_the_table_of_a_long_series_is_short():
    series = data().evidence.series
    n = 96
    fields = msgspec.structs.asdict(series)
    columns = {name: column[:1] * n for name, column in fields.items() if isinstance(column, list)}
    long = msgspec.structs.replace(series, **columns | {"until": [1] * n})
    assert len(list(tables.series_rows(long))) == tables.ROWS_SHOWN


@pytest.mark.parametrize("span", [1, HOUR, 3 * DAY, 400 * DAY])
def test_a_time_axis_is_never_crowded(span):
    assert len(ticks(0, span)) <= 10


def test_points_outside_the_range_stay_within_the_chart():
    chart = Chart("c", "t", "d", (0, DAY), 100)
    panel = chart.panel(10, 50, top=nice_top(0.3, least=0.1), label="l")
    assert chart.x(-DAY) == chart.x(0)
    assert panel.y(7.0) == 10


def test_replay_writes_it(tmp_path):
    events, releases = launch()
    (tmp_path / "e.jsonl").write_bytes(b"\n".join(map(orjson.dumps, events)))
    (tmp_path / "r.json").write_bytes(orjson.dumps(releases))
    out = tmp_path / "report.html"
    args = ["replay", str(tmp_path / "e.jsonl"), "--releases", str(tmp_path / "r.json"), "--report", str(out)]
    result = CliRunner().invoke(main, args, catch_exceptions=False)
    assert result.exit_code == 0
    assert "accounts on AS8 s" in out.read_text()
