"""Sound examples of the contracts: for the published schemas and for doctests."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from pivotwatch.contracts.alert_evidence import Evidence
from pivotwatch.contracts.alerts import Alert, AlertData, Urls, alert_of
from pivotwatch.contracts.codec import moment_of
from pivotwatch.contracts.entity import Entity

_HOUR_MS = 3_600_000
_RELEASED = 1_770_314_400_000

_DATA = AlertData(
    alert_id="0123456789abcdef",
    revision=1,
    dedup_key="pivotwatch/0123456789abcdef",
    state="open",
    transition="opened",
    severity="high",
    model="m-2",
    entity=Entity("network", "AS64500"),
    groups=[Entity("network", "AS64500")],
    groups_total=1,
    released_at=moment_of(_RELEASED),
    onset=moment_of(_RELEASED + 2 * _HOUR_MS),
    detected_at=moment_of(_RELEASED + 5 * _HOUR_MS),
    members=["acct-1", "acct-2"],
    members_total=41,
    exchanges_to_model=1234,
    evidence=Evidence(switches_seen=96, switches_expected=4.23),
    reasons=[
        "41 accounts on AS64500 switched to m-2 since 2026-02-05 20:00 UTC: 96 switches, 4.2 expected.",
        "A group at the normal limit (2×) would reach this score less than once in a trillion days.",
        "Next step: find out who is behind AS64500.",
    ],
    urls=Urls(runbook="/runbook#opened", page="/incidents/0123456789abcdef"),
)


def example_alert(**changes: Any) -> Alert:
    """A sound alert, with other values in ``data`` as asked.

    Examples
    --------
    >>> example_alert(revision=2, state="updated").type
    'io.pivotwatch.alert.updated'
    """
    return alert_of(replace(_DATA, **changes))
