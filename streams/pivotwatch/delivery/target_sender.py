"""The courier of one target: filter, pace, retries and circuit round its endpoint."""

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
from pivotwatch.delivery.circuit_breaker import Circuit
from pivotwatch.delivery.errors import Broken, Gone, Refused, TryLater, Undelivered
from pivotwatch.delivery.notifiers import Delivery, Notifier, Publish, make
from pivotwatch.delivery.settings import AnyTarget, DeliverySettings, read_settings

logger = logging.getLogger(__name__)

IN_HAND = 500
"""Deliveries to one target that are read and tried again; the others are bytes: it bounds the memory."""

Step = Callable[[], Awaitable[None]]
Answer = TypeVar("Answer")


class TargetSender:
    """Brings deliveries to one target; nothing it does holds up another's.

    Parameters
    ----------
    settings
        The target.
    notifier
        The way there.

    Attributes
    ----------
    counts, observe
        What became of deliveries, by outcome; and who is told with every one.
    waiting
        Deliveries that are not finished.
    hands
        Held by each delivery that is read and tried.
    """

    def __init__(self, settings: AnyTarget, notifier: Notifier) -> None:
        self.settings = settings
        self.notifier = notifier
        self.counts: Counter[str] = Counter()
        self.observe: Callable[[str, str], None] = lambda target, outcome: None
        self.waiting = 0
        self._circuit = Circuit(pause=settings.retry_most.total_seconds())
        # One that tries again later leaves its place to others meanwhile.
        self._places = asyncio.Semaphore(notifier.at_once)
        self.hands = asyncio.Semaphore(IN_HAND)
        self._next_at = 0.0
        self._last_fault = ""

    @property
    def name(self) -> str:
        """Name of the target."""
        return self.settings.name

    @property
    def state(self) -> str:
        """How the circuit stands: closed is well."""
        return self._circuit.state

    def count(self, outcome: str) -> None:
        """Count what became of a delivery or an attempt."""
        self.counts[outcome] += 1
        self.observe(self.name, outcome)

    def deadline(self) -> float:
        """Until when a delivery that comes in now is tried."""
        return time.monotonic() + self.settings.retry_budget.total_seconds()

    async def deliver(self, delivery: Delivery, deadline: float, cleared: Step, sent: Step) -> str:
        """Deliver, and try again until the deadline; returns what came back.

        Parameters
        ----------
        cleared
            Returns when the delivery is ours to make; awaited before every attempt.
        sent
            Writes it down when the target has taken it. Until that is done it keeps its place: so no
            more deliveries than there are places can be repeated after a crash.

        Raises
        ------
        Undelivered
            When it was refused, or the deadline is over.
        """
        settings = self.settings
        first = settings.retry_first.total_seconds()
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TryLater),
            wait=wait_exponential_jitter(
                multiplier=first, max=settings.retry_most.total_seconds(), jitter=first
            ),
            stop=lambda _: time.monotonic() >= deadline,
            reraise=True,
        )
        answer: str = await retrying(self._attempt, delivery, deadline, cleared, sent)
        return answer

    async def remind(self, alerts: Callable[[], Iterable[Alert]]) -> None:
        """Tell again what is open, when the target may be asked; else the next time will do."""
        async with self._places:
            told = list(alerts())
            if not told or self.state == "disabled" or self._wait(time.monotonic()) > 0:
                return
            try:
                await self._tried(self.notifier.remind(told))
                self.count("reminded")
            except TryLater:
                return  # It is counted, and makes the circuit open.
            except Undelivered as error:
                logger.error("target %s: was not told again what is open: %s", self.name, error)

    async def _attempt(self, delivery: Delivery, deadline: float, cleared: Step, sent: Step) -> str:
        async with self._places:
            await self._admitted(deadline)
            await cleared()
            answer = await self._tried(self.notifier.send(delivery))
            await sent()
        return answer

    async def _admitted(self, deadline: float) -> None:
        """Wait until the target may be asked."""
        while True:
            if self.state == "disabled":
                raise Gone("disabled by an earlier 410")
            if (wait := self._wait(now := time.monotonic())) <= 0:
                return
            if now >= deadline:
                raise TryLater(f"the target is down: {self._last_fault}")
            await asyncio.sleep(min(wait, deadline - now))

    def _wait(self, now: float) -> float:
        """Seconds until the target may be asked; 0 admits one attempt, which must be made."""
        if (wait := self._next_at - now) > 0 or (wait := self._circuit.wait(now)) > 0:
            return wait
        self._next_at = now + self.notifier.interval
        return 0.0

    async def _tried(self, attempt: Awaitable[Answer]) -> Answer:
        """Make an attempt, and learn from it how the target is."""
        try:
            answer = await attempt
        except TryLater as error:
            self._failed(error)
            raise
        except Gone:
            self._circuit.disable()
            logger.error("target %s: wants nothing more (410): disabled until a restart", self.name)
            raise
        except Refused:
            self._succeeded()  # It is there; it is the message that it does not want.
            raise
        except Exception as error:
            # Other targets go on. The text of an error may hold a secret: only its kind and place are told.
            kind, place = type(error).__name__, traceback.extract_tb(error.__traceback__)[-1]
            logger.error("target %s: %s in %s, line %s", self.name, kind, place.name, place.lineno)
            raise Broken(type(error).__name__) from None
        self._succeeded()
        return answer

    def _failed(self, error: TryLater) -> None:
        before, self._last_fault = self.state, str(error)
        self.count("failed-attempt")
        self._circuit.failed(time.monotonic(), error.after)
        if before != self.state:
            logger.warning("target %s: down: %s; %d deliveries wait", self.name, error, self.waiting)

    def _succeeded(self) -> None:
        if self.state == "open":
            logger.warning("target %s: back", self.name)
        self._circuit.succeeded()


def target_senders(
    config: Config, publish: Publish, only: Collection[str] | None = None
) -> list[TargetSender]:
    """The couriers of a configuration; ``only`` those of some targets.

    Raises
    ------
    WrongUse
        When there are none, or a secret is missing.
    """
    settings: DeliverySettings = read_settings(config.delivery)
    if not settings.targets:
        raise WrongUse("the role delivery has no targets: configure [[delivery.targets]]")
    return [
        TargetSender(target, make(target, settings.base_url, publish))
        for target in settings.targets
        if only is None or target.name in only
    ]
