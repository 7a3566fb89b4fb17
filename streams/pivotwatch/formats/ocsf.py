"""OCSF Detection Finding (class 2004), for a SIEM.

Version 1.5.0 is the first with ``anomaly_analyses``, which hold the expected value beside the observed one.
"""

from __future__ import annotations

import ipaddress
from datetime import datetime
from typing import Any

from pivotwatch.base.outside_text import visible
from pivotwatch.contracts.alerts import Alert, AlertData
from pivotwatch.formats.readable import readable
from pivotwatch.formats.summary import figures, links, parts_of, summary, title_of

VERSION = "1.5.0"
CATEGORY = 2
CLASS = 2004
OTHER = 99

CREATE, UPDATE, CLOSE = 1, 2, 3
ACTIVITIES = {"open": CREATE, "updated": UPDATE, "resolved": CLOSE, "suppressed": CLOSE}
ACTIVITY_NAMES = {CREATE: "Create", UPDATE: "Update", CLOSE: "Close"}
STATUSES = {
    "open": (1, "New"),
    "updated": (2, "In Progress"),
    "resolved": (4, "Resolved"),
    "suppressed": (3, "Suppressed"),
}
SEVERITIES = {
    "info": (1, "Informational"),
    "low": (2, "Low"),
    "medium": (3, "Medium"),
    "high": (4, "High"),
    "critical": (5, "Critical"),
}
IP_ADDRESS, SUBNET, ACCOUNT = (2, "IP Address"), (12, "Subnet"), (35, "Account Object: uid")
LEARNING = (4, "Learning (ML/DL)")


def render(alert: Alert, base_url: str | None = None, *, new: bool = False) -> dict[str, Any]:
    """The finding; every revision of an incident has the same ``finding_info.uid``.

    An incident that opens again is an update of its finding, which is in progress again.

    Parameters
    ----------
    new
        Whether the receiver gets this incident for the first time, at any revision: the finding is created,
        not updated.
    """
    alert = readable(alert, visible)
    data = alert.data
    state = "open" if new else data.state
    activity = ACTIVITIES[state]
    status_id, status = STATUSES[state]
    severity_id, severity = SEVERITIES[data.severity]
    finding: dict[str, Any] = {
        "activity_id": activity,
        "activity_name": ACTIVITY_NAMES[activity],
        "category_uid": CATEGORY,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity,
        "type_name": f"Detection Finding: {ACTIVITY_NAMES[activity]}",
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "time": _millis(data.detected_at),
        "start_time": _millis(data.onset),
        "message": summary(data),
        "metadata": _metadata(alert),
        "finding_info": _info(alert, base_url),
        "observables": _observables(data),
        "anomaly_analyses": [analysis] if (analysis := _analysis(data)) else [],
        "unmapped": {
            "evidence": figures(alert),
            "groups": [{"kind": group.kind, "id": group.id} for group in data.groups],
            "groups_total": data.group_count,
            "members_total": data.members_total,
        },
    }
    if next_step := parts_of(data).next_step:
        finding["remediation"] = {"desc": next_step}
    if data.transition:
        finding["status_detail"] = data.transition
    if data.is_closed:
        finding["end_time"] = _millis(data.detected_at)
    return finding


def _metadata(alert: Alert) -> dict[str, Any]:
    return {
        "version": VERSION,
        "uid": alert.id,
        "correlation_uid": alert.data.alert_id,
        "sequence": alert.data.revision,
        "product": {"name": "pivotwatch", "vendor_name": "pivotwatch"},
    }


def _info(alert: Alert, base_url: str | None) -> dict[str, Any]:
    data = alert.data
    info: dict[str, Any] = {
        "uid": data.alert_id,
        "title": title_of(data),
        "desc": "\n".join(data.reasons),
        "types": ["Model adoption anomaly"],
        "first_seen_time": _millis(data.onset),
        "last_seen_time": _millis(data.detected_at),
        "analytic": {
            "name": "Group e-detector on the adoption of a model",
            "uid": "pivotwatch/model-adoption",
            "type_id": LEARNING[0],
            "type": LEARNING[1],
        },
    }
    if page := links(alert, base_url).get("page"):
        info["src_url"] = page
    return info


def _observables(data: AlertData) -> list[dict[str, Any]]:
    """Networks, other groups and accounts that a person may look up."""
    seen = {(group.kind, group.id): None for group in [data.entity, *data.groups]}
    groups = [_observable(kind, name) for kind, name in seen]
    return [
        *groups,
        *(_observable("account", member) for member in data.members if ("account", member) not in seen),
    ]


def _observable(kind: str, name: str) -> dict[str, Any]:
    type_id, type_name = _type(kind, name)
    return {"name": f"data.{kind}", "type_id": type_id, "type": type_name, "value": name}


def _type(kind: str, name: str) -> tuple[int, str]:
    """OCSF's type of a group or account.

    Examples
    --------
    >>> _type("network", "203.0.113.0/24"), _type("network", "AS64500"), _type("account", "a-1")
    ((12, 'Subnet'), (99, 'Autonomous System'), (35, 'Account Object: uid'))
    """
    if kind == "account":
        return ACCOUNT
    if kind != "network":
        return OTHER, kind
    try:
        network = ipaddress.ip_network(name, strict=False)
    except ValueError:
        return OTHER, "Autonomous System"
    return SUBNET if "/" in name else (IP_ADDRESS if network.num_addresses == 1 else SUBNET)


def _analysis(data: AlertData) -> dict[str, Any] | None:
    """Observed values, each with the expected one; None when there is nothing to compare."""
    e = data.evidence
    comparisons = (
        (e.observed_share, e.population_share, "share of requests to the model", "Distribution Analysis"),
        (e.switches_seen, e.switches_expected, "switches to the model", "Frequency Analysis"),
        (e.first_uses_seen, e.first_uses_expected, "first uses of the model", "Frequency Analysis"),
        (
            e.synchrony,
            e.population_synchrony,
            "largest share that started within 3 hours",
            "Time Pattern Analysis",
        ),
    )
    anomalies: list[dict[str, Any]] = []
    baselines: list[dict[str, Any]] = []
    for seen, expected, parameter, method in comparisons:
        for value, found in ((seen, anomalies), (expected, baselines)):
            if value is not None:
                found.append(
                    {
                        "observation_parameter": parameter,
                        "observation_type": method,
                        "observations": [{"value": f"{value:g}"}],
                    }
                )
    if not anomalies:
        return None
    analysis = {
        "analysis_targets": [{"name": data.entity.id, "type": data.entity.kind}],
        "anomalies": anomalies,
        "baselines": baselines,
    }
    return {name: part for name, part in analysis.items() if part}


def _millis(when: datetime) -> int:
    return round(when.timestamp() * 1000)
