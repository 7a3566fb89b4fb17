"""The targets of detection quality, and the table of results."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import median

from tests.quality.trial import Finding, Trial

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Target of a campaign: found within ``hours`` in ``recall`` of the runs, with at most ``leak`` sent."""

    recall: float = 0.95
    hours: float = math.inf
    leak: float = 1.0
    networks: float = 0.0


TARGETS = {
    "c1": Target(hours=8, leak=0.01),
    "c2": Target(hours=36),
    "c3-50": Target(hours=8, leak=0.01),
    "c3-25": Target(hours=8, leak=0.01),
    "c3-10": Target(recall=0.65),
    "c4": Target(recall=1.0, hours=12, networks=0.75),
    "c5": Target(hours=8, leak=0.01),
    "public-150k": Target(),
    "public-3m4": Target(),
    "public-13m": Target(),
    "demo": Target(),
    "forced-migration-c1": Target(hours=6),
    "late": Target(hours=12),
    "late-spread": Target(hours=24),
    "no-release": Target(hours=16),
    "no-release-spread": Target(),
}
"""Targets of campaigns, and of scenarios in which a campaign has another one."""
FAST = {"c1-fast", "c1-surge"}
"""Scenarios in which the population moves too fast for the targets of its campaign."""
MAX_FALSE_DISCOVERY = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """Results of one campaign of a scenario over all seeds, or of a scenario without campaigns."""

    scenario: str
    runs: int
    findings: list[Finding]
    false: int
    rollouts: int
    right: int


def rows(trials: Sequence[Trial]) -> list[Row]:
    """One row per campaign of each scenario, in their order."""
    names = list(dict.fromkeys(trial.scenario for trial in trials))
    out = []
    for name in names:
        own = [trial for trial in trials if trial.scenario == name]
        counts = [sum(getattr(t, what) for t in own) for what in ("rollouts", "right")]
        false = sum(len(t.false) for t in own)
        found: dict[str, list[Finding]] = {}
        for trial in own:
            for finding in trial.findings:
                found.setdefault(finding.campaign, []).append(finding)
        if not found:
            out.append(Row(name, len(own), [], false, *counts))
        for i, (campaign, findings) in enumerate(found.items()):
            label = name if len(found) == 1 else f"{name}: {campaign}"
            numbers = (false, *counts) if i == 0 else (0, 0, 0)
            out.append(Row(label, len(own), findings, *numbers))
    return out


def missed(trials: Sequence[Trial], learnt: bool = False) -> list[str]:
    """The missed targets, in words."""
    problems = []
    for row in rows(trials):
        scenario = row.scenario.partition(":")[0]
        if not row.findings or scenario in FAST:
            continue
        if (target := TARGETS.get(scenario) or TARGETS.get(row.findings[0].campaign)) is not None:
            problems += [f"{row.scenario}: {text}" for text in _missed(row, target, learnt)]
    problems += [f"{t.scenario}, seed {t.seed}: false alert on {name}" for t in trials for name in t.false]
    problems += [
        f"{t.scenario}, seed {t.seed}: {t.honest_high} alerts on honest groups are high"
        for t in trials
        if t.honest_high
    ]
    right, false = sum(t.right for t in trials), sum(len(t.false) for t in trials)
    if right and false > MAX_FALSE_DISCOVERY * (right + false):
        problems.append(f"false discovery {false / (right + false):.1%}, at most 5 %")
    return problems


def _missed(row: Row, target: Target, learnt: bool) -> list[str]:
    out = []
    least = 0.95 if learnt else target.recall
    in_time = sum(f.delay is not None and f.delay <= target.hours for f in row.findings) / len(row.findings)
    if in_time < least:
        within = f" within {target.hours:g} h" if target.hours < math.inf else ""
        out.append(f"found{within} in {in_time:.0%} of the runs, not {least:.0%}")
    worst = max(f.leaked for f in row.findings)
    if worst > target.leak:
        out.append(f"{worst:.1%} leaked first, more than {target.leak:.0%}")
    share = min(len(f.delays) / max(1, f.networks) for f in row.findings)
    if share < target.networks:
        out.append(f"{share:.0%} of its networks, not {target.networks:.0%}")
    return out


def table(trials: Sequence[Trial]) -> str:
    """The results as a Markdown table."""
    head = (
        "| scenario | found | networks | delay h: median, worst | clairvoyant h | leaked first "
        "| members: precision, recall | false | roll-outs |\n" + "| --- " * 9 + "|"
    )
    return "\n".join([head, *map(_line, rows(trials)), "", *_totals(trials)])


def _line(row: Row) -> str:
    f = row.findings
    cells = [row.scenario]
    if f:
        delays = sorted(math.inf if x.delay is None else x.delay for x in f)
        known = [x.clairvoyant for x in f if x.clairvoyant is not None]
        seen = [x for x in f if x.delay is not None]
        cells += [
            f"{len(seen)} of {len(f)}",
            f"{sum(len(x.delays) for x in f)} of {sum(x.networks for x in f)}",
            f"{_hours(median(delays))}, {_hours(delays[-1])}",
            _hours(median(known)) if known else "–",
            f"{median(x.leaked for x in f):.2%}",
            f"{_mean([x.precision for x in seen])}, {_mean([x.recall for x in seen])}",
        ]
    else:
        cells += [f"– ({row.runs})", "", "", "", "", ""]
    return "| " + " | ".join([*cells, str(row.false), str(row.rollouts)]) + " |"


def _totals(trials: Sequence[Trial]) -> list[str]:
    false = sum(len(t.false) for t in trials)
    right = sum(t.right for t in trials)
    account_days = sum(t.account_days for t in trials)
    network_days = sum(t.network_days for t in trials)
    bound = upper_bound(false)
    named = right + false
    size = (
        f"{len(trials)} runs, {sum(t.events for t in trials):,} events, {account_days:,} account-days, "
        f"{network_days:,} network-days."
    )
    by_chance = (
        f"Statistical false alerts: {false}, {1e6 * false / account_days:.2g} per million account-days "
        f"(95 % bound {1e6 * bound / account_days:.2g}), {1e5 * false / network_days:.2g} per 100,000 "
        f"network-days (bound {1e5 * bound / network_days:.2g}). False discovery: "
        f"{false / named if named else 0:.1%} of {named} alerts."
    )
    others = (
        f"Alerts on roll-outs, counted apart: {sum(t.rollouts for t in trials)}. Single accounts noted for "
        f"information: {sum(t.accounts_noted for t in trials)}."
    )
    return [size, by_chance, others]


def upper_bound(count: int, confidence: float = CONFIDENCE) -> float:
    """Upper confidence bound of a Poisson mean, by bisection.

    Examples
    --------
    >>> round(upper_bound(0), 2), round(upper_bound(3), 2)
    (3.0, 7.75)
    """
    low, high = float(count), count + 10 + 10 * math.sqrt(count + 1)
    for _ in range(80):
        middle = (low + high) / 2
        below = sum(math.exp(-middle + k * math.log(middle) - math.lgamma(k + 1)) for k in range(count + 1))
        low, high = (middle, high) if below > 1 - confidence else (low, middle)
    return high


def _hours(value: float) -> str:
    return "not found" if math.isinf(value) else f"{value:.1f}"


def _mean(values: list[float]) -> str:
    return f"{sum(values) / len(values):.2f}" if values else "–"
