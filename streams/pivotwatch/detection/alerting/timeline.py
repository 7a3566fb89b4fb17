"""The figures of an incident over time for charts, and its usage of the model."""

from __future__ import annotations

from pivotwatch.contracts.alert_evidence import Profile, Series, Usage
from pivotwatch.contracts.codec import moment_of
from pivotwatch.contracts.entity import Entity
from pivotwatch_models.base.counts import Group, Traffic
from pivotwatch_models.base.poisson import band
from pivotwatch_models.groups.timeline import Row
from pivotwatch_models.incidents.incident import Incident
from pivotwatch_models.release_watch import ReleaseWatch


def series(incident: Incident, group: Group, watch: ReleaseWatch) -> Series | None:
    """The group's and everyone else's share, events seen and expected, and the normal range, per time step.

    Arrays of one length, at most 96. ``at`` and ``until`` count buckets from ``start``. In a gap between two
    steps the group was silent.
    """
    pairs = watch.rows(group, incident.onset)
    if not pairs:
        return None
    rows, width = [row for row, _ in pairs], watch.settings.bucket_ms
    bands = [band(row.expected, watch.groups[group].detector.theta) for row in rows]
    first = rows[0].start
    return Series(
        group=Entity(*group),
        start=moment_of(first * width),
        bucket_ms=width,
        at=[row.start - first for row in rows],
        until=[row.end - first for row in rows],
        share=[_share(row.chosen, row.requests) for row in rows],
        others_share=[_others(row, everyone) for row, everyone in pairs],
        seen=[row.seen for row in rows],
        expected=[round(row.expected, 2) for row in rows],
        low=[low for low, _ in bands],
        high=[high for _, high in bands],
    )


def profile(incident: Incident, group: Group, everyone: Traffic) -> Profile | None:
    """The group's usage of the model since the onset, its usage before, and everyone else's usage.

    Parameters
    ----------
    everyone
        Traffic of all accounts, the group's included, since the onset.
    """
    own, before = incident.traffic.get(group), incident.before.get(group)
    if own is None or incident.lone_account:
        return None
    others = everyone - own
    return Profile(
        to_model=_usage(own.to_model, own.model_in, own.model_out, own.model_tools),
        to_other_models=_usage(
            own.requests - own.to_model,
            own.tokens_in - own.model_in,
            own.tokens_out - own.model_out,
            own.with_tools - own.model_tools,
        ),
        before=_usage(before.requests, before.tokens_in, before.tokens_out, before.with_tools)
        if before
        else None,
        population=_usage(others.to_model, others.model_in, others.model_out, others.model_tools),
    )


def _usage(requests: int, tokens_in: int, tokens_out: int, with_tools: int) -> Usage | None:
    """Means per exchange; None without exchanges."""
    if requests <= 0:
        return None
    return Usage(
        exchanges=requests,
        tools_share=round(with_tools / requests, 4),
        input_tokens=round(tokens_in / requests, 1),
        output_tokens=round(tokens_out / requests, 1),
    )


def _others(row: Row, everyone: Traffic) -> float | None:
    return _share(everyone.chosen - row.chosen, everyone.requests - row.requests)


def _share(chosen: int, requests: int) -> float | None:
    return round(chosen / requests, 3) if requests > 0 else None
