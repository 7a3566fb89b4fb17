"""Named members of a consumer group: of two workers with one name, the later one continues.

The group removes a named member for two reasons: it was silent for longer than its session, or another
member joined under its name. aiokafka joins again in both cases, so two workers with one name would take the
partitions from each other forever. Here the earlier one ends instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiokafka.errors import GroupCoordinatorNotAvailableError, UnknownMemberIdError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest


class NamedMember:
    """Watches the answers of the group to a named member.

    Parameters
    ----------
    coordinator
        The coordinator of an aiokafka consumer with an instance id.
    session
        Seconds of silence after which the group removes a member.
    lost
        Called when another member has taken over the name. This member then does not join again.
    """

    def __init__(self, coordinator: Any, session: float, lost: Callable[[], None]) -> None:
        self._coordinator = coordinator
        self._session = session
        self._lost = lost
        self._heard_at = time.monotonic()
        self._send = coordinator._send_req
        coordinator._send_req = self._ask

    async def _ask(self, request: Any) -> Any:
        # The session starts at the request: a stopped process may read its answer much later.
        asked_at, member = time.monotonic(), self._coordinator.member_id
        response = await self._send(request)
        errors = _errors(request, response)
        if errors == {0}:
            self._heard_at = max(self._heard_at, asked_at)
        elif UnknownMemberIdError.errno in errors and self._has_taken_over(member):
            self._lost()
            # aiokafka would join again; this error only makes it repeat the request.
            raise GroupCoordinatorNotAvailableError
        return response

    def _has_taken_over(self, member: str) -> bool:
        """Whether another member has taken over the name, given that the group no longer knows this one."""
        is_current = bool(member) and member == self._coordinator.member_id
        return is_current and time.monotonic() - self._heard_at < self._session


def _errors(request: Any, response: Any) -> set[int]:
    """The error codes in an answer of the group to a member; 0 means no error."""
    if isinstance(request, OffsetCommitRequest):
        return {code for _, partitions in response.topics for _, code in partitions}
    return {response.error_code} if isinstance(request, (HeartbeatRequest, SyncGroupRequest)) else set()
