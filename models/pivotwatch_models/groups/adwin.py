"""A second opinion on a group: river's ADWIN on the standardised residual.

The e-detector looks for a hazard ratio; ADWIN looks for any change of level of
u = (S − E)/√(E + 0.5). It never raises an alert by itself. That it saw an upward change since the
onset counts towards the severity.

References
----------
A. Bifet, R. Gavaldà, Learning from time-changing data with adaptive windowing (2007).
"""

from __future__ import annotations

import base64
import math
from typing import Self

from river import drift

from pivotwatch_models.method import STATE

_ADWIN, _CONTINUITY = STATE.adwin, STATE.residual.continuity


class Corroboration:
    """ADWIN (`river.drift.ADWIN`) on one series, and when it last saw a rise.

    It serves a group (on its standardised residual) and a release (on the population's hazard: the surge
    of a launch).

    Examples
    --------
    >>> second = Corroboration()
    >>> for bucket in range(60):
    ...     second.update(bucket, residual(seen=0 if bucket < 48 else 9, expected=0.2))
    >>> second.rose_since(48), second.rose_since(60)
    (True, False)
    """

    def __init__(self) -> None:
        self._adwin = drift.ADWIN(delta=_ADWIN.delta, clock=_ADWIN.clock)
        self.last_rise: int | None = None

    def update(self, bucket: int, x: float) -> None:
        """Take the value of one bucket."""
        before = self._adwin.estimation
        self._adwin.update(x)
        if self._adwin.drift_detected and self._adwin.estimation > before:
            self.last_rise = bucket

    def rose_since(self, onset: int) -> bool:
        """Has an upward change been seen in the bucket ``onset`` or later?"""
        return self.last_rise is not None and self.last_rise >= onset

    def snapshot(self) -> list[object]:
        """Compact state, JSON-able. The window is river's own and bound to its version."""
        window = base64.b85encode(self._adwin._helper.__getstate__()).decode()
        return [window, self._adwin.drift_detected, self.last_rise]

    @classmethod
    def restored(cls, state: list[object]) -> Self:
        """A detector that continues exactly where `snapshot` was taken.

        Raises
        ------
        ValueError
            When river cannot read the window.
        """
        window, detected, last_rise = state
        second = cls()
        try:
            second._adwin._helper.__setstate__(base64.b85decode(str(window)))
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # river's Rust part: not an Exception
                raise ValueError("the state of ADWIN is damaged: river cannot read its window") from error
            raise
        second._adwin._drift_detected = bool(detected)
        second.last_rise = last_rise  # type: ignore[assignment]  # JSON
        return second


def residual(seen: float, expected: float) -> float:
    """U = (S − E)/√(E + 0.5)."""
    return (seen - expected) / math.sqrt(expected + _CONTINUITY)
