"""The report: one HTML file without script and without anything from other servers.

Jinja2 makes every text visible and escapes it; the charts do the same with theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pivotwatch.base.display import clock_time
from pivotwatch.base.outside_text import visible
from pivotwatch.contracts.alert_texts import reason_parts
from pivotwatch.contracts.alerts import AlertData
from pivotwatch.formats.summary import title_of
from pivotwatch.reporting import charts, tables
from pivotwatch.reporting.caveats import notes
from pivotwatch.reporting.collector import Collector
from pivotwatch_models.incidents.terms import SEVERITIES
from pivotwatch_models.settings import Settings

IN_FULL = 200
LISTED = 1_500
BYTES_IN_FULL = 900_000
RELEASES_DRAWN = 24
MEMBERS_SHOWN = 30

HERE = Path(__file__).parent


def render(collector: Collector, settings: Settings) -> str:
    """The report of a replay.

    Examples
    --------
    >>> "No release was watched" in render(Collector(), Settings())
    True
    """
    environment = _environment()
    incidents = _incidents(collector)
    full = dict(_in_full(environment, incidents, collector))
    adoptions = [adoption.coarse() for _, adoption in sorted(collector.releases.items())]
    span = collector.span or (0, 1)
    drawn = sorted(incidents[: charts.ROWS_DRAWN], key=lambda d: (d.onset, d.alert_id))
    return environment.get_template(
        "report.html"
    ).render(
        css=Markup((HERE / "report.css").read_text() + (HERE / "charts.css").read_text()),  # noqa: S704
        collector=collector,
        span=[tables.moment(datetime.fromtimestamp(ms / 1000, UTC)) for ms in span],
        severities=_by_severity(incidents),
        notes=notes(collector, settings),
        releases=[
            (c, charts.adoption(f"r{i}", c)) for i, c in enumerate(adoptions[:RELEASES_DRAWN]) if c.points
        ],
        releases_total=len(adoptions),
        timeline=charts.timeline(drawn, span, adoptions) if drawn else None,
        timeline_rows=len(drawn),
        incidents=incidents[:LISTED],
        incidents_total=len(incidents),
        shown=len(full),
        linked=full.keys(),
        sections=full.values(),
        settings=tables.settings(settings),
    )


def shown(value: Any) -> Any:
    """A value as a template shows it: text from outside is visible, and markup stays as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pivotwatch.reporting", "."),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = tables.moment
    environment.filters["utc"] = clock_time
    return environment


def _incidents(collector: Collector) -> list[AlertData]:
    """The last update of each incident, the most severe first; merged ones are part of their host."""
    own = [data for data in collector.alerts.values() if data.merged_into is None]
    return sorted(own, key=lambda d: (-SEVERITIES.index(d.severity), d.onset, d.alert_id))


def _by_severity(incidents: list[AlertData]) -> list[tuple[str, int]]:
    counts = Counter[str](data.severity for data in incidents)
    return [(name, counts[name]) for name in reversed(SEVERITIES) if counts[name]]


def _in_full(
    environment: Environment, incidents: list[AlertData], collector: Collector
) -> Iterator[tuple[str, Markup]]:
    """Sections of the most severe incidents, as many as fit; a single account has only a row in the table."""
    template, size = environment.get_template("incident.html"), 0
    for data in [d for d in incidents if d.entity.kind != "account"][:IN_FULL]:
        section = template.render(_section(data, collector))
        size += len(section.encode())
        if size > BYTES_IN_FULL:
            return
        yield data.alert_id, Markup(section)  # noqa: S704  # rendered with autoescape


def _section(data: AlertData, collector: Collector) -> dict[str, Any]:
    series = data.evidence.series
    return {
        "data": data,
        "title": title_of(data),
        "chart": charts.incident(data, series) if series else None,
        "series": list(tables.series_rows(series)) if series else [],
        "evidence": tables.evidence(data),
        "profile": tables.profile(data),
        "texts": reason_parts(data.reasons),
        "members": data.members[:MEMBERS_SHOWN],
        "revisions": collector.revisions[data.alert_id],
    }
