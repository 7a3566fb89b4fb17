"""Results of the checks that `pivotwatch doctor` runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes
    ----------
    name
        What was checked, such as ``broker``.
    message
        What the check found.
    next_step
        What a person can do about it; empty when nothing is to be done.
    """

    name: str
    status: Status
    message: str
    next_step: str = ""


def worst(checks: Sequence[Check]) -> Status:
    """Return the worst status of some checks, ``ok`` when there are none.

    Examples
    --------
    >>> worst([Check("a", "ok", ""), Check("b", "warn", "")])
    'warn'
    """
    order: tuple[Status, ...] = ("ok", "warn", "fail")
    return max((check.status for check in checks), key=order.index, default="ok")
