"""The report's tables, as rows of text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta

from pivotwatch.base.durations import format_duration
from pivotwatch.contracts.alerts import AlertData, Series, Usage
from pivotwatch_models.settings import Settings

ROWS_SHOWN = 24
NOTHING = "–"


def evidence(data: AlertData) -> list[tuple[str, str, str]]:
    """What, of the group, and beside it what was expected or everyone else did; only what is known."""
    e = data.evidence
    rows = (
        (
            "Share of the model since onset",
            share(e.observed_share),
            f"others {share(e.population_share)}",
        ),
        ("Share of the model before", share(e.baseline_share), ""),
        ("First uses", _count(e.first_uses_seen), f"expected {number(e.first_uses_expected)}"),
        ("Switches", _count(e.switches_seen), f"expected {number(e.switches_expected)}"),
        ("Pace against everyone else", times(e.hazard_ratio), f"ordinary up to {times(e.theta)}"),
        ("ln e-value", number(e.log_e_value), f"alert line {number(e.threshold)}"),
        ("Moved within 3 hours", share(e.synchrony), f"others {share(e.population_synchrony)}"),
        ("Young accounts", share(e.corroboration.young_share), ""),
        ("Class of the network", e.corroboration.network_class or NOTHING, ""),
        ("ADWIN saw a rise", "yes" if e.corroboration.adwin else "no", ""),
    )
    return [row for row in rows if row[1] != NOTHING]


def profile(data: AlertData) -> list[tuple[str, tuple[str, ...]]]:
    """Whose requests, how many, with tools, input and output tokens per exchange."""
    p = data.evidence.profile
    if p is None:
        return []
    rows = (
        (f"the group, to {data.model}", p.to_model),
        ("the group, to other models meanwhile", p.to_other_models),
        ("the group, before the onset", p.before),
        (f"everyone else, to {data.model}", p.population),
    )
    return [(name, _usage(usage)) for name, usage in rows if usage is not None]


def _usage(usage: Usage) -> tuple[str, ...]:
    tokens = f"{usage.input_tokens:,.0f}", f"{usage.output_tokens:,.0f}"
    return f"{usage.exchanges:,}", share(usage.tools_share), *tokens


def course(series: Series) -> Iterator[tuple[str, str, str, str, str, str]]:
    """The numbers of the chart: time, shares, events seen, expected, ordinary; at most 24 rows."""
    step = -(-len(series.at) // ROWS_SHOWN)
    for i in range(0, len(series.at), step):
        part = slice(i, i + step)
        at = series.start + timedelta(milliseconds=series.at[i] * series.bucket_ms)
        yield (
            moment(at),
            share(_mean(series.share[part])),
            share(_mean(series.others_share[part])),
            f"{sum(series.seen[part]):,}",
            number(sum(series.expected[part])),
            f"{sum(series.low[part])}–{sum(series.high[part])}",
        )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def settings(used: Settings) -> list[tuple[str, str]]:
    """Every setting that decides results."""
    rows = []
    for field in dataclasses.fields(used):
        value = getattr(used, field.name)
        name = field.name.removesuffix("_ms").replace("_", " ")
        if field.name.endswith("_ms"):
            shown = format_duration(timedelta(milliseconds=value))
        else:
            shown = ", ".join(value) if isinstance(value, tuple) else f"{value:g}"
        rows.append((name, shown or NOTHING))
    return rows


def moment(when: datetime | None) -> str:
    """A time in UTC, to the minute."""
    return when.strftime("%Y-%m-%d %H:%M") if when else NOTHING


def share(value: float | None) -> str:
    """A share in percent.

    Examples
    --------
    >>> share(0.481), share(0.0123), share(None)
    ('48 %', '1.2 %', '–')
    """
    if value is None:
        return NOTHING
    return f"{value:.0%}".replace("%", " %") if value >= 0.1 or value == 0 else f"{value * 100:.2g} %"


def number(value: float | None) -> str:
    """A number, in three digits where it is small."""
    return NOTHING if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def times(value: float | None) -> str:
    """How many times as fast."""
    return NOTHING if value is None else f"{number(value)} ×"
