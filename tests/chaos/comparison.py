"""Computes an undisturbed run from the records in the topics, and compares the workers' results with it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import orjson
from kafka import TopicPartition

from pivotwatch.config.config import Config
from pivotwatch.contracts.records import Line
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.pipeline import CHUNK, DetectionPipeline
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch.engine.checkpoint_format import Identity, latest
from pivotwatch.engine.kafka import sync_client
from pivotwatch.roles.networks import CONTROL_TOPICS
from pivotwatch.tools.compare_alerts import DifferentRepeat, compare, distinct
from tests.chaos.pipeline import Pipeline

DeadLetter = tuple[bytes | None, bytes, tuple[tuple[str, bytes], ...]]


@dataclasses.dataclass(slots=True)
class Results:
    """The results of a run: alerts by id, dead letters, and states by worker and partition."""

    alerts: dict[str, bytes]
    dead_letters: set[DeadLetter]
    states: dict[str, Any]


@dataclasses.dataclass(slots=True)
class Comparison:
    """The differences between a run with faults and the undisturbed run.

    Attributes
    ----------
    events
        Number of events in ``requests``.
    alerts, dead_letters
        Expected numbers.
    lost, duplicated, different
        Alerts that are missing; that should not exist; that have the same id and other bytes.
    repeats
        Alerts sent again, equal byte for byte. These are allowed.
    problems
        All differences, in words.
    """

    events: int = 0
    alerts: int = 0
    dead_letters: int = 0
    lost: int = 0
    duplicated: int = 0
    different: int = 0
    repeats: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether all results are the same."""
        return not (self.lost or self.duplicated or self.different or self.problems)


def compare_with_undisturbed(pipeline: Pipeline) -> Comparison:
    """Compare the results of the workers with an undisturbed run over the same topics."""
    config, comparison = pipeline.config, Comparison()
    requests = [read(config, config.topic("requests"), p) for p in range(pipeline.partitions)]
    wanted = undisturbed(config, requests)
    comparison.events = _events(requests)
    comparison.alerts, comparison.dead_letters = len(wanted.alerts), len(wanted.dead_letters)
    raw = [line.value or b"" for line in read(config, config.topic("alerts"))]
    try:
        found = distinct(raw, "alerts")
    except DifferentRepeat as fault:
        comparison.different += 1
        comparison.problems.append(str(fault))
        found = {orjson.loads(value)["id"]: value for value in raw}
    comparison.repeats = len(raw) - len(found)
    for difference in compare(wanted.alerts, found):
        field = {"only in first": "lost", "only in second": "duplicated"}.get(difference.kind, "different")
        setattr(comparison, field, getattr(comparison, field) + 1)
        comparison.problems.append(f"{difference.id}: {difference.kind} {difference.fields}"[:500])
    dead_letters = {
        (line.key, line.value or b"", tuple(line.headers)) for line in read(config, config.topic("dlq"))
    }
    if dead_letters != wanted.dead_letters:
        missing, extra = wanted.dead_letters - dead_letters, dead_letters - wanted.dead_letters
        comparison.problems.append(f"dead letters: {len(missing)} missing, {len(extra)} too many")
    states = {
        f"accounts {p}": _stored(
            pipeline, "accounts", p, partial(CountingOperator, config.settings, p, pipeline.partitions)
        )
        for p in range(pipeline.partitions)
    }
    states["networks"] = _stored(
        pipeline, "networks", 0, partial(ScoringOperator, config.settings, pipeline.partitions)
    )
    comparison.problems += [
        f"the state of {name} differs" for name, state in states.items() if state != wanted.states[name]
    ]
    for role, topic in (("accounts", "requests"), ("networks", "buckets")):
        committed, ends = pipeline.committed(role, topic)  # type: ignore[arg-type]
        if committed != ends:
            comparison.problems.append(f"{role} has committed {committed}, the topic ends at {ends}")
    return comparison


def undisturbed(config: Config, requests: Sequence[Sequence[Line]]) -> Results:
    """The results of the detection alone over the records of ``requests``."""
    detection = DetectionPipeline(config.settings, partitions=len(requests))
    for topic in CONTROL_TOPICS:
        for line in read(config, config.topic(topic)):
            detection.scoring.control(topic, line)
    alerts, dead_letters, states = [], set[DeadLetter](), {}
    for partition, lines in enumerate(requests):
        chunks = [lines[start : start + CHUNK] for start in range(0, len(lines), CHUNK)]
        outputs = chain.from_iterable(detection.count(partition, chunk) for chunk in chunks)
        for output in chain(outputs, detection.finish_partition(partition)):
            if output.topic == "alerts":
                alerts.append(output.value)
            elif output.topic == "dlq":
                dead_letters.add((output.key, output.value, output.headers))
        states[f"accounts {partition}"] = _comparable(detection.counting[partition])
    states["networks"] = _comparable(detection.scoring)
    return Results(distinct(alerts), dead_letters, states)


def read(config: Config, topic: str, partition: int = 0) -> list[Line]:
    """All records of a partition."""
    with sync_client.consumer(config, isolation_level="read_committed") as client:
        tp = TopicPartition(topic, partition)
        client.assign([tp])
        client.seek_to_beginning(tp)
        end = client.end_offsets([tp])[tp]
        found: list[Line] = []
        while client.position(tp) < end:
            for records in client.poll(timeout_ms=200, max_records=20_000).values():
                found += [
                    Line(one.value, one.offset, one.timestamp, one.key, tuple(map(tuple, one.headers)))
                    for one in records
                ]
        return found


def _stored(pipeline: Pipeline, role: str, partition: int, new: Callable[[], Any]) -> Any:
    """The state in the changelog, as an operator that restores it would write it."""
    topic = f"{pipeline.config.app_id(role)}-state-changelog"
    stored: dict[bytes, bytes] = {}
    for line in read(pipeline.config, topic, partition):
        assert line.key is not None
        stored.pop(line.key, None)
        if line.value is not None:
            stored[line.key] = line.value
    identity = Identity(role, pipeline.partitions, pipeline.config.state_fingerprints[0])
    snapshot = latest(stored, identity)
    assert snapshot is not None, f"{role} {partition} has no state"
    step = new()
    step.restore(snapshot.meta, snapshot.shards)
    return _comparable(step)


def _comparable(step: Any) -> tuple[dict[int, bytes], bytes]:
    shards = {number: content for number, content in step.snapshot(full=True).items() if content}
    return shards, step.meta()


def _events(requests: Sequence[Sequence[Line]]) -> int:
    kinds: Counter[str] = Counter()
    for lines in requests:
        for line in lines:
            kinds["events"] += (line.value or b"").count(b'"account"')
    return kinds["events"]
