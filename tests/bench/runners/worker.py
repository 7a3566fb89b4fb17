"""A real worker of the accounts role, with a step that looks at the clock.

Configured by the environment, as every worker is. Beside the records the span holds what the step does
at the end: closing, and the state of the last checkpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from pivotwatch.config.config import load
from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.roles import accounts
from tests.bench.probe import Latencies, Sent, Span, Task, counted, measured, tell


class Watched:
    """The steps of this worker, and what they did.

    Parameters
    ----------
    task
        What to do.
    """

    def __init__(self, task: Task) -> None:
        self.left = task.messages
        self.span = Span()
        self.steps: list[Any] = []
        self.sent = Sent()
        self.latencies = Latencies(task.token, task.messages) if task.token else None

    def make(self, *args: Any) -> CountingOperator:
        """A step that reports to us."""
        watched = self

        class Step(CountingOperator):
            def process(self, records: Sequence[InputRecord]) -> list[Output]:
                if watched.span.began is None:
                    watched.span.start()
                outputs = super().process(records)
                watched.took(records, outputs)
                return outputs

            def final(self) -> list[Output]:
                with watched.end():
                    outputs = super().final()
                watched.sent.add(outputs)
                return outputs

            def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
                with watched.end():
                    return super().snapshot(full=full)

        step = Step(*args)
        self.steps.append(step)
        return step

    def took(self, records: Sequence[InputRecord], outputs: list[Output]) -> None:
        """A chunk was processed."""
        self.sent.add(outputs)
        if self.latencies is not None:
            self.latencies.take(record.value for record in records)
        self.left -= len(records)
        if self.left == 0:
            self.span.stop()

    def end(self) -> Span:
        """The span, if all records were taken; until then it runs anyway."""
        return self.span if self.left == 0 else Span()


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    task = Task.given()
    watched = Watched(task)
    status = accounts.run(
        load(),
        instance=None,
        until_end=task.token is None,
        reset_state=False,
        make_operator=watched.make,
    )
    if task.token is None and status == 0:
        tell(counted(watched.steps, watched.sent) | measured(watched.span))


if __name__ == "__main__":
    main()
