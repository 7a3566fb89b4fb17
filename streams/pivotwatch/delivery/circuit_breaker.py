"""The circuit breaker of one target.

After several failures in a row the circuit opens: then only one attempt per pause may go to the target.
A pause that the target requests by ``Retry-After`` delays all attempts, even when an attempt that was
already running succeeds.
"""

from __future__ import annotations

from typing import Literal

State = Literal["closed", "open", "disabled"]


class CircuitBreaker:
    """Limits attempts to a target that is down.

    Parameters
    ----------
    pause
        Seconds between two attempts while the circuit is open.
    failures
        Number of failures in a row that opens the circuit.

    Examples
    --------
    >>> circuit = CircuitBreaker(pause=30.0, failures=2)
    >>> circuit.failed(0.0)
    >>> circuit.failed(1.0)
    >>> circuit.state
    'open'
    >>> circuit.wait(11.0), circuit.wait(31.0), circuit.wait(31.0)
    (20.0, 0.0, 30.0)
    >>> circuit.succeeded()
    >>> circuit.state, circuit.wait(32.0)
    ('closed', 0.0)
    >>> circuit.failed(40.0, retry_after=7.0)
    >>> circuit.succeeded()
    >>> circuit.wait(41.0)
    6.0
    """

    def __init__(self, pause: float, failures: int = 5) -> None:
        self.pause = pause
        self.failures = failures
        self.failed_in_row = 0
        self._not_before = float("-inf")
        self._requested_until = float("-inf")
        self._disabled = False

    @property
    def state(self) -> State:
        """``closed`` (attempts may go out), ``open`` (one attempt per pause) or ``disabled`` (none)."""
        if self._disabled:
            return "disabled"
        return "open" if self.failed_in_row >= self.failures else "closed"

    def wait(self, now: float) -> float:
        """Seconds until the next attempt may go out.

        The result 0 admits one attempt. While the circuit is open, it then blocks others for a pause.
        """
        if (wait := max(self._not_before, self._requested_until) - now) > 0:
            return wait
        if self.state == "open":
            self._not_before = now + self.pause
        return 0.0

    def failed(self, now: float, retry_after: float | None = None) -> None:
        """Record a failed attempt; ``retry_after`` is the pause in seconds that the target requested."""
        self.failed_in_row += 1
        if self.state == "open":
            self._not_before = max(self._not_before, now + self.pause)
        if retry_after is not None:
            self._requested_until = max(self._requested_until, now + retry_after)

    def succeeded(self) -> None:
        """Record a successful attempt; the circuit closes."""
        self.failed_in_row = 0
        self._not_before = float("-inf")

    def disable(self) -> None:
        """Stop all attempts: the target wants no more messages."""
        self._disabled = True
