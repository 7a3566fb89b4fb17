"""Alerts as a DataFrame of pandas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pivotwatch.contracts.alerts import AlertData

if TYPE_CHECKING:
    from pandas import DataFrame

IN_EVIDENCE = (
    "baseline_share",
    "observed_share",
    "population_share",
    "switches_seen",
    "switches_expected",
    "first_uses_seen",
    "first_uses_expected",
    "hazard_ratio",
    "theta",
    "log_e_value",
    "threshold",
    "e_bh",
    "synchrony",
    "learning",
    "data_lag",
)
NO_PANDAS = "to_dataframe needs the package pandas: pip install 'pivotwatch[pandas]'"
TIMES = ("released_at", "onset", "detected_at")
COLUMNS = [
    *("alert_id", "revision", "state", "transition", "severity", "model", "entity_kind", "entity_id"),
    *("released_at", "release_inferred", "onset", "detected_at", "members_total", "exchanges_to_model"),
    *IN_EVIDENCE,
    *("pattern", "members", "reasons"),
]
"""The columns of the DataFrame."""


def to_dataframe(alerts: Iterable[AlertData]) -> DataFrame:
    """A DataFrame with one row per alert: its fields and those of its evidence, without series and profile.

    Raises
    ------
    ImportError
        When pandas is missing.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError(NO_PANDAS) from None
    frame = pandas.DataFrame([_row(alert) for alert in alerts], columns=COLUMNS)
    for name in TIMES:
        frame[name] = pandas.to_datetime(frame[name], utc=True)
    return frame


def _row(data: AlertData) -> list[Any]:
    evidence = data.evidence
    values = {
        "entity_kind": data.entity.kind,
        "entity_id": data.entity.id,
        "pattern": evidence.pattern and evidence.pattern.name,
        **{name: getattr(evidence, name) for name in IN_EVIDENCE},
    }
    return [values[name] if name in values else getattr(data, name) for name in COLUMNS]
