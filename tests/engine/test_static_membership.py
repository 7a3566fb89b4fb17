"""Static membership: when a worker joins its group again, and when it gives way to another of its name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest

from pivotwatch.engine.fetching import static_membership

SESSION = 10.0
FINE, ILLEGAL_GENERATION, UNKNOWN_MEMBER = 0, 22, 25


class Coordinator:
    """A coordinator that answers with an error code; ``meanwhile`` runs before the answer is read."""

    def __init__(self) -> None:
        self.member_id = "w1-a"
        self.code = FINE
        self.meanwhile: Callable[[], None] = lambda: None

    async def _send_req(self, request: Any) -> Any:
        await asyncio.sleep(0)
        self.meanwhile()
        if isinstance(request, OffsetCommitRequest):
            return SimpleNamespace(topics=[("t", [(0, self.code), (1, self.code)])])
        return SimpleNamespace(error_code=self.code)


class Case:
    """A named member with a manual clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lost = 0
        self.coordinator = Coordinator()

    def monotonic(self) -> float:
        return self.now

    def give_way(self) -> None:
        self.lost += 1

    def heartbeat(self, code: int = FINE) -> None:
        self.ask(HeartbeatRequest("g", 1, self.coordinator.member_id), code)

    def commit(self, code: int = FINE) -> None:
        self.ask(OffsetCommitRequest("g", 1, self.coordinator.member_id, -1, []), code)

    def ask(self, request: Any, code: int) -> None:
        self.coordinator.code = code
        asyncio.run(self.coordinator._send_req(request))


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> Case:
    case = Case()
    monkeypatch.setattr(static_membership, "time", case)
    static_membership.NamedMember(case.coordinator, SESSION, case.give_way)
    return case


@pytest.mark.parametrize("ask", [Case.heartbeat, Case.commit])
def test_it_gives_way_to_another_of_the_same_name(case: Case, ask: Callable[[Case, int], None]) -> None:
    case.heartbeat()
    case.now += SESSION / 2
    with pytest.raises(GroupCoordinatorNotAvailableError):
        ask(case, UNKNOWN_MEMBER)
    assert case.lost == 1


@pytest.mark.parametrize("ask", [Case.heartbeat, Case.commit])
def test_it_joins_again_after_a_long_silence(case: Case, ask: Callable[[Case, int], None]) -> None:
    case.heartbeat()
    case.now += SESSION
    ask(case, UNKNOWN_MEMBER)
    assert not case.lost


def test_a_commit_counts_like_a_heartbeat(case: Case) -> None:
    case.now += SESSION / 2
    case.commit()
    case.now += SESSION / 2
    with pytest.raises(GroupCoordinatorNotAvailableError):
        case.heartbeat(UNKNOWN_MEMBER)
    assert case.lost == 1


def test_an_answer_that_is_read_late_does_not_extend_the_session(case: Case) -> None:
    """The process was paused between the request and the answer, then it sends another request."""

    def stand_still() -> None:
        case.now += 2 * SESSION

    case.coordinator.meanwhile = stand_still
    case.heartbeat()
    case.coordinator.meanwhile = lambda: None
    case.heartbeat(UNKNOWN_MEMBER)
    assert not case.lost


def test_an_answer_to_an_earlier_membership_is_ignored(case: Case) -> None:
    def join_again() -> None:
        case.coordinator.member_id = "w1-b"

    case.coordinator.meanwhile = join_again
    case.heartbeat(UNKNOWN_MEMBER)
    case.coordinator.meanwhile = lambda: None
    case.coordinator.member_id = ""
    case.heartbeat(UNKNOWN_MEMBER)
    assert not case.lost


def test_it_joins_again_after_a_missed_rebalance(case: Case) -> None:
    case.heartbeat()
    case.heartbeat(ILLEGAL_GENERATION)
    assert not case.lost
