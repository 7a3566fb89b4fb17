"""Failed attempts are delayed per address, in bounded memory."""

from __future__ import annotations

import asyncio

import pytest

from pivotwatch.engine.http import failed_attempts
from pivotwatch.engine.http.failed_attempts import DELAYED_OF_ADDRESS, FailedAttempts


def test_failures_beyond_the_allowance_are_delayed_with_retry_after() -> None:
    async def play() -> None:
        now = 0.0
        attempts = FailedAttempts(allowed=2, window=60, delay=0.05, clock=lambda: now)
        loop = asyncio.get_running_loop()
        assert [await attempts.add("192.0.2.1") for _ in range(2)] == [0, 0]
        begun = loop.time()
        now = 20.0
        assert await attempts.add("192.0.2.1") == 40
        assert loop.time() - begun >= 0.05
        assert await attempts.add("192.0.2.2") == 0
        now = 60.0
        assert await attempts.add("192.0.2.1") == 0

    asyncio.run(play())


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, together: bool) -> None:
    async def play() -> None:
        attempts = FailedAttempts(allowed=1, delay=0.001)
        assert await attempts.add(one) == 0
        assert (await attempts.add(other) > 0) == together

    asyncio.run(play())


def test_few_attempts_are_delayed_concurrently() -> None:
    async def play() -> None:
        attempts = FailedAttempts(allowed=0, delay=60)
        tasks = [asyncio.create_task(attempts.add("192.0.2.1")) for _ in range(DELAYED_OF_ADDRESS + 3)]
        done, waiting = await asyncio.wait(tasks, timeout=0.05)
        assert (len(done), len(waiting)) == (3, DELAYED_OF_ADDRESS)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert attempts._delayed == {}

    asyncio.run(play())


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_attempts, "MOST_ADDRESSES", 10)

    async def play() -> None:
        attempts = FailedAttempts()
        for number in range(100):
            await attempts.add(f"192.0.2.{number}")
        assert len(attempts._failures) == 10

    asyncio.run(play())
