"""Log limits: one line per second and cause, from any logger and with any text."""

from __future__ import annotations

import asyncio
import io
import logging

import pytest

from pivotwatch.base.log_limits import MOST_CAUSES, RateLimitedLog


class Log:
    """The output of one handler; `at` is the time."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.limits = RateLimitedLog()
        self.handler.addFilter(self.limits)

    def line(self, name: str, at: float, text: str, *values: object, level: int = logging.WARNING) -> bool:
        """Log a line; return whether it was written."""
        record = logging.LogRecord(name, level, "", 0, text, values, None)
        record.created = at
        return bool(self.handler.handle(record))


def test_a_flood_gives_one_line_per_second_with_the_number_of_dropped_lines() -> None:
    log = Log()
    for number in range(3000):
        log.line("pivotwatch.web.authentication", number / 1000, "wrong token from %s", f"192.0.2.{number}")
    assert log.stream.getvalue().splitlines() == [
        "wrong token from 192.0.2.0",
        "wrong token from 192.0.2.1000 (999 more like it left out)",
        "wrong token from 192.0.2.2000 (999 more like it left out)",
    ]


def test_messages_of_asyncio_with_other_numbers_are_one_cause() -> None:
    log = Log()
    text = "Exception in callback serve(<socket fd={}>, 0x{:x})\nhandle: <TimerHandle when={}>"
    passed = [log.line("asyncio", 0.0, text.format(n, n * 977, n), level=logging.ERROR) for n in range(100)]
    assert passed == [True] + [False] * 99


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("asyncio", "one thing"), ("asyncio", "another thing")),
        (("pivotwatch.web.pages", "%s failed", "a"), ("pivotwatch.web.api", "%s failed", "a")),
        (
            ("pivotwatch.delivery.target_sender", "%s: down", "a"),
            ("pivotwatch.delivery.target_sender", "%s: down", "b"),
        ),
    ],
)
def test_another_cause_is_written_at_once(first: tuple[str, ...], second: tuple[str, ...]) -> None:
    log = Log()
    for name, *rest in (first, second):
        assert log.line(name, 0.0, *rest)
        assert not log.line(name, 0.5, *rest)


def test_informational_lines_are_never_dropped() -> None:
    log = Log()
    assert all(log.line("pivotwatch.web", 0.0, "decision", level=logging.INFO) for _ in range(10))


def test_a_clock_that_is_set_back_drops_no_lines() -> None:
    log = Log()
    assert log.line("asyncio", 1000.0, "text")
    assert log.line("asyncio", 10.0, "text")
    assert not log.line("asyncio", 10.5, "text")


def test_memory_is_bounded() -> None:
    log = Log()
    for number in range(3 * MOST_CAUSES):
        log.line("pivotwatch.delivery", 0.0, "%s", number)
    assert len(log.limits._causes) == MOST_CAUSES


def test_the_loop_of_asyncio_is_limited_too() -> None:
    """Its messages come filled in: running out of files logs one with a socket and a traceback each time."""
    log = Log()
    logger = logging.getLogger("asyncio")
    logger.addHandler(log.handler)
    try:

        async def play() -> None:
            for number in range(50):
                asyncio.get_running_loop().call_exception_handler(
                    {
                        "message": "socket.accept() out of system resource",
                        "exception": OSError(24, "Too many open files"),
                        "socket": number,
                    }
                )

        asyncio.run(play())
    finally:
        logger.removeHandler(log.handler)
    assert log.stream.getvalue().count("out of system resource") <= 2
