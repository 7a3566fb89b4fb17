"""Logs and counts log-ins. No line holds a token."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import orjson

from pivotwatch.base.outside_text import visible_json

logger = logging.getLogger(__name__)

Method = Literal["token", "bearer", "proxy", "oidc"]
AGAIN_SECONDS = 3600.0
MOST_KNOWN = 10_000
LINE = "login outcome=%s method=%s name=%s address=%s%s"
"""One text for all, so that the limit of the log takes all refusals as one cause."""


class LoginLog:
    """Writes a line for each log-in, accepted or refused, and counts it.

    Programs and proxies authenticate with every request. Those of one name and address are logged once an
    hour. Refusals are warnings, of which the log holds one a second.

    Parameters
    ----------
    count
        Counts a method and an outcome.
    clock
        Seconds of a monotonic clock.
    """

    def __init__(
        self, count: Callable[[str, str], None] = lambda *_: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._count, self._clock = count, clock
        self._known: OrderedDict[tuple[str, str, str | None], float] = OrderedDict()

    def accepted(self, method: Method, name: str, address: str | None) -> None:
        """Somebody logged in."""
        self._count(method, "accepted")
        logger.info(LINE, "accepted", method, _quoted(name), address, "")

    def seen(self, method: Method, name: str, address: str | None) -> None:
        """A request that brought its own authentication."""
        key, at = (method, name, address), self._clock()
        if at < self._known.get(key, float("-inf")) + AGAIN_SECONDS:
            return
        self._known[key] = at
        self._known.move_to_end(key)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        self.accepted(method, name, address)

    def refused(self, method: Method, address: str | None, reason: str, name: str = "") -> None:
        """Somebody was refused; ``name`` is empty when unknown."""
        self._count(method, "refused")
        logger.warning(LINE, "refused", method, _quoted(name), address, f" reason={_quoted(reason)}")

    def ended(self, name: str, by: str, address: str | None, *, everywhere: bool) -> None:
        """A session ended before its time, or all of a person."""
        scope = "all" if everywhere else "one"
        logger.info("logout scope=%s name=%s by=%s address=%s", scope, _quoted(name), _quoted(by), address)


def _quoted(text: str) -> str:
    """A text as JSON, so that it cannot pretend to be another field or line."""
    return visible_json(orjson.dumps(text)).decode()
