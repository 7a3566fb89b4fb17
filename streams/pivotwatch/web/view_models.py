"""From what is known to what a page shows: figures as text, charts, rows. Pure, given a clock."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from pivotwatch.base.durations import format_duration, millis
from pivotwatch.base.errors import WrongUse
from pivotwatch.config.config import Config
from pivotwatch.contracts.alerts import AlertData, parse_alert
from pivotwatch.contracts.status import ReleaseStatus
from pivotwatch.reporting import charts, tables
from pivotwatch.reporting.caveats import for_and_against
from pivotwatch.reporting.collector import Course
from pivotwatch.web.read_model import Decision, Incident, ReadModel, Sums
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
LATE_SHARE = 0.01
DEAD_SHARE = 0.001
"""As the rules of Prometheus have it (LateSurge, DeadLetters)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tile:
    """A figure of the head line; ``tone`` is ``warn`` when somebody should look."""

    label: str
    value: str
    beside: str = ""
    tone: str = ""
    moment: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One line of the pipeline's health; ``moment`` is told as a time that passes."""

    name: str
    told: str
    good: bool
    moment: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Card:
    """An incident in short."""

    data: AlertData
    chart: Markup | None
    facts: list[tuple[str, str, str]]
    decision: Decision | None


class ViewModels:
    """Makes what the templates show.

    Parameters
    ----------
    config
        The configuration.
    read_model
        What is known.
    clock
        Epoch milliseconds.
    """

    def __init__(self, config: Config, read_model: ReadModel, clock: Callable[[], float]) -> None:
        self.config, self.read_model, self.clock = config, read_model, clock
        self._course = functools.lru_cache(maxsize=512)(_course)
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
            "checks": self.checks(),
            "last": self.read_model.last,
        }

    def tiles(self, groups: list[Incident]) -> list[Tile]:
        """The figures of the head line."""
        last = self.read_model.last
        grave = sum(one.data.severity in ("high", "critical") for one in groups)
        tiles = [
            Tile("Open incidents", f"{len(groups):,}", f"{grave} high or critical", "alarm" if grave else "")
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
            Tile("Event time", _short(watermark), "behind the clock", "", _iso(watermark)),
            Tile("Releases watched", f"{len(status.releases)}", f"{learning} still learning"),
            Tile("Requests", f"{status.requests:,}", f"in {self._width()} to {_short(last.end)}"),
            Tile("Active accounts", f"{status.accounts:,}", f"in {status.groups:,} groups"),
            Tile(
                "Late", _percent(late), f"{_percent(late_day)} in 24 h", "warn" if late > LATE_SHARE else ""
            ),
            Tile(
                "Dead letters",
                _percent(dead),
                f"{_percent(dead_day)} in 24 h",
                "warn" if dead > DEAD_SHARE else "",
            ),
        ]

    def checks(self) -> list[Check]:
        """How the workers fare, as far as ``status`` tells."""
        last = self.read_model.last
        if last is None:
            return []
        status = last.status
        due = last.written_at + 2 * status.bucket_ms + 2 * millis(self.config.idle_after)
        on_time = self.clock() < due
        judged = f"judged everything up to {_short(last.end)}"
        if not on_time:
            judged = f"nothing more was judged than up to {_short(last.end)}: are all workers there?"
        checks = [Check("networks", judged, on_time, _iso(last.written_at))]
        if on_time:
            checks.append(Check("accounts", "every partition has counted it", True))
        told = (
            (status.stale_records, "records of buckets that were judged before", True),
            (status.dropped_models, "models were dropped: too many at once", False),
            (status.forgotten_models, "names of models were forgotten: too many at once", False),
        )
        checks += [Check("accounts", f"{count:,} {text}", good) for count, text, good in told if count]
        if self.read_model.unreadable:
            checks.append(Check("page", f"{self.read_model.unreadable:,} records cannot be read", False))
        return checks

    def releases(self) -> list[tuple[Course, Markup | None, ReleaseStatus | None]]:
        """The watched releases: course, chart, newest figures; the newest release first."""
        last = self.read_model.last
        found = {(r.model, r.released_at): r for r in last.status.releases} if last else {}
        rows = []
        for number, (key, course) in enumerate(
            sorted(self.read_model.courses.items(), key=lambda item: item[0][::-1])
        ):
            coarse = course.coarse()
            chart = charts.adoption(f"r{number}", coarse, SIDE) if coarse.points else None
            rows.append((course, chart, found.get(key)))
        return rows[::-1][:RELEASES]

    def card(self, incident: Incident) -> Card | None:
        """An incident in short; None when it is not as the contract says."""
        data = self._read(incident.raw)
        if data is None:
            return None
        decision = next(iter(self.read_model.about(incident)), None)
        return Card(data, self._course(incident.raw, CARD), facts(data), decision)

    def row(self, incident: Incident) -> dict[str, Any]:
        """An incident as a line of a table."""
        decision = next(iter(self.read_model.about(incident)), None)
        return {"data": incident.data, "decision": decision}

    def table(self, state: str, kind: str, page: int) -> dict[str, Any]:
        """Incidents as a table, some at a time."""
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
        """Everything about one."""
        data = self._read(incident.raw)
        if data is None:
            return None
        series = data.evidence.series
        return {
            "data": data,
            "chart": self._course(incident.raw, charts.FULL),
            "course": list(tables.course(series)) if series else [],
            "facts": facts(data),
            "evidence": tables.evidence(data),
            "profile": tables.profile(data),
            **for_and_against(data),
            "members": data.members[:MEMBERS],
            "told": list(incident.told)[::-1],
            "decisions": self.read_model.about(incident),
            "is_open": incident.is_open,
        }

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
    """The figures beside a chart: name, value, what to hold it against."""
    e = data.evidence
    found = [
        ("accounts", f"{data.members_total:,}", f"{data.exchanges_to_model:,} exchanges"),
        ("share", tables.share(e.observed_share), f"others {tables.share(e.population_share)}"),
    ]
    if e.hazard_ratio is not None:
        found.append(("pace", tables.times(e.hazard_ratio), f"ordinary to {tables.times(e.theta)}"))
        found.append(("ln e-value", tables.number(e.log_e_value), f"line {tables.number(e.threshold)}"))
    return found


def _read(raw: bytes) -> AlertData | None:
    try:
        return parse_alert(raw).data
    except WrongUse:
        return None


def _course(raw: bytes, size: charts.Size) -> Markup | None:
    data = _read(raw)
    if data is None or data.evidence.series is None or not data.evidence.series.at:
        return None
    return charts.course(data, data.evidence.series, size)


def _counts(groups: list[Incident]) -> list[tuple[str, int]]:
    counts = Counter(one.data.severity for one in groups)
    return [(name, counts[name]) for name in reversed(SEVERITIES) if counts[name]]


def _percent(share: float) -> str:
    """A small share.

    Examples
    --------
    >>> _percent(0), _percent(0.00004), _percent(0.0123), _percent(0.4)
    ('0 %', '<0.01 %', '1.23 %', '40 %')
    """
    if 0 < share < 0.0001:
        return "<0.01 %"
    return f"{share * 100:.0f} %" if share >= 0.1 or share == 0 else f"{share * 100:.2f} %"


def _short(milliseconds: float) -> str:
    when = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{when.day} {when:%b %H:%M}"


def _iso(milliseconds: float) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
