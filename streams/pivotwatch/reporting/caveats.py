"""Caveats: how far the result of a replay can be trusted on its data."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pivotwatch.base.display import counted, two_digits
from pivotwatch.reporting.collector import Collector
from pivotwatch_models.durations import format_duration
from pivotwatch_models.method import DECISION
from pivotwatch_models.settings import DAY_MS, HOUR_MS, Settings

ENOUGH = 100
"""With fewer accounts at risk in a bucket, everyone else's speed is uncertain."""
WIDTHS = (60_000, 300_000, 900_000, HOUR_MS, 3 * HOUR_MS, 6 * HOUR_MS, 12 * HOUR_MS, DAY_MS, 7 * DAY_MS)


def notes(collector: Collector, settings: Settings) -> list[str]:
    """What to know before reading the results."""
    return [*_thin(collector, settings), *_learning(collector), *_left_out(collector)]


def wider(active: float, bucket_ms: int) -> int | None:
    """The smallest bucket width that may have enough active accounts; None if the given width has enough.

    The number of active accounts grows at most in proportion to the width.

    Examples
    --------
    >>> wider(30, HOUR_MS) == 6 * HOUR_MS, wider(500, HOUR_MS)
    (True, None)
    """
    if active >= ENOUGH:
        return None
    wanted = bucket_ms * ENOUGH / max(active, 0.1)
    return next((w for w in WIDTHS if w >= wanted and w > bucket_ms), WIDTHS[-1])


def _thin(collector: Collector, settings: Settings) -> Iterator[str]:
    width = _width(settings.bucket_ms)
    better = wider(collector.active_accounts, settings.bucket_ms)
    if better is not None and settings.bucket_ms < WIDTHS[-1]:
        yield (
            f"Too few accounts per bucket: half of the buckets of {width} have at most "
            f"{counted(round(collector.active_accounts), 'active account')}, each with about "
            f"{two_digits(collector.requests_per_account)} requests. The expected numbers are rough, and "
            f'slow changes are missed. Try bucket = "{_width(better)}".'
        )
    thin = {c.model: sum(p.at_risk < ENOUGH for p in c.points) for c in collector.releases.values()}
    if any(thin.values()):
        total = {c.model: len(c.points) for c in collector.releases.values()}
        listed = ", ".join(f"{n:,} of {total[model]:,} for {model}" for model, n in thin.items() if n)
        yield (
            f"Everyone else's speed is uncertain in buckets with fewer than {ENOUGH} active accounts that "
            f"had not used the model yet: {listed}."
        )


def _learning(collector: Collector) -> Iterator[str]:
    for adoption in collector.releases.values():
        if adoption.learning:
            yield (
                f"The expected numbers for {adoption.model} are rough: fewer than "
                f"{DECISION.sufficiency.learning_first_uses} accounts outside flagged groups had used it "
                f"by the end ({counted(adoption.first_uses, 'account')} in all)."
            )
    if not collector.releases:
        yield "No release was watched, so nothing could be found. Name one with --releases, or add events."


def _left_out(collector: Collector) -> Iterator[str]:
    meanings = {
        "late": "arrived after their bucket had closed; those more than a day late were left out",
        "invalid": "could not be read and were left out",
        "failed": "were failed requests and were not counted",
    }
    for name, meaning in meanings.items():
        if count := collector.totals[name]:
            yield f"{count:,} events {meaning}."


def _width(bucket_ms: int) -> str:
    return format_duration(timedelta(milliseconds=bucket_ms))
