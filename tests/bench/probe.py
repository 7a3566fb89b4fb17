"""Measurements that a runner makes of itself, and their output.

A runner is a process that gets a `Task` as its argument and prints one line of JSON. Time runs from the
first record to the end of the last one, so start-up and joining a group do not count; closing the open
buckets at the end counts. CPU time is that of the whole process, including threads of libraries.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch_models.settings import HOUR_MS, Settings

STALLED_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Task:
    """The task of a runner.

    Attributes
    ----------
    brokers, topic, out, group, partitions
        Brokers, input topic, output topic, consumer group, number of partitions.
    messages
        Number of messages to process.
    job
        ``steps`` (the counting operator) or ``count`` (decode, and count in two dictionaries).
    token
        To measure latency: count only events whose ids have the form ``TOKEN:NANOSECONDS``.
    """

    brokers: str = ""
    topic: str = ""
    out: str = ""
    group: str = ""
    partitions: int = 1
    messages: int = 0
    job: str = "steps"
    token: str | None = None

    @classmethod
    def given(cls) -> Task:
        """Read the task of this process."""
        return cls(**json.loads(sys.argv[1]))

    def text(self) -> str:
        """The task as the argument of a runner."""
        return json.dumps(dataclasses.asdict(self))


class Span:
    """Adds up wall and CPU seconds between `start` and `stop`."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0
        self.began: tuple[float, float] | None = None

    def start(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        assert self.began is not None
        self.seconds += time.perf_counter() - self.began[0]
        self.cpu += time.process_time() - self.began[1]
        self.began = None

    def __enter__(self) -> Span:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Waits(threading.Thread):
    """A thread that wakes every 2 ms, as an event loop does, and measures how long it waits for its turn.

    Attributes
    ----------
    longest
        CPU seconds that others used while it waited, the most, by what they were doing.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.longest: Counter[str] = Counter()
        self._doing: str | None = None
        self.start()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """What happens in this context counts under a name."""
        self._doing = name
        yield
        self._doing = None

    def run(self) -> None:
        """Sleep and wake until the process ends."""
        while True:
            doing, before = self._doing, time.process_time()
            time.sleep(0.002)
            if doing is not None and doing == self._doing:
                self.longest[doing] = max(self.longest[doing], time.process_time() - before)


class Latencies:
    """Latencies of the events of one run."""

    def __init__(self, token: str, expected: int) -> None:
        self.token = token + ":"
        self.warm = token + ":warm"
        self.expected = expected
        self.seen: list[float] = []
        self.ready = False

    def take(self, values: Iterable[bytes | None]) -> None:
        """Record events that the operator has just counted; prints when the first and the last arrived."""
        now = time.monotonic_ns()
        for value in values:
            name = orjson.loads(value or b"{}").get("id", "")
            if name == self.warm and not self.ready:
                self.ready = True
                tell({"ready": True})
            elif name.startswith(self.token) and name != self.warm:
                self.seen.append((now - int(name[len(self.token) :])) / 1e6)
        if len(self.seen) == self.expected:
            tell({"milliseconds": self.seen})


class Count:
    """Decodes events and counts them in two dictionaries: the minimum for any engine."""

    def __init__(self) -> None:
        self.accounts: dict[tuple[str, str, int], int] = {}
        self.networks: dict[tuple[str, str, int], int] = {}

    def take(self, values: Iterable[bytes]) -> None:
        """Count messages."""
        accounts, networks, read = self.accounts, self.networks, orjson.loads
        for value in values:
            message = read(value)
            for event in message if type(message) is list else (message,):
                hour = event["ts"] // HOUR_MS
                key = (event["account"], event["model"], hour)
                accounts[key] = accounts.get(key, 0) + 1
                key = (event["network"], event["model"], hour)
                networks[key] = networks.get(key, 0) + 1

    def found(self) -> dict[str, Any]:
        """The counts."""
        counts = sorted([*self.accounts.items(), *self.networks.items()])
        return {"events": sum(self.accounts.values()), "digest": digest([orjson.dumps(counts)])}


class Sent:
    """Digests of the sent records: the records of a million accounts would take most of the memory."""

    def __init__(self) -> None:
        self._digests: list[bytes] = []

    def add(self, outputs: Iterable[Output]) -> None:
        """Add bucket records."""
        self._digests += [hashlib.sha256(o.value).digest() for o in outputs if o.topic == "buckets"]

    def digest(self) -> str:
        """A digest of all records, independent of their order."""
        return digest(sorted(self._digests))


class Steps:
    """The counting operators of all partitions, for another engine."""

    def __init__(self, partitions: int) -> None:
        self.steps = [CountingOperator(Settings(), p, partitions) for p in range(partitions)]
        self.sent = Sent()

    def take(self, partition: int, records: Sequence[InputRecord]) -> list[Output]:
        """Process records of a partition; returns the records to send."""
        outputs = self.steps[partition].process(records)
        self.sent.add(outputs)
        return outputs

    def final(self) -> None:
        """Close the open buckets."""
        for step in self.steps:
            self.sent.add(step.final())

    def found(self) -> dict[str, Any]:
        """The counts, and a digest of the sent records."""
        return counted(self.steps, self.sent)


class Peer:
    """Runs `Steps` or `Count` for an engine that delivers records, and prints the result at the end.

    It also reports when no more records arrive although some are missing, because engines lose records.

    Parameters
    ----------
    task
        The task.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.steps = Steps(task.partitions)
        self.count = Count()
        self.span = Span()
        self.left = task.messages
        self.latencies = Latencies(task.token, task.messages) if task.token else None
        threading.Thread(target=self._guard, daemon=True).start()

    def take(self, partition: int, records: Sequence[InputRecord]) -> list[Output]:
        """Process records; returns the records to send."""
        if self.span.began is None:
            self.span.start()
        outputs: list[Output] = []
        if self.task.job == "steps":
            outputs = self.steps.take(partition, records)
        elif self.task.job == "count":
            self.count.take(record.value or b"" for record in records)
        if self.latencies is not None:
            self.latencies.take(record.value for record in records)
            return outputs
        self.left -= len(records)
        if self.left == 0:
            self._end()
        return outputs

    def _guard(self) -> None:
        """Report when there is no progress for a while."""
        before = self.left + 1
        while 0 < self.left < before:
            before = self.left
            time.sleep(STALLED_SECONDS)
        if self.left and self.latencies is None:
            tell({"stalled": self.left})

    def _end(self) -> None:
        self.steps.final()
        self.span.stop()
        found: dict[str, Any] = {"events": 0, "digest": ""}
        if self.task.job != "nothing":
            found = self.steps.found() if self.task.job == "steps" else self.count.found()
        tell(found | measured(self.span))


def counted(steps: Iterable[Any], sent: Sent) -> dict[str, Any]:
    """Number of counted events, and a digest of the bucket records."""
    return {"events": sum(step.counters()["events"] for step in steps), "digest": sent.digest()}


def digest(values: Iterable[bytes]) -> str:
    """A short digest of some bytes."""
    return hashlib.sha256(b"\n".join(values)).hexdigest()[:16]


def measured(span: Span) -> dict[str, float]:
    """Seconds, CPU seconds and peak memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": span.seconds, "cpu": span.cpu, "peak_mb": peak}


def tell(found: dict[str, Any]) -> None:
    """Print a result for the parent process on its own line, because engines print to the same stream."""
    print("\n" + json.dumps(found), flush=True)
