"""The words for an incident: its states, severities and verdicts. Cheap to import."""

from __future__ import annotations

from typing import Literal, get_args

State = Literal["open", "updated", "resolved", "suppressed"]
Severity = Literal["info", "low", "medium", "high", "critical"]
Verdict = Literal["confirmed", "benign", "verified"]
"""What a person decides: it is real, it has an honest cause, or the organisation is known and trusted."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From the least to the most urgent. ``low`` is reserved: no incident has it."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
