"""The reasons of an alert in sentences.

In this order: what happened, how sure that is, what to do next, why this update was sent, what else
supports the suspicion, the statistical details, and the counter-evidence that was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pivotwatch.base.display import at_least, clock_time, counted, percent, score, span, times, two_digits
from pivotwatch.base.network_classes import SUSPECT
from pivotwatch.contracts.alert_evidence import Corroboration, Evidence, Profile
from pivotwatch.contracts.alert_texts import (
    COUNTER_EVIDENCE,
    DETAILS,
    JOINT,
    NEXT_STEP,
    NONE_MEASURED,
    RARE,
    accounts_of,
    change,
    group_name,
    is_split_evidence,
)
from pivotwatch.detection.alerting.next_step import next_step
from pivotwatch.detection.alerting.pattern_signs import signs
from pivotwatch.detection.alerting.rarity import days_between
from pivotwatch_models.incidents.incident import Incident
from pivotwatch_models.incidents.transition import Transition
from pivotwatch_models.method import DECISION, STATE
from pivotwatch_models.population.always_active import POPULATION
from pivotwatch_models.settings import Settings

TRANSITIONS = {
    "reopened": "The incident was resolved and has started again.",
    "merged": "Groups of the same accounts that started in the same hours were merged into this incident.",
    "quiet": "Resolved: nothing new happened for 24 hours.",
    "watch-ended": "Resolved: the watch of this release has ended.",
    "benign": "Suppressed: an operator decided that it is benign.",
    "verified": "Suppressed: an operator verified the organisation.",
}
GROUPS_SHOWN = 3
NEARLY_ALL = 0.85
"""From this share of requests on, nearly all go to the model."""
FASTER = math.erfc(STATE.heterogeneity.quantile / math.sqrt(2)) / 2
"""Share of ordinary groups above the normal limit: the upper tail of ln pace beyond so many σ."""
SIMILAR, SIMILAR_TOOLS = 1.5, 0.1
"""Tokens per exchange within this factor, and shares of tool use within this difference, are similar."""


def reasons(transition: Transition, evidence: Evidence, settings: Settings) -> list[str]:
    """All sentences of an alert, in the order of the module's description.

    Parameters
    ----------
    evidence
        The figures of the alert, as they are sent.
    """
    incident = transition.incident
    if incident.lone_account:
        sentences = [_lone_account(incident, settings)]
    else:
        sentences = [_what(incident, evidence, settings), _how_sure(evidence, settings)]
    sentences.append(NEXT_STEP + next_step(transition, evidence))
    sentences += _changes(transition)
    if not incident.lone_account:
        sentences += _support(incident, evidence, settings)
        sentences.append(DETAILS + _details(incident, evidence))
    against = list(_counter_evidence(incident, evidence, settings))
    return sentences + [COUNTER_EVIDENCE + text for text in against or [NONE_MEASURED]]


def _lone_account(incident: Incident, settings: Settings) -> str:
    finding = next(iter(incident.findings.values()))
    return (
        f"Account {finding.account} sent {finding.chosen:,} of its {counted(finding.requests, 'request')} in "
        f"{span(timedelta(milliseconds=settings.bucket_ms))} to {incident.model}: "
        f"{_beside(finding.residual)} everyone else's share (usually {_beside(finding.usual_residual)}). "
        "One account alone is common and is not an alarm."
    )


def _beside(residual: float) -> str:
    """A difference of shares in words, such as "18 points above"."""
    points = abs(residual) * 100
    return f"{points:.0f} points {'above' if residual > 0 else 'below'}"


def _what(incident: Incident, evidence: Evidence, settings: Settings) -> str:
    """What happened, and what was expected from the speed of everyone else."""
    first_uses, switches = evidence.first_uses_seen or 0, evidence.switches_seen or 0
    expected = (evidence.first_uses_expected or 0.0) + (evidence.switches_expected or 0.0)
    events = [
        counted(first_uses, "first use") if first_uses or incident.entity[0] == POPULATION else "",
        counted(switches, "switch", "switches") if switches else "",
    ]
    who = accounts_of(*incident.entity, len(incident.members))
    return (
        f"{who} {change(first_uses, switches)} {incident.model} {_since(incident, settings)}: "
        f"{' and '.join(filter(None, events))}, {two_digits(expected)} expected; "
        f"{times(evidence.hazard_ratio)} as fast as {_others(incident)} "
        f"(normal: up to {times(evidence.theta)})."
    )


def _how_sure(evidence: Evidence, settings: Settings) -> str:
    if _is_below_threshold(evidence):
        return (
            f"{JOINT} Several groups stood out together; of groups that are reported together, at most "
            f"{percent(DECISION.report_rule.e_bh_alpha)} are within the normal limit on average."
        )
    by_split = is_split_evidence(evidence.log_e_pace, evidence.log_e_split)
    limit = f"{RARE} of equal splits" if by_split else f"{RARE} ({times(evidence.theta)})"
    days = at_least(days_between(evidence.log_e_value or 0.0, settings))
    return f"{limit} would reach this score less than once in {days} days."


def _is_below_threshold(evidence: Evidence) -> bool:
    """Whether the score alone would not raise an alert."""
    return (evidence.log_e_value or 0.0) < (evidence.threshold or 0.0)


def _details(incident: Incident, evidence: Evidence) -> str:
    pace, split = evidence.log_e_pace, evidence.log_e_split
    parts = [f"speed {score(pace)}"] if pace is not None else []
    parts += [f"equal split {score(split)}"] if split is not None else []
    is_band = incident.entity[0] == POPULATION
    faster = "" if is_band else f"; about {100 * FASTER:.0f} % of ordinary groups exceed it"
    alike = f" Equal splits are normal up to {times(STATE.split.theta)} as often." if split else ""
    return (
        f"score {score(evidence.log_e_value)} (ln e-value; {', '.join(parts)}), alert threshold "
        f"{score(evidence.threshold)}. The normal limit is {times(evidence.theta)} the speed of "
        f"{_others(incident)}{faster}.{alike}"
    )


def _changes(transition: Transition) -> Iterator[str]:
    """Why this update was sent, and everything else that changed since the last one."""
    incident, before = transition.incident, transition.before
    if incident.merged_into is not None:
        yield f"Merged into the incident of {group_name(*incident.merged_into)}."
    elif transition.reason in TRANSITIONS:
        yield TRANSITIONS[transition.reason]
    if incident.verdict == "confirmed":
        yield "An operator confirmed it."
    if before is None:
        return
    if incident.severity != before.severity:
        yield f"Severity rose from {before.severity} to {incident.severity}."
    members, log_r = len(incident.members), incident.leading.log_r
    changed = [f"accounts {before.members:,} → {members:,}"] if members != before.members else []
    if score(log_r) != score(before.score) and not incident.lone_account:
        changed.append(f"score {score(before.score)} → {score(log_r)}")
    if changed:
        yield f"Since the last update: {', '.join(changed)}."


def _support(incident: Incident, evidence: Evidence, settings: Settings) -> Iterator[str]:
    """Further reasons for the suspicion."""
    model, pattern = incident.model, incident.pattern
    own, others, before = evidence.observed_share, evidence.population_share, evidence.baseline_share
    if own is not None and others is not None:
        was = "" if before is None else f" ({percent(before)} before)"
        yield (
            f"Since then, {model} has received {percent(own)} of this {_group(incident)}'s requests{was}, "
            f"against {percent(others)} for everyone else; {counted(incident.exchanges, 'request')} to it in "
            "this incident so far."
        )
    if _is_closer(evidence) and incident.members and evidence.synchrony is not None:
        yield (
            f"{_part(evidence.synchrony)} of these accounts started within {_window(settings)} of each "
            f"other; in the busiest {_window(settings)} since the release, "
            f"{percent(evidence.population_synchrony)} of everyone who uses {model} started."
        )
    if is_split_evidence(evidence.log_e_pace, evidence.log_e_split):
        yield (
            "The evidence is not the speed: these accounts keep sending the same part of their requests to "
            f"{model}."
        )
    if found := signs(pattern, "extraction", model):
        label = "Extraction pattern" if pattern.name == "extraction" else "Sign of extraction"
        yield f"{label}: {'; '.join(found)}."
    yield from _corroboration(incident, evidence.corroboration)


def _corroboration(incident: Incident, found: Corroboration) -> Iterator[str]:
    if incident.members and incident.young_share >= DECISION.severity.high_young:
        yield f"{_part(incident.young_share)} of these accounts are at most 7 days old."
    if found.network_class in SUSPECT:
        yield f"Its network is of the class {found.network_class}."
    if found.adwin:
        yield "A second detector (ADWIN) also saw the change."
    if incident.findings:
        alone, group = len(incident.findings), _group(incident)
        yield f"{counted(alone, 'account')} of this {group} also stand{'s' if alone == 1 else ''} out alone."
    others = [group_name(*group) for group in incident.groups if group != incident.entity]
    if others:
        more = f" and {len(others) - GROUPS_SHOWN} more" if len(others) > GROUPS_SHOWN else ""
        yield f"The same accounts stand out as {', '.join(others[:GROUPS_SHOWN])}{more}."


def _counter_evidence(incident: Incident, evidence: Evidence, settings: Settings) -> Iterator[str]:
    """What was measured for this alert and speaks against the suspicion; each follows a label."""
    if not incident.lone_account:
        if _is_below_threshold(evidence):
            yield (
                f"its score alone, {score(evidence.log_e_value)}, is below the alert threshold for one "
                f"group, {score(evidence.threshold)}."
            )
        found = signs(incident.pattern, "roll-out", incident.model)
        if found:
            listed = "; ".join(found)
            is_pattern = incident.pattern.name == "roll-out"
            yield (
                f"company roll-out pattern: {listed}."
                if is_pattern
                else f"{listed}, as in a company roll-out."
            )
        elif evidence.observed_share is not None and evidence.observed_share >= NEARLY_ALL:
            yield f"nearly all of its requests go to {incident.model}, as when a company changes its default."
        own, others = evidence.synchrony, evidence.population_synchrony
        # In the first hours everyone has started within a few hours: that says nothing.
        known = bool(incident.members) and own is not None and others is not None and others < 1
        if known and not _is_closer(evidence):
            yield (
                f"its accounts did not start closer together than everyone else: {percent(own)} within "
                f"{_window(settings)}, against {percent(others)}."
            )
        if _is_usual_use(evidence.profile):
            yield f"tool use and request sizes on {incident.model} are like everyone else's."
    if evidence.data_lag:
        yield "events of this group arrived late, so part of the change may be a delivery delay."
    if evidence.learning:
        yield (
            f"fewer than {DECISION.sufficiency.learning_first_uses} accounts outside flagged groups use "
            f"{incident.model} yet, so the expected numbers are rough."
        )


def _is_closer(evidence: Evidence) -> bool:
    """Whether the accounts started closer together than everyone else, in the percentages that are shown."""
    own, others = evidence.synchrony, evidence.population_synchrony
    return own is not None and others is not None and round(own, 2) > round(others, 2)


def _is_usual_use(profile: Profile | None) -> bool:
    """Whether tool use and request sizes are like everyone else's; False when no sizes are known."""
    own, others = (profile.to_model, profile.population) if profile else (None, None)
    if own is None or others is None:
        return False
    sizes = (own.input_tokens, others.input_tokens), (own.output_tokens, others.output_tokens)
    return (
        any(a + b > 0 for a, b in sizes)
        and abs(own.tools_share - others.tools_share) <= SIMILAR_TOOLS
        and all(a <= SIMILAR * b and b <= SIMILAR * a for a, b in sizes)
    )


def _part(share: float) -> str:
    return "All" if share == 1 else percent(share)


def _group(incident: Incident) -> str:
    return "network" if incident.entity[0] == "network" else "group"


def _others(incident: Incident) -> str:
    """Whom the group's speed is compared with."""
    return "accounts that pause" if incident.entity[0] == POPULATION else "everyone else"


def _since(incident: Incident, settings: Settings) -> str:
    """When the incident began, and how long after the release."""
    onset = incident.onset * settings.bucket_ms
    since = f"since {clock_time(datetime.fromtimestamp(onset / 1000, UTC))}"
    after = timedelta(milliseconds=onset - incident.released_at)
    if after < timedelta(milliseconds=max(settings.bucket_ms, 3_600_000)):
        return f"{since}, at its release"
    return f"{since}, {span(after)} after its release"


def _window(settings: Settings) -> str:
    """The time within which accounts count as having started together."""
    return span(timedelta(milliseconds=max(DECISION.figures.synchrony_ms, settings.bucket_ms)))
