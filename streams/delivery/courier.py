"""The courier of one target: filter, pace, retries and circuit round its endpoint."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential_jitter

from streams.config import Config
from streams.delivery.circuit import Circuit
from streams.delivery.endpoints import Delivery, Endpoint, Publish, make
from streams.delivery.outcomes import Gone, Refused, TryLater
from streams.delivery.settings import AnyTarget, DeliverySettings, read_settings
from streams.errors import WrongUse
from streams.sinks.message import JsonAlert

logger = logging.getLogger(__name__)

Step = Callable[[], Awaitable[None]]


class Courier:
    """Brings deliveries to one target; nothing it does holds up another's.

    Parameters
    ----------
    settings
        The target.
    endpoint
        The way there.

    Attributes
    ----------
    counts, observe
        What became of deliveries, by outcome; and who is told with every one.
    waiting
        Deliveries that are not finished.
    """

    def __init__(self, settings: AnyTarget, endpoint: Endpoint) -> None:
        self.settings = settings
        self.endpoint = endpoint
        self.counts: Counter[str] = Counter()
        self.observe: Callable[[str, str], None] = lambda target, outcome: None
        self.waiting = 0
        self._circuit = Circuit(pause=settings.retry_most.total_seconds())
        # One that tries again later leaves its place to others meanwhile.
        self._places = asyncio.Semaphore(endpoint.at_once)
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

    async def remind(self, alerts: Callable[[], Iterable[JsonAlert]]) -> None:
        """Tell again what is open, unless the target is down: then the next time will do."""
        async with self._places:
            told = list(alerts())
            if not told or self.state != "closed":
                return
            try:
                await self.endpoint.remind(told)
            except TryLater as error:
                self._failed(error)
            except Refused as error:
                logger.error("target %s: refused to be told again: %s", self.name, error)
            else:
                self.counts["reminded"] += len(told)
                self._circuit.succeeded()

    async def _attempt(self, delivery: Delivery, deadline: float, cleared: Step, sent: Step) -> str:
        async with self._places:
            await self._admitted(deadline)
            await cleared()
            try:
                answer = await self.endpoint.send(delivery)
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
            await sent()
        self._succeeded()
        return answer

    async def _admitted(self, deadline: float) -> None:
        """Wait until the target may be asked."""
        if self.state == "disabled":
            raise Gone("disabled by an earlier 410")
        while (wait := max(self._circuit.wait(now := time.monotonic()), self._next_at - now)) > 0:
            if now >= deadline:
                raise TryLater(f"the target is down: {self._last_fault}")
            await asyncio.sleep(min(wait, deadline - now))
        self._next_at = time.monotonic() + self.endpoint.interval

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


def couriers(config: Config, publish: Publish) -> list[Courier]:
    """The couriers of a configuration.

    Raises
    ------
    WrongUse
        When there are none, or a secret is missing.
    """
    settings: DeliverySettings = read_settings(config.delivery)
    if not settings.targets:
        raise WrongUse("the role delivery has no targets: configure [[delivery.targets]]")
    return [Courier(target, make(target, settings.base_url, publish)) for target in settings.targets]
