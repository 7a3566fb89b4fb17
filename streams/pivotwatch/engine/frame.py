"""What the shells of all roles have in common: an app, an end in order, and an end by a fault."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from pivotwatch.base.errors import Fault
from pivotwatch.config.config import Config
from pivotwatch.engine.fetching.consumer import FetchConsumer

logger = logging.getLogger(__name__)


class Frame(ABC):
    """A shell of one role in one process.

    Parameters
    ----------
    app
        The Faust app of the role.
    config
        The configuration.

    Attributes
    ----------
    over
        Has a finite run ended for this worker?
    stop
        Ends the process with exit status 0; set by who runs it.
    """

    role: str
    stop: Callable[[], None]

    def __init__(self, app: Any, config: Config) -> None:
        self.app = app
        self.config = config
        self.over = False

    @property
    def consumer(self) -> FetchConsumer:
        """The consumer of the app."""
        consumer: FetchConsumer = self.app.consumer
        return consumer

    @abstractmethod
    def drop(self) -> None:
        """The assignment has ended."""

    def fail(self, error: BaseException) -> None:
        """End the process: from now on nothing is processed, sent or committed by this worker."""
        logger.error("this worker ends: %s", error, exc_info=None if isinstance(error, Fault) else error)
        self.drop()
        self._crash = asyncio.ensure_future(self.app.crash(error))
