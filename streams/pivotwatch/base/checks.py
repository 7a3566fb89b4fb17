"""One answer of a check of the set-up, and the worst of several."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One answer of the doctor."""

    name: str
    status: Status
    message: str
    next_step: str = ""


def worst(checks: Sequence[Check]) -> Status:
    """The gravest status.

    Examples
    --------
    >>> worst([Check("a", "ok", ""), Check("b", "warn", "")])
    'warn'
    """
    order: tuple[Status, ...] = ("ok", "warn", "fail")
    return max((check.status for check in checks), key=order.index, default="ok")
