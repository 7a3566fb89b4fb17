"""The alert in sentences: what happened, what everyone else did, how improbable, what speaks against it."""

from __future__ import annotations

import math

from pivotwatch.contracts.alerts import Evidence
from pivotwatch.contracts.events import format_time
from pivotwatch_models.incidents.incident import Incident
from pivotwatch_models.incidents.pattern import Pattern
from pivotwatch_models.method import DECISION
from pivotwatch_models.population.always_active import POPULATION
from pivotwatch_models.settings import DAY_MS, HOUR_MS, Settings

WHY = {
    "reopened": "It had been resolved and has begun again.",
    "merged": "Groups that move together with the same accounts were joined into one incident.",
    "evidence-grew": "The evidence has grown since this was last reported.",
    "severity-rose": "It is graver than when this was last reported.",
    "members-doubled": "Twice as many accounts have moved as when this was last reported.",
    "confirmed": "A person has confirmed it.",
    "quiet": "Nothing further has happened for a day.",
    "watch-ended": "The watch of this release is over.",
    "benign": "A person has judged it benign.",
    "verified": "The organisation is verified.",
}

AGAINST = {
    "intent": "This shows abnormal coordination, not intent: a company that moves its staff looks the same.",
    "lag": "Data of this group came late: part of the jump may be delivery, not behaviour.",
    "learning": "The release is young: few accounts have moved yet, so the expectation is rough.",
}
"""What speaks against it."""

ROLLOUT, LIKE_ROLLOUT = "Company roll-out pattern", "Like a company roll-out"
NOT_CLOSER = "Its accounts did not move closer together in time than everyone's"
SURE = 10**12
"""One in more than so many is told as so many."""


def speaks_against(reason: str) -> bool:
    """Is a sentence of an alert one against it?

    Examples
    --------
    >>> speaks_against(AGAINST["lag"]), speaks_against(WHY["merged"])
    (True, False)
    """
    return reason in AGAINST.values() or reason.startswith((ROLLOUT, LIKE_ROLLOUT, NOT_CLOSER))


def reasons(incident: Incident, evidence: Evidence, reason: str, settings: Settings) -> list[str]:
    """Short sentences for a person."""
    sentences = [_lone(incident, settings)] if incident.lone_account else _group(incident, evidence, settings)
    if reason in WHY:
        sentences.append(WHY[reason])
    if incident.verdict == "confirmed" and reason != "confirmed":
        sentences.append(WHY["confirmed"])
    return sentences + _against(incident, evidence, settings)


def _lone(incident: Incident, settings: Settings) -> str:
    finding = next(iter(incident.findings.values()))
    return (
        f"Account {finding.account} sent {finding.chosen} of its {finding.requests} requests of the last "
        f"{_width(settings)} to {incident.model}; it usually keeps {abs(finding.usual_residual):.0%} "
        f"{'above' if finding.usual_residual > 0 else 'below'} everyone else's share, now "
        f"{finding.residual:.0%} {'above' if finding.residual > 0 else 'below'} it. By itself this is common."
    )


def _group(incident: Incident, evidence: Evidence, settings: Settings) -> list[str]:
    kind, name = incident.entity
    if kind == POPULATION:
        return [*_population(incident, evidence), _how_sure(evidence, settings)]
    # A group has all of these figures.
    expected = (evidence.first_uses_expected or 0.0) + (evidence.switches_expected or 0.0)
    seen = (
        f"{_count(evidence.first_uses_seen or 0, 'first use')} and "
        f"{_count(evidence.switches_seen or 0, 'switch', 'switches')}"
    )
    moved = (
        f"{_count(len(incident.members), 'account')} of {kind} {name} moved to {incident.model} "
        f"{_since(incident, settings)}: {seen} where the pace of everyone else predicts {expected:.1f} "
        f"together ({_times(evidence.hazard_ratio or 0.0)} as many)."
    )
    sentences = [moved]
    if evidence.observed_share is not None and evidence.population_share is not None:
        before = evidence.baseline_share
        sentences.append(
            f"Since the onset {evidence.observed_share:.0%} of its requests chose the model"
            f"{'' if before is None else f', before {before:.0%}'}; "
            f"of everyone else's it was {evidence.population_share:.0%}."
        )
    if _is_closer(evidence):
        sentences.append(
            f"{evidence.synchrony:.0%} of these accounts moved within {_window(settings)}; of everyone "
            f"who moved since the release at most {evidence.population_synchrony:.0%} did so."
        )
    sentences.append(_how_sure(evidence, settings))
    if _looks(incident.pattern)["extraction"]:
        sentences.append(signs(incident.pattern, "extraction"))
    others = [f"{k} {n}" for k, n in incident.groups if (k, n) != incident.entity]
    if others:
        shown = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        sentences.append(f"The same accounts stand out as {shown}.")
    return sentences


def _population(incident: Incident, evidence: Evidence) -> list[str]:
    """Of accounts that no group holds together."""
    seen, expected = evidence.first_uses_seen or 0, evidence.first_uses_expected or 0.0
    moved = (
        f"Accounts that are {incident.entity[1]} in a bucket moved to {incident.model} by themselves: "
        f"{seen} first uses where the pace of accounts that pause, per hour of their time, predicts "
        f"{expected:.1f} ({_times(evidence.hazard_ratio or 0.0)} as many)."
    )
    where = (
        "So far as no network, payment or sign-up of theirs is named by an alert of its own, nothing holds "
        "them together and no members can be named; look for what accounts that first used the model since "
        "the onset and never pause have in common."
    )
    return [moved, where]


def _looks(pattern: Pattern) -> dict[str, list[str]]:
    """The signs in words, by what they point to."""
    words: dict[str, list[str]] = {"roll-out": [], "extraction": []}
    if pattern.split == "roll-out":
        words[pattern.split].append(
            f"its accounts send nearly all of their traffic {pattern.whole:.0%} of the time"
        )
    elif pattern.split == "extraction":
        words[pattern.split].append(
            f"its accounts send a part of their traffic {pattern.part:.0%} of the time, "
            f"everyone's {pattern.others_part:.0%}"
        )
    if pattern.sizes is not None and pattern.size_ratio is not None:
        kind = "varied" if pattern.sizes == "roll-out" else "uniform"
        words[pattern.sizes].append(
            f"sizes are {kind} ({pattern.size_ratio:.1f} times the spread of everyone's)"
        )
    if pattern.hours is not None:
        kind = "keeps office hours" if pattern.hours == "roll-out" else "works round the clock"
        words[pattern.hours].append(f"it {kind} ({pattern.quiet_share:.0%} in its eight quietest hours)")
    return words


def signs(pattern: Pattern, kind: str) -> str:
    """The signs of one kind in a sentence.

    Examples
    --------
    >>> company = Pattern(40, part=0.03, whole=0.97, others_part=0.3, size_ratio=0.9, quiet_share=0.02)
    >>> signs(company, "roll-out").split(":")[0]
    'Company roll-out pattern'
    >>> print(signs(Pattern(40, part=0.9, whole=0.05, others_part=0.3), "extraction"))
    Like extraction: its accounts send a part of their traffic 90% of the time, everyone's 30%.
    """
    words = "; ".join(_looks(pattern)[kind])
    if pattern.name == kind:
        return f"{ROLLOUT if kind == 'roll-out' else 'Extraction pattern'}: {words}."
    return f"{LIKE_ROLLOUT if kind == 'roll-out' else 'Like extraction'}: {words}."


def _is_closer(evidence: Evidence) -> bool:
    """Is the share that moved together greater, in the figures that are shown?"""
    own, others = evidence.synchrony, evidence.population_synchrony
    return own is not None and others is not None and round(own, 2) > round(others, 2)


def _how_sure(evidence: Evidence, settings: Settings) -> str:
    value, threshold = evidence.log_e_value or 0.0, evidence.threshold or 0.0
    if value >= threshold and _is_split(evidence):
        return (
            f"{_by_chance(evidence, settings)} What tells is not the pace but the split: its accounts keep "
            "sending the same part of their traffic."
        )
    if value >= threshold:
        return _by_chance(evidence, settings)
    return (
        f"ln e-value {value:.1f}, below the threshold {threshold:.1f} of a group alone; "
        "named because many groups moved at once (e-BH, at most 5 % of those named by chance)."
    )


def _by_chance(evidence: Evidence, settings: Settings) -> str:
    """How rare it is: at the threshold the budget of false alerts, and e times as rare per unit above."""
    value, threshold = evidence.log_e_value or 0.0, evidence.threshold or 0.0
    rare = math.exp(min(value - threshold - math.log(settings.alert_budget), math.log(SURE)))
    ordinary = (
        "whose accounts are hardly more alike than everyone's"
        if _is_split(evidence)
        else f"that move at most {evidence.theta or 0.0:.1f} times as fast as everyone"
    )
    return (
        f"ln e-value {value:.1f}, over the threshold {threshold:.1f}: by the bound of the method, of groups "
        f"{ordinary} less than one in {float(f'{rare:.2g}'):,.0f} gets so far on a day."
    )


def _is_split(evidence: Evidence) -> bool:
    """Is it the split that tells, not the pace?"""
    pace, split = evidence.log_e_pace, evidence.log_e_split
    return split is not None and split > (pace or 0.0)


def _against(incident: Incident, evidence: Evidence, settings: Settings) -> list[str]:
    sentences = []
    if not incident.lone_account:
        if _looks(incident.pattern)["roll-out"]:
            sentences.append(signs(incident.pattern, "roll-out"))
        own, others = evidence.synchrony, evidence.population_synchrony
        # In the first hours everyone has moved within a few hours: that says nothing.
        if own is not None and others is not None and others < 1 and not _is_closer(evidence):
            sentences.append(
                f"{NOT_CLOSER}: {own:.0%} within {_window(settings)}, of everyone's {others:.0%}."
            )
        sentences.append(AGAINST["intent"])
    if evidence.data_lag:
        sentences.append(AGAINST["lag"])
    if evidence.learning:
        sentences.append(AGAINST["learning"])
    return sentences


def _count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun.

    Examples
    --------
    >>> _count(1, "switch", "switches"), _count(1200, "account")
    ('1 switch', '1,200 accounts')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _times(ratio: float) -> str:
    """How many times, no more exactly than it matters.

    Examples
    --------
    >>> _times(2.555), _times(23.2)
    ('2.6 times', '23 times')
    """
    return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def _since(incident: Incident, settings: Settings) -> str:
    """When it began, and how long after the release."""
    onset = incident.onset * settings.bucket_ms
    after = onset - incident.released_at
    told = f"since {format_time(onset)[:16].replace('T', ' ')} UTC"
    if after < max(HOUR_MS, settings.bucket_ms):
        return f"{told}, at its release"
    unit, name = (HOUR_MS, "hour") if after < 3 * DAY_MS else (DAY_MS, "day")
    return f"{told}, {_count(max(1, round(after / unit)), name)} after its release"


def _width(settings: Settings) -> str:
    return _span(settings.bucket_ms)


def _window(settings: Settings) -> str:
    return _span(max(DECISION.figures.synchrony_ms, settings.bucket_ms))


def _span(milliseconds: int) -> str:
    """A span in words.

    Examples
    --------
    >>> _span(HOUR_MS), _span(3 * HOUR_MS), _span(DAY_MS)
    ('hour', '3 hours', 'day')
    """
    for unit, name in ((DAY_MS, "day"), (HOUR_MS, "hour"), (60_000, "minute"), (1_000, "second")):
        if milliseconds >= unit and milliseconds % unit == 0:
            count = milliseconds // unit
            return name if count == 1 else f"{count} {name}s"
    return f"{milliseconds} ms"
