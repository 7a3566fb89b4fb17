"""The sender of one target: rate limit, retries and circuit breaker around its notifier."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential_jitter

from pivotwatch.base.errors import WrongUse
from pivotwatch.config.config import Config
from pivotwatch.contracts.alerts import Alert
from pivotwatch.delivery.circuit_breaker import CircuitBreaker
from pivotwatch.delivery.errors import DeliveryError, Rejected, RetryLater, TargetGone, UnexpectedFailure
from pivotwatch.delivery.notifier import Delivery, Notifier, Publish
from pivotwatch.delivery.notifiers import make_notifier
from pivotwatch.delivery.settings import AnyTarget, read_settings

logger = logging.getLogger(__name__)

MAX_ACTIVE = 500
"""Deliveries to one target that are decoded and retried at once. All others stay bytes, to save memory."""

Hook = Callable[[], Awaitable[None]]
R = TypeVar("R")


async def _nothing() -> None:
    """The hook that does nothing."""


class TargetSender:
    """Sends deliveries to one target, independently of other targets.

    Parameters
    ----------
    settings
        The settings of the target.
    notifier
        Sends one message to the target.

    Attributes
    ----------
    counts
        Number of deliveries and attempts by outcome.
    observe
        Called with the name of the target and each outcome.
    waiting
        Number of unfinished deliveries.
    active
        Semaphore that limits the deliveries that are decoded and retried.
    """

    def __init__(self, settings: AnyTarget, notifier: Notifier) -> None:
        self.settings = settings
        self.notifier = notifier
        self.counts: Counter[str] = Counter()
        self.observe: Callable[[str, str], None] = lambda target, outcome: None
        self.waiting = 0
        self.active = asyncio.Semaphore(MAX_ACTIVE)
        # A delivery that waits for its next attempt does not hold this semaphore.
        self._attempts = asyncio.Semaphore(notifier.max_concurrent)
        self._circuit = CircuitBreaker(pause=settings.retry_most.total_seconds())
        self._next_at = 0.0
        self._last_error = ""

    @property
    def name(self) -> str:
        """Name of the target."""
        return self.settings.name

    @property
    def state(self) -> str:
        """State of the circuit breaker."""
        return self._circuit.state

    def count(self, outcome: str) -> None:
        """Count the outcome of a delivery or an attempt."""
        self.counts[outcome] += 1
        self.observe(self.name, outcome)

    def deadline(self) -> float:
        """Monotonic time until which a delivery that arrives now is tried, in seconds."""
        return time.monotonic() + self.settings.retry_budget.total_seconds()

    async def deliver(
        self,
        delivery: Delivery,
        deadline: float,
        *,
        before_attempt: Hook = _nothing,
        on_accepted: Hook = _nothing,
    ) -> str:
        """Deliver an alert, with retries until the deadline; returns the answer of the target.

        Parameters
        ----------
        before_attempt
            Awaited before every attempt.
        on_accepted
            Awaited when the target has accepted the message, before the next attempt may start. So after
            a crash at most ``max_concurrent`` deliveries are repeated.

        Raises
        ------
        DeliveryError
            When the target rejects the message, or the deadline is over.
        """
        first = self.settings.retry_first.total_seconds()
        most = self.settings.retry_most.total_seconds()
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(RetryLater),
            wait=wait_exponential_jitter(multiplier=first, max=most, jitter=first),
            stop=lambda _: time.monotonic() >= deadline,
            reraise=True,
        )

        async def attempt() -> str:
            async with self._attempts:
                await self._wait_for_turn(deadline)
                await before_attempt()
                answer = await self._attempt(self.notifier.send(delivery))
                await on_accepted()
            return answer

        answer: str = await retrying(attempt)
        return answer

    async def resend(self, alerts: Callable[[], Iterable[Alert]]) -> None:
        """Send open alerts again, if the target may be asked now; otherwise the next call does it."""
        async with self._attempts:
            open_alerts = list(alerts())
            if not open_alerts or self.state == "disabled" or self._wait(time.monotonic()) > 0:
                return
            try:
                await self._attempt(self.notifier.resend(open_alerts))
                self.count("resent")
            except RetryLater:
                return  # `_attempt` has counted it.
            except DeliveryError as error:
                logger.error("target %s: open alerts were not sent again: %s", self.name, error)

    async def _wait_for_turn(self, deadline: float) -> None:
        """Wait until rate limit and circuit breaker admit an attempt."""
        while True:
            if self.state == "disabled":
                raise TargetGone("disabled after status 410")
            if (wait := self._wait(now := time.monotonic())) <= 0:
                return
            if now >= deadline:
                raise RetryLater(f"the target is down: {self._last_error}")
            await asyncio.sleep(min(wait, deadline - now))

    def _wait(self, now: float) -> float:
        """Seconds until the next attempt may start; the result 0 admits one attempt."""
        if (wait := self._next_at - now) > 0 or (wait := self._circuit.wait(now)) > 0:
            return wait
        self._next_at = now + self.notifier.interval
        return 0.0

    async def _attempt(self, request: Awaitable[R]) -> R:
        """Await a request, and update the circuit breaker with its result."""
        try:
            answer = await request
        except RetryLater as error:
            self._failed(error)
            raise
        except TargetGone:
            self._circuit.disable()
            logger.error("target %s: status 410: no more alerts are sent until a restart", self.name)
            raise
        except Rejected:
            self._succeeded()  # The target works; it rejects this message.
            raise
        except Exception as error:
            # The message of the error may hold a secret, so only its type and place are logged.
            kind, place = type(error).__name__, traceback.extract_tb(error.__traceback__)[-1]
            logger.error("target %s: %s in %s, line %s", self.name, kind, place.name, place.lineno)
            raise UnexpectedFailure(kind) from None
        self._succeeded()
        return answer

    def _failed(self, error: RetryLater) -> None:
        before, self._last_error = self.state, str(error)
        self.count("failed-attempt")
        self._circuit.failed(time.monotonic(), error.retry_after)
        if before != self.state:
            logger.warning("target %s is down: %s; %d deliveries wait", self.name, error, self.waiting)

    def _succeeded(self) -> None:
        if self.state == "open":
            logger.warning("target %s is up again", self.name)
        self._circuit.succeeded()


def make_target_senders(
    config: Config, publish: Publish, only: Collection[str] | None = None
) -> list[TargetSender]:
    """Make the senders of the configured targets, or of some of them.

    Parameters
    ----------
    publish
        Sends a record to a topic.
    only
        Names of targets; None makes the senders of all targets.

    Raises
    ------
    WrongUse
        When no target is configured, or a secret is missing.
    """
    settings = read_settings(config.delivery)
    if not settings.targets:
        raise WrongUse("the role delivery has no targets: configure [[delivery.targets]]")
    return [
        TargetSender(target, make_notifier(target, settings.base_url, publish))
        for target in settings.targets
        if only is None or target.name in only
    ]
