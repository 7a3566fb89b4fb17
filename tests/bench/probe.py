"""What a runner measures of itself, and how it tells.

A runner is a process of its own: it gets a `Task` as its argument and prints one line of JSON. Time runs
from the first record that the job gets to the last one's end, so neither start-up nor joining a group
counts; what the job still does at the end of its input (closing what is open) is added. CPU time is that of
the whole process, threads of libraries included.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import resource
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch_models.settings import HOUR_MS, Settings

STALLED_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Task:
    """What a runner shall do.

    Attributes
    ----------
    brokers, topic, out, group, partitions
        Where the events are, where outputs go, under which group's name to read.
    messages
        After so many the job is done.
    job
        ``steps`` (the accounts step) or ``count`` (decode and two dictionaries).
    token
        Measure latency: count only events whose ids begin with it, ``TOKEN:NANOSECONDS``.
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
        """The task of this process."""
        return cls(**json.loads(sys.argv[1]))

    def text(self) -> str:
        """The argument of a runner."""
        return json.dumps(dataclasses.asdict(self))


class Span:
    """Wall and CPU seconds between `start` and `stop`, added up."""

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


class Latencies:
    """Time from the producer's call to the end of the step, of the events of one run."""

    def __init__(self, token: str, expected: int) -> None:
        self.token = token + ":"
        self.warm = token + ":warm"
        self.expected = expected
        self.seen: list[float] = []
        self.ready = False

    def take(self, values: Iterable[bytes | None]) -> None:
        """Note the events that a step has just counted; tells when it is ready, and when it is done."""
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
    """Decode and count in two dictionaries: the least that any engine could do."""

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
        """What was counted."""
        counts = sorted([*self.accounts.items(), *self.networks.items()])
        return {"events": sum(self.accounts.values()), "digest": digest([orjson.dumps(counts)])}


class Sent:
    """What was sent, as digests: the records of a million accounts would be most of the memory."""

    def __init__(self) -> None:
        self._digests: list[bytes] = []

    def add(self, outputs: Iterable[Output]) -> None:
        """Note the records of buckets."""
        self._digests += [hashlib.sha256(o.value).digest() for o in outputs if o.topic == "buckets"]

    def digest(self) -> str:
        """Of all of them, in whatever order they were sent."""
        return digest(sorted(self._digests))


class Steps:
    """The accounts step of every partition, as an engine drives it that is not ours."""

    def __init__(self, partitions: int) -> None:
        self.steps = [CountingOperator(Settings(), p, partitions) for p in range(partitions)]
        self.sent = Sent()

    def take(self, partition: int, records: Sequence[InputRecord]) -> list[Output]:
        """Feed records of a partition; returns what is to be sent."""
        outputs = self.steps[partition].process(records)
        self.sent.add(outputs)
        return outputs

    def final(self) -> None:
        """Close what is open."""
        for step in self.steps:
            self.sent.add(step.final())

    def found(self) -> dict[str, Any]:
        """What was counted and sent."""
        return counted(self.steps, self.sent)


class Peer:
    """Drives `Steps` or `Count` for an engine that hands over records; tells when all have come.

    It also tells when nothing comes any more though something should: engines lose records.

    Parameters
    ----------
    task
        What to do.
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
        """Do the job; returns what is to be sent."""
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
        """Tell when there was no progress for a while."""
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
    """Events that steps counted, and a digest of the records of their buckets."""
    return {"events": sum(step.counters()["events"] for step in steps), "digest": sent.digest()}


def digest(values: Iterable[bytes]) -> str:
    """A short name of some bytes."""
    return hashlib.sha256(b"\n".join(values)).hexdigest()[:16]


def measured(span: Span) -> dict[str, float]:
    """Seconds, CPU seconds and peak memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": span.seconds, "cpu": span.cpu, "peak_mb": peak}


def tell(found: dict[str, Any]) -> None:
    """Hand a result to who started us, on a line of its own: engines write to the same place."""
    print("\n" + json.dumps(found), flush=True)
