"""The page: one HTML file without script or anything from elsewhere.

Jinja2 escapes every text; the charts are escaped by the element tree that they are built with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pivotwatch.contracts.alerts import AlertData
from pivotwatch.reporting import charts, tables
from pivotwatch.reporting.caveats import for_and_against, notes
from pivotwatch.reporting.collector import Collected
from pivotwatch_models.incidents.terms import SEVERITIES
from pivotwatch_models.settings import Settings

IN_FULL = 200
LISTED = 1_500
BYTES_IN_FULL = 900_000
RELEASES_DRAWN = 24
MEMBERS_SHOWN = 30

HERE = Path(__file__).parent


def render(collected: Collected, settings: Settings) -> str:
    """The report of a replay.

    Examples
    --------
    >>> "No release was watched" in render(Collected(), Settings())
    True
    """
    environment = _environment()
    incidents = _incidents(collected)
    full = dict(_in_full(environment, incidents, collected))
    courses = [course.coarse() for _, course in sorted(collected.releases.items())]
    span = collected.span or (0, 1)
    drawn = sorted(incidents[: charts.ROWS_DRAWN], key=lambda d: (d.onset, d.alert_id))
    return environment.get_template(
        "report.html"
    ).render(
        css=Markup((HERE / "report.css").read_text() + (HERE / "charts.css").read_text()),  # noqa: S704
        collected=collected,
        span=[tables.moment(datetime.fromtimestamp(ms / 1000, UTC)) for ms in span],
        severities=_by_severity(incidents),
        notes=notes(collected, settings),
        releases=[
            (c, charts.adoption(f"r{i}", c)) for i, c in enumerate(courses[:RELEASES_DRAWN]) if c.points
        ],
        releases_total=len(courses),
        timeline=charts.timeline(drawn, span, courses) if drawn else None,
        timeline_rows=len(drawn),
        incidents=incidents[:LISTED],
        incidents_total=len(incidents),
        shown=len(full),
        linked=full.keys(),
        sections=full.values(),
        settings=tables.settings(settings),
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pivotwatch.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = tables.moment
    return environment


def _incidents(collected: Collected) -> list[AlertData]:
    """The newest word on each, the gravest first; what was merged away is told by its host."""
    own = [data for data in collected.alerts.values() if data.merged_into is None]
    return sorted(own, key=lambda d: (-SEVERITIES.index(d.severity), d.onset, d.alert_id))


def _by_severity(incidents: list[AlertData]) -> list[tuple[str, int]]:
    counts = Counter[str](data.severity for data in incidents)
    return [(name, counts[name]) for name in reversed(SEVERITIES) if counts[name]]


def _in_full(
    environment: Environment, incidents: list[AlertData], collected: Collected
) -> Iterator[tuple[str, Markup]]:
    """Sections of the gravest incidents, as many as fit; a lone account has only its line in the table."""
    template, size = environment.get_template("incident.html"), 0
    for data in [d for d in incidents if d.entity.kind != "account"][:IN_FULL]:
        section = template.render(_section(data, collected))
        size += len(section.encode())
        if size > BYTES_IN_FULL:
            return
        yield data.alert_id, Markup(section)  # noqa: S704  # rendered with autoescape


def _section(data: AlertData, collected: Collected) -> dict[str, Any]:
    series = data.evidence.series
    return {
        "data": data,
        "chart": charts.course(data, series) if series else None,
        "course": list(tables.course(series)) if series else [],
        "evidence": tables.evidence(data),
        "profile": tables.profile(data),
        **for_and_against(data),
        "members": data.members[:MEMBERS_SHOWN],
        "told": collected.told[data.alert_id],
    }
