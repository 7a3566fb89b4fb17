"""What a scored bucket or a person's decision did to an incident, and why."""

from __future__ import annotations

import dataclasses
from typing import Literal

from pivotwatch_models.incidents.incident import Incident
from pivotwatch_models.incidents.terms import Severity

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
class Reported:
    """What the last alert about an incident said; ``score`` is ln R."""

    severity: Severity
    members: int
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class Transition:
    """An incident that passed into a state, and why.

    Attributes
    ----------
    before
        What the last alert about it said; None when this is the first.
    """

    incident: Incident
    reason: Reason
    before: Reported | None = None
