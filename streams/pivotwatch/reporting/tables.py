"""The tables of report and page, as rows of text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pivotwatch.base.display import NOTHING, clock_time, percent, score, times, two_digits
from pivotwatch.contracts.alert_evidence import Series, Usage
from pivotwatch.contracts.alerts import AlertData
from pivotwatch_models.settings import Settings

ROWS_SHOWN = 24


def evidence(data: AlertData) -> list[tuple[str, str, str]]:
    """Name, value of the group, and the expected value or everyone else's; only figures that are known."""
    e = data.evidence
    rows = (
        (
            f"Share of requests to {data.model}",
            percent(e.observed_share),
            f"everyone else {percent(e.population_share)}",
        ),
        ("The same before", percent(e.baseline_share), ""),
        ("First uses", _count(e.first_uses_seen), f"{two_digits(e.first_uses_expected)} expected"),
        ("Switches", _count(e.switches_seen), f"{two_digits(e.switches_expected)} expected"),
        ("Speed, compared with everyone else", times(e.hazard_ratio), f"normal: up to {times(e.theta)}"),
        ("Score (ln e-value)", score(e.log_e_value), f"alert threshold {score(e.threshold)}"),
        ("Started within 3 hours", percent(e.synchrony), f"everyone {percent(e.population_synchrony)}"),
        ("Accounts of at most 7 days", percent(e.corroboration.young_share), ""),
        ("Class of the network", e.corroboration.network_class or NOTHING, ""),
        ("Second detector (ADWIN)", "saw the change" if e.corroboration.adwin else "saw no change", ""),
    )
    return [row for row in rows if row[1] != NOTHING]


def profile(data: AlertData) -> list[tuple[str, tuple[str, ...]]]:
    """Whose requests; number, share with tools, input and output tokens per exchange."""
    p = data.evidence.profile
    if p is None:
        return []
    rows = (
        (f"this group, to {data.model}", p.to_model),
        ("this group, to other models since then", p.to_other_models),
        ("this group, before", p.before),
        (f"everyone else, to {data.model}", p.population),
    )
    return [(name, _usage(usage)) for name, usage in rows if usage is not None]


def _usage(usage: Usage) -> tuple[str, ...]:
    tokens = f"{usage.input_tokens:,.0f}", f"{usage.output_tokens:,.0f}"
    return f"{usage.exchanges:,}", percent(usage.tools_share), *tokens


def series_rows(series: Series) -> Iterator[tuple[str, str, str, str, str, str]]:
    """The numbers of the chart: time, two shares, events, expected events, normal range; at most 24 rows."""
    step = -(-len(series.at) // ROWS_SHOWN)
    for i in range(0, len(series.at), step):
        part = slice(i, i + step)
        at = series.start + timedelta(milliseconds=series.at[i] * series.bucket_ms)
        yield (
            moment(at),
            percent(_mean(series.share[part])),
            percent(_mean(series.others_share[part])),
            f"{sum(series.seen[part]):,}",
            two_digits(sum(series.expected[part])),
            f"{sum(series.low[part])}–{sum(series.high[part])}",
        )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def settings(used: Settings) -> list[tuple[str, str]]:
    """Every setting that decides results."""
    shown = {
        name: ", ".join(value)
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, int | float)
        else value
        for name, value in used.to_dict().items()
    }
    return [(name.replace("_", " "), value or NOTHING) for name, value in shown.items()]


def moment(when: datetime | None) -> str:
    """A time in UTC to the minute, for a column that names the zone."""
    return clock_time(when).removesuffix(" UTC") if when else NOTHING


def _count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"
