"""The circuit of one target: after failures in a row it opens, and lets one attempt through at a time.

What the target asks for by ``Retry-After`` holds for all that wait for it, also when an attempt that
was under way meanwhile does well.
"""

from __future__ import annotations

from typing import Literal

State = Literal["closed", "open", "disabled"]


class Circuit:
    """Keeps a target that is down from being asked by every delivery that waits for it.

    Parameters
    ----------
    pause
        Seconds between two attempts while open.
    failures
        So many in a row open it.

    Examples
    --------
    >>> circuit = Circuit(pause=30.0, failures=2)
    >>> circuit.failed(0.0)
    >>> circuit.failed(1.0)
    >>> circuit.state
    'open'
    >>> circuit.wait(11.0), circuit.wait(31.0), circuit.wait(31.0)
    (20.0, 0.0, 30.0)
    >>> circuit.succeeded()
    >>> circuit.state, circuit.wait(32.0)
    ('closed', 0.0)
    >>> circuit.failed(40.0, after=7.0)
    >>> circuit.succeeded()
    >>> circuit.wait(41.0)
    6.0
    """

    def __init__(self, pause: float, failures: int = 5) -> None:
        self.pause = pause
        self.failures = failures
        self.failed_in_row = 0
        self._not_before = float("-inf")
        self._asked_until = float("-inf")
        self._disabled = False

    @property
    def state(self) -> State:
        """How it stands."""
        if self._disabled:
            return "disabled"
        return "open" if self.failed_in_row >= self.failures else "closed"

    def wait(self, now: float) -> float:
        """Seconds until an attempt may be made; 0 admits one, and while open no other for a pause."""
        if (wait := max(self._not_before, self._asked_until) - now) > 0:
            return wait
        if self.state == "open":
            self._not_before = now + self.pause
        return 0.0

    def failed(self, now: float, after: float | None = None) -> None:
        """An attempt failed; ``after`` so many seconds the target wants to be asked again."""
        self.failed_in_row += 1
        if self.state == "open":
            self._not_before = max(self._not_before, now + self.pause)
        if after is not None:
            self._asked_until = max(self._asked_until, now + after)

    def succeeded(self) -> None:
        """An attempt did well."""
        self.failed_in_row = 0
        self._not_before = float("-inf")

    def disable(self) -> None:
        """The target wants nothing more."""
        self._disabled = True
