"""An alert whose texts are safe to show: every renderer begins with it, so none can forget a field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pivotwatch.contracts.alerts import Alert, AlertData

FIXED = frozenset({"alert_id", "dedup_key", "state", "severity", "urls"})
"""Fields that the contract restricts, and the addresses, which `pivotwatch.formats.summary.links` checks."""


def readable(alert: Alert, show: Callable[[str], str]) -> Alert:
    r"""A copy of an alert with every text from outside as ``show`` writes it.

    Parameters
    ----------
    show
        A function of `pivotwatch.base.outside_text` for one text.

    Examples
    --------
    >>> from pivotwatch.base.outside_text import visible
    >>> from pivotwatch.contracts.examples import example_alert
    >>> print(readable(example_alert(model="m\u202e2"), visible).data.model)
    m\u202e2
    """
    return replace(alert, data=readable_data(alert.data, show), source=show(alert.source))


def readable_data(data: AlertData, show: Callable[[str], str]) -> AlertData:
    """The same for the state of an incident."""
    texts = {name: _shown(getattr(data, name), show) for name in data.__struct_fields__ if name not in FIXED}
    return replace(data, dedup_key=show(data.dedup_key), **texts)


def _shown(value: Any, show: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return show(value)
    if isinstance(value, list):
        return [_shown(one, show) for one in value]
    if isinstance(value, Struct):
        return replace(
            value, **{name: _shown(getattr(value, name), show) for name in value.__struct_fields__}
        )
    return value
