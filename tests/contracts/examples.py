"""Example alerts for tests."""

from __future__ import annotations

import copy
from typing import Any

import orjson

from pivotwatch.contracts.alerts import TYPES
from pivotwatch_models.incidents.terms import State

FULL: dict[str, Any] = {
    "alert_id": "0123456789abcdef",
    "revision": 2,
    "dedup_key": "m-2/network/AS64500",
    "state": "updated",
    "severity": "critical",
    "model": "m-2",
    "entity": {"kind": "network", "id": "AS64500"},
    "groups": [
        {"kind": "network", "id": "AS64500"},
        {"kind": "payment", "id": "pay-77"},
        {"kind": "signup", "id": "2026-02-01T10"},
    ],
    "groups_total": 3,
    "merged_into": None,
    "released_at": "2026-02-05T18:00:00Z",
    "release_inferred": False,
    "onset": "2026-02-05T20:00:00Z",
    "detected_at": "2026-02-06T01:00:00Z",
    "members": [f"acct-{number:05d}" for number in range(100)],
    "members_total": 412,
    "exchanges_to_model": 10234,
    "transition": "members-doubled",
    "evidence": {
        "baseline_share": 0.0,
        "observed_share": 0.482,
        "population_share": 0.0312,
        "switches_seen": 96,
        "switches_expected": 4.23,
        "first_uses_seen": 120,
        "first_uses_expected": 22.1,
        "hazard_ratio": 21.3,
        "log_e_value": 31.42,
        "log_e_pace": 31.6,
        "log_e_split": 12.4,
        "pattern": {
            "name": "extraction",
            "judged": 180,
            "split": {"sign": "extraction", "part": 0.94, "others_part": 0.31, "whole": 0.02},
            "sizes": {"sign": "extraction", "ratio": 0.2},
            "hours": {"sign": None, "quiet_share": 0.33},
        },
        "threshold": 14.69,
        "e_bh": True,
        "theta": 3.0,
        "synchrony": 0.61,
        "population_synchrony": 0.12,
        "corroboration": {
            "adwin": True,
            "shared_members": True,
            "young_share": 0.55,
            "network_class": "hosting",
        },
        "findings": [{"account": "acct-00001", "since": "2026-02-05T21:00:00Z", "residual": 0.41}],
        "findings_total": 1,
        "verdict": None,
        "data_lag": True,
        "learning": True,
        "profile": {
            "to_model": {
                "exchanges": 1840,
                "tools_share": 0.9,
                "input_tokens": 810.0,
                "output_tokens": 2600.5,
            },
            "to_other_models": None,
            "before": None,
            "population": {"exchanges": 9, "tools_share": 0.1, "input_tokens": 400.0, "output_tokens": 300.0},
        },
        "series": {
            "group": {"kind": "network", "id": "AS64500"},
            "start": "2026-02-05T18:00:00Z",
            "bucket_ms": 3600000,
            "at": [0, 2, 3],
            "until": [2, 3, 4],
            "share": [0.0, 0.25, 0.5],
            "others_share": [0.0, None, 0.02],
            "seen": [0, 40, 56],
            "expected": [0.4, 1.9, 1.9],
            "low": [0, 0, 0],
            "high": [4, 11, 11],
        },
    },
    "reasons": [
        "412 accounts on AS64500 switched to m-2 since 2026-02-05 20:00 UTC, 2 hours after its release.",
        "A group at the normal limit (2×) would reach this score less than once in 910 billion days.",
        "Next step: find out who is behind AS64500, then decide: confirmed, benign or verified.",
        "Severity rose from high to critical.",
        "Details: score 31.4 (ln e-value; speed 31.6, equal split 12.4), alert threshold 14.7.",
        "Counter-evidence: events of this group arrived late, so part of the change may be a delivery delay.",
    ],
    "urls": {"runbook": "https://wiki.example/runbooks/pivot", "page": "http://127.0.0.1:6066/a/0123"},
}


def alert_bytes(**changes: Any) -> bytes:
    """An alert with every field, with the given changes, as bytes."""
    data = {**copy.deepcopy(FULL), **changes}
    state: State = data["state"]
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": f"{data['alert_id']}.{data['revision']}",
            "source": "/pivotwatch",
            "type": TYPES[state],
            "time": data["detected_at"],
            "datacontenttype": "application/json",
            "data": data,
        }
    )
