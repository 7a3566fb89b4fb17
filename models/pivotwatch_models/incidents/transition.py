"""What a scored bucket or a person's decision did to an incident, and why."""

from __future__ import annotations

import dataclasses
from typing import Literal

from pivotwatch_models.incidents.incident import Incident

Reason = Literal[
    "opened",
    "reopened",
    "merged",
    "evidence-grew",
    "members-doubled",
    "severity-rose",
    "confirmed",
    "quiet",
    "watch-ended",
    "benign",
    "verified",
]
"""Why an alert is sent."""


@dataclasses.dataclass(frozen=True, slots=True)
class Transition:
    """An incident that passed into a state, and why."""

    incident: Incident
    reason: Reason
