"""A worker's name in its group: of two workers of one name the later stays.

The group forgets a named member for two reasons: it was silent for longer than its session, or
another one came under its name. aiokafka joins again in both cases, so two workers of one name
would take the partitions from each other for ever. Here the earlier one ends instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Name:
    """Watches what the group says of a named member.

    Parameters
    ----------
    coordinator
        aiokafka's, of a consumer with an instance id.
    session
        Seconds of silence after which the group forgets a member.
    lost
        Called when another member has the name; nothing is joined again then.
    """

    def __init__(self, coordinator: Any, session: float, lost: Callable[[], None]) -> None:
        self._session = session
        self._lost = lost
        self._heard_at = time.monotonic()
        self._asking = 0
        self._ask, self._reset = coordinator._do_heartbeat, coordinator.reset_generation
        coordinator._do_heartbeat, coordinator.reset_generation = self._heartbeat, self._forget

    async def _heartbeat(self) -> bool:
        self._asking += 1
        # The session runs from when we were heard: an answer may lie unread for as long as we stood still.
        asked_at = time.monotonic()
        try:
            member: bool = await self._ask()
        finally:
            self._asking -= 1
        if member:
            self._heard_at = max(self._heard_at, asked_at)
        return member

    def _forget(self) -> None:
        """The answer to a heartbeat was that we are unknown."""
        if self._asking and time.monotonic() - self._heard_at < self._session:
            self._lost()
        else:
            self._reset()
