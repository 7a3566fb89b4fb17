"""Turns the read model into what the pages show: figures as text, charts and rows. Pure, given a clock."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from pivotwatch.base.display import clock_time, day_and_time, iso_time, percent, score, times
from pivotwatch.base.errors import WrongUse
from pivotwatch.config.config import Config
from pivotwatch.contracts.alert_texts import reason_parts
from pivotwatch.contracts.alerts import AlertData, parse_alert
from pivotwatch.contracts.status import ReleaseStatus
from pivotwatch.formats.summary import title_of
from pivotwatch.reporting import charts, tables
from pivotwatch.reporting.collector import Adoption
from pivotwatch.web.pipeline_checks import checks
from pivotwatch.web.read_model import Decision, Incident, ReadModel, Sums
from pivotwatch_models.durations import format_duration, millis
from pivotwatch_models.incidents.terms import SEVERITIES
from pivotwatch_models.settings import DAY_MS

CARD = charts.Size(560, 58, 64, 28)
SIDE = charts.Size(380, 56, 50, 26)
CARDS = 40
NOTES = 30
ENDED = 12
RELEASES = 12
ROWS = 200
MEMBERS = 100
HISTORY = 100
LATE_SHARE = 0.01
DEAD_SHARE = 0.001
"""The same limits as the Prometheus rules LateSurge and DeadLetters."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tile:
    """A figure at the top of the front page; ``tone`` is ``warn`` or ``alarm`` when it needs attention."""

    label: str
    value: str
    beside: str = ""
    tone: str = ""
    moment: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Card:
    """A summary of an incident for the front page."""

    data: AlertData
    title: str
    chart: Markup | None
    facts: list[tuple[str, str, str]]
    decision: Decision | None


class ViewModels:
    """Makes the values of the templates.

    Parameters
    ----------
    config
        The configuration.
    read_model
        Alerts, decisions and status, as read so far.
    clock
        Epoch milliseconds.
    """

    def __init__(self, config: Config, read_model: ReadModel, clock: Callable[[], float]) -> None:
        self.config, self.read_model, self.clock = config, read_model, clock
        self._chart = functools.lru_cache(maxsize=512)(_chart)
        self._read = functools.lru_cache(maxsize=512)(_read)

    def now(self) -> dict[str, Any]:
        """The front page."""
        shown = [one for one in self.read_model.shown() if one.is_open]
        lone = [one for one in shown if one.is_account]
        groups = [one for one in shown if not one.is_account]
        cards = [card for card in map(self.card, groups[:CARDS]) if card is not None]
        return {
            "tiles": self.tiles(groups),
            "severities": _counts(groups),
            "cards": cards,
            "more": len(groups) - len(cards),
            "notes": [one.data for one in lone[:NOTES]],
            "notes_total": len(lone),
            "releases": self.releases(),
            "ended": [self.row(one) for one in self._ended()[:ENDED]],
            "checks": list(checks(self.config, self.read_model, self.clock())),
            "last": self.read_model.last,
        }

    def tiles(self, groups: list[Incident]) -> list[Tile]:
        """The figures at the top of the front page."""
        last = self.read_model.last
        severe = sum(one.data.severity in ("high", "critical") for one in groups)
        tiles = [
            Tile(
                "Open incidents", f"{len(groups):,}", f"{severe} high or critical", "alarm" if severe else ""
            )
        ]
        if last is None:
            return tiles
        status, now, day = last.status, Sums.of(last.status), self.read_model.sums(last.end - DAY_MS)
        late, late_day = now.share(now.late), day.share(day.late)
        dead, dead_day = now.share(now.invalid), day.share(day.invalid)
        watermark = status.watermark or last.end
        learning = sum(release.learning for release in status.releases)
        return [
            *tiles,
            Tile("Event time (UTC)", day_and_time(watermark), "behind the clock", "", iso_time(watermark)),
            Tile("Releases watched", f"{len(status.releases)}", f"{learning} still learning"),
            Tile("Requests", f"{status.requests:,}", f"in the last bucket ({self._width()})"),
            Tile("Active accounts", f"{status.accounts:,}", f"in {status.groups:,} groups"),
            Tile(
                "Late events",
                percent(late),
                f"{percent(late_day)} in 24 h",
                "warn" if late > LATE_SHARE else "",
            ),
            Tile(
                "Dead letters",
                percent(dead),
                f"{percent(dead_day)} in 24 h",
                "warn" if dead > DEAD_SHARE else "",
            ),
        ]

    def releases(self) -> list[tuple[Adoption, Markup | None, ReleaseStatus | None]]:
        """The watched releases: adoption, chart, newest figures; the newest release first."""
        last = self.read_model.last
        found = {(r.model, r.released_at): r for r in last.status.releases} if last else {}
        rows = []
        for number, (key, adoption) in enumerate(
            sorted(self.read_model.adoptions.items(), key=lambda item: item[0][::-1])
        ):
            coarse = adoption.coarse()
            chart = charts.adoption(f"r{number}", coarse, SIDE) if coarse.points else None
            rows.append((adoption, chart, found.get(key)))
        return rows[::-1][:RELEASES]

    def card(self, incident: Incident) -> Card | None:
        """The card of an incident; None when its alert does not match the contract."""
        data = self._read(incident.raw)
        if data is None:
            return None
        decision = next(iter(self.read_model.about(incident)), None)
        return Card(data, title_of(data), self._chart(incident.raw, CARD), facts(data), decision)

    def row(self, incident: Incident) -> dict[str, Any]:
        """An incident as a row of a table."""
        decision = next(iter(self.read_model.about(incident)), None)
        return {"data": incident.data, "decision": decision}

    def table(self, state: str, kind: str, page: int) -> dict[str, Any]:
        """One page of the table of incidents."""
        found = [
            one
            for one in self.read_model.shown()
            if (state == "all" or one.is_open == (state == "open"))
            and (kind == "all" or one.is_account == (kind == "accounts"))
        ]
        first = page * ROWS
        return {
            "rows": [self.row(one) for one in found[first : first + ROWS]],
            "total": len(found),
            "first": first,
            "page": page,
            "pages": -(-len(found) // ROWS),
            "state": state,
            "kind": kind,
        }

    def incident(self, incident: Incident) -> dict[str, Any] | None:
        """The page of one incident; None when its alert does not match the contract."""
        data = self._read(incident.raw)
        if data is None:
            return None
        series = data.evidence.series
        return {
            "data": data,
            "title": title_of(data),
            "takes_effect": self._takes_effect(),
            "chart": self._chart(incident.raw, charts.FULL),
            "series": list(tables.series_rows(series)) if series else [],
            "facts": facts(data),
            "evidence": tables.evidence(data),
            "profile": tables.profile(data),
            "texts": reason_parts(data.reasons),
            "members": data.members[:MEMBERS],
            "revisions": list(incident.revisions)[::-1],
            "decisions": self.read_model.about(incident),
            "history": self.read_model.history(incident)[:HISTORY],
            "is_open": incident.is_open,
        }

    def _takes_effect(self) -> str | None:
        """When a decision that is made now counts, in event time: the scoring of the next bucket."""
        last = self.read_model.last
        if last is None:
            return None
        at = last.end + int(last.status.bucket_ms) + millis(self.config.allowed_lateness)
        return clock_time(datetime.fromtimestamp(at / 1000, UTC))

    def _ended(self) -> list[Incident]:
        ended = [
            one
            for one in self.read_model.incidents.values()
            if not one.is_open and not one.is_account and one.data.merged_into is None
        ]
        return sorted(ended, key=lambda one: one.data.detected_at, reverse=True)

    def _width(self) -> str:
        return format_duration(self.config.bucket)


def facts(data: AlertData) -> list[tuple[str, str, str]]:
    """The figures beside a chart: name, value, and the value to compare it with."""
    e = data.evidence
    found = [
        ("accounts", f"{data.members_total:,}", f"{data.exchanges_to_model:,} exchanges"),
        ("share of requests", percent(e.observed_share), f"everyone else {percent(e.population_share)}"),
    ]
    if e.hazard_ratio is not None:
        found.append(("speed", times(e.hazard_ratio), f"normal: up to {times(e.theta)}"))
        found.append(("score", score(e.log_e_value), f"threshold {score(e.threshold)}"))
    return found


def _read(raw: bytes) -> AlertData | None:
    try:
        return parse_alert(raw).data
    except WrongUse:
        return None


def _chart(raw: bytes, size: charts.Size) -> Markup | None:
    data = _read(raw)
    if data is None or data.evidence.series is None or not data.evidence.series.at:
        return None
    return charts.incident(data, data.evidence.series, size)


def _counts(groups: list[Incident]) -> list[tuple[str, int]]:
    counts = Counter(one.data.severity for one in groups)
    return [(name, counts[name]) for name in reversed(SEVERITIES) if counts[name]]
