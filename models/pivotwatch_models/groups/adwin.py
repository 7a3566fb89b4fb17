"""A second opinion on a group or a release: river's ADWIN.

The e-detector looks for a speed ratio over the normal limit. ADWIN looks for any change of level, of a
group's standardised residual u = (S − E)/√(E + 0.5) or of the population's hazard. It never raises an alert
by itself: a rise since the onset counts towards the severity.

References
----------
A. Bifet, R. Gavaldà, Learning from time-changing data with adaptive windowing, SDM (2007).
"""

from __future__ import annotations

import base64
import math
from typing import Self

from river import drift

from pivotwatch_models.method import STATE

_ADWIN, _CONTINUITY = STATE.adwin, STATE.residual.continuity


class Corroboration:
    """ADWIN (`river.drift.ADWIN`) on one series, and the last bucket in which it saw a rise.

    A group has one for its standardised residual, a release one for the population's hazard.

    Attributes
    ----------
    last_rise
        The last bucket in which it saw a rise; None before the first.

    Examples
    --------
    >>> adwin = Corroboration()
    >>> for bucket in range(60):
    ...     adwin.update(bucket, residual(seen=0 if bucket < 48 else 9, expected=0.2))
    >>> adwin.rose_since(48), adwin.rose_since(60)
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
        """Whether it saw a rise in the bucket ``onset`` or later."""
        return self.last_rise is not None and self.last_rise >= onset

    def snapshot(self) -> list[object]:
        """State, JSON-able. The window has river's own form, which is bound to river's version."""
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
        adwin = cls()
        try:
            adwin._adwin._helper.__setstate__(base64.b85decode(str(window)))
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # river's Rust part: not an Exception
                raise ValueError("the state of ADWIN is damaged: river cannot read its window") from error
            raise
        adwin._adwin._drift_detected = bool(detected)
        adwin.last_rise = last_rise  # type: ignore[assignment]  # JSON
        return adwin


def residual(seen: float, expected: float) -> float:
    """Standardised residual, (S − E)/√(E + 0.5)."""
    return (seen - expected) / math.sqrt(expected + _CONTINUITY)
