"""A worker's name in its group: of two workers of one name the later stays.

The group forgets a named member for two reasons: it was silent for longer than its session, or
another one came under its name. aiokafka joins again in both cases, so two workers of one name
would take the partitions from each other for ever. Here the earlier one ends instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiokafka.errors import GroupCoordinatorNotAvailableError, UnknownMemberIdError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest


class Name:
    """Watches what the group answers to a named member.

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
        self._coordinator = coordinator
        self._session = session
        self._lost = lost
        self._heard_at = time.monotonic()
        self._send = coordinator._send_req
        coordinator._send_req = self._ask

    async def _ask(self, request: Any) -> Any:
        # The session runs from when we were heard: an answer may lie unread for as long as we stood still.
        asked_at, member = time.monotonic(), self._coordinator.member_id
        response = await self._send(request)
        errors = _errors(request, response)
        if errors == {0}:
            self._heard_at = max(self._heard_at, asked_at)
        elif UnknownMemberIdError.errno in errors and self._has_taken_over(member):
            self._lost()
            # aiokafka would join again; this error only makes it ask once more.
            raise GroupCoordinatorNotAvailableError
        return response

    def _has_taken_over(self, member: str) -> bool:
        """The group does not know us: has another member our name?"""
        is_current = bool(member) and member == self._coordinator.member_id
        return is_current and time.monotonic() - self._heard_at < self._session


def _errors(request: Any, response: Any) -> set[int]:
    """The error codes with which the group answers a member, 0 for none."""
    if isinstance(request, OffsetCommitRequest):
        return {code for _, partitions in response.topics for _, code in partitions}
    return {response.error_code} if isinstance(request, (HeartbeatRequest, SyncGroupRequest)) else set()
