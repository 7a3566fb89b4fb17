"""A worker's name in its group: when to join again, and when to make way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from streams import membership

SESSION = 10.0


class Coordinator:
    """Answers heartbeats as it is told, and counts how often its member forgets itself."""

    def __init__(self) -> None:
        self.forgotten = 0
        self.answer: Callable[[], bool] = lambda: True

    async def _do_heartbeat(self) -> bool:
        await asyncio.sleep(0)
        if not (member := self.answer()):
            self.reset_generation()
        return member

    def reset_generation(self) -> None:
        self.forgotten += 1


class Clock:
    """Monotonic seconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(membership, "time", clock)
    return clock


def named() -> tuple[Coordinator, list[str]]:
    coordinator, lost = Coordinator(), list[str]()
    membership.Name(coordinator, SESSION, lambda: lost.append("lost"))
    return coordinator, lost


async def unknown_after(clock: Clock, coordinator: Coordinator, silence: float) -> None:
    assert await coordinator._do_heartbeat()
    clock.now += silence
    coordinator.answer = lambda: False
    assert not await coordinator._do_heartbeat()


def test_another_of_the_same_name_is_made_way_for(clock: Clock) -> None:
    coordinator, lost = named()
    asyncio.run(unknown_after(clock, coordinator, SESSION / 2))
    assert lost
    assert not coordinator.forgotten


def test_one_that_was_silent_too_long_joins_again(clock: Clock) -> None:
    coordinator, lost = named()
    asyncio.run(unknown_after(clock, coordinator, SESSION))
    assert not lost
    assert coordinator.forgotten


def test_an_answer_that_lay_unread_does_not_prolong_the_session(clock: Clock) -> None:
    """The process stood still between the question and the answer, then asks again."""
    coordinator, lost = named()

    def late() -> bool:
        clock.now += 2 * SESSION
        return True

    coordinator.answer = late
    assert asyncio.run(coordinator._do_heartbeat())
    coordinator.answer = lambda: False
    assert not asyncio.run(coordinator._do_heartbeat())
    assert not lost
    assert coordinator.forgotten


def test_what_forgets_outside_of_a_heartbeat_is_left_alone(clock: Clock) -> None:
    coordinator, lost = named()
    coordinator.reset_generation()
    assert coordinator.forgotten == 1
    assert not lost
