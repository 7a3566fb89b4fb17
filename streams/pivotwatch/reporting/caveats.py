"""Honest notes: how far the result can be trusted on these data, and what speaks against an incident."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pivotwatch.base.durations import format_duration
from pivotwatch.contracts.alerts import AlertData, Evidence, Profile
from pivotwatch.detection.alerting.explanation import speaks_against
from pivotwatch.reporting.collector import Collected
from pivotwatch_models.settings import DAY_MS, HOUR_MS, Settings

ENOUGH = 100
"""Accounts at risk in a bucket below which the pace of everyone else is rough."""
WIDTHS = (60_000, 300_000, 900_000, HOUR_MS, 3 * HOUR_MS, 6 * HOUR_MS, 12 * HOUR_MS, DAY_MS, 7 * DAY_MS)
NEARLY_ALL = 0.85
ALIKE = 1.5
ALIKE_TOOLS = 0.1


def notes(collected: Collected, settings: Settings) -> list[str]:
    """What to know before reading on."""
    return [*_thin(collected, settings), *_learning(collected), *_left_out(collected)]


def wider(active: float, bucket_ms: int) -> int | None:
    """A bucket width with enough active accounts, if the given one has too few; None if it has enough.

    Accounts grow at most with the width, so this is the least that may do.

    Examples
    --------
    >>> wider(30, HOUR_MS) == 6 * HOUR_MS, wider(500, HOUR_MS)
    (True, None)
    """
    if active >= ENOUGH:
        return None
    wanted = bucket_ms * ENOUGH / max(active, 0.1)
    return next((w for w in WIDTHS if w >= wanted and w > bucket_ms), WIDTHS[-1])


def _thin(collected: Collected, settings: Settings) -> Iterator[str]:
    width = _width(settings.bucket_ms)
    better = wider(collected.active, settings.bucket_ms)
    if better is not None and settings.bucket_ms < WIDTHS[-1]:
        yield (
            f"The data are thin for buckets of {width}: half of them have at most {collected.active:,.0f} "
            f"active accounts, each with about {collected.pace:.1f} requests. Expectations are rough and "
            f'slow moves are missed. Try bucket = "{_width(better)}".'
        )
    thin = {c.model: sum(p.at_risk < ENOUGH for p in c.points) for c in collected.releases.values()}
    if any(thin.values()):
        total = {c.model: len(c.points) for c in collected.releases.values()}
        told = ", ".join(f"{model} {n:,} of {total[model]:,}" for model, n in thin.items() if n)
        yield (
            f"Buckets with fewer than {ENOUGH} accounts that had not used the model yet, where the pace of "
            f"everyone else is uncertain: {told}."
        )


def _learning(collected: Collected) -> Iterator[str]:
    for course in collected.releases.values():
        if course.learning:
            yield (
                f"{course.model} was still learning at the end: fewer than 100 first uses outside flagged "
                f"groups were seen, {course.first_uses:,} in all."
            )
    if not collected.releases:
        yield "No release was watched, so nothing could be found: name one with --releases, or give more."


def _left_out(collected: Collected) -> Iterator[str]:
    meanings = {
        "late": "came too late for their bucket and were left out",
        "invalid": "could not be read and were left out",
        "failed": "had failed and were not counted",
    }
    for name, meaning in meanings.items():
        if count := collected.totals[name]:
            yield f"{count:,} events {meaning}."


def _width(bucket_ms: int) -> str:
    return format_duration(timedelta(milliseconds=bucket_ms))


def for_and_against(data: AlertData) -> dict[str, list[str]]:
    """The ``reasons`` for an incident, and what speaks ``against`` it, for a page."""
    return {
        "reasons": [reason for reason in data.reasons if not speaks_against(reason)],
        "against": [*filter(speaks_against, data.reasons), *doubts(data)],
    }


def doubts(data: AlertData) -> list[str]:
    """What speaks against an incident, beyond what its alert says."""
    evidence, found = data.evidence, []
    told = evidence.pattern is not None and evidence.pattern.split.sign == "roll-out"
    if not told and evidence.observed_share is not None and evidence.observed_share >= NEARLY_ALL:
        found.append("Nearly all of its traffic moved, as when a company moves its staff.")
    if evidence.profile is not None and _alike(evidence.profile):
        found.append(
            "What it asks of the model is like what everyone else asks: tool use and sizes are near."
        )
    if evidence.e_bh and not _over_the_line(evidence):
        found.append("It is named only beside others (e-BH): alone its evidence is below the line.")
    return found


def _over_the_line(evidence: Evidence) -> bool:
    """Has the evidence grown enough meanwhile to be named alone?"""
    value, line = evidence.log_e_value, evidence.threshold
    return value is not None and line is not None and value >= line


def _alike(profile: Profile) -> bool:
    own, others = profile.to_model, profile.population
    if own is None or others is None:
        return False
    near = abs(own.tools_share - others.tools_share) <= ALIKE_TOOLS
    pairs = (own.input_tokens, others.input_tokens), (own.output_tokens, others.output_tokens)
    # Sizes that nobody told say nothing.
    told = any(a + b > 0 for a, b in pairs)
    return told and near and all(a <= ALIKE * b and b <= ALIKE * a for a, b in pairs)
