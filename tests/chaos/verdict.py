"""The undisturbed run, computed from what the topics hold, and the comparison with it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import orjson
from kafka import TopicPartition

from pivotwatch.config.config import Config
from pivotwatch.contracts.records import Line, Output
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.replay import CHUNK
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch.engine.checkpoint_format import Identity, latest
from pivotwatch.engine.kafka import sync_client
from pivotwatch.roles.networks import CONTROL_TOPICS
from pivotwatch.tools.compare_alerts import DifferentRepeat, compare, distinct
from tests.chaos.pipeline import Pipeline

Letter = tuple[bytes | None, bytes, tuple[tuple[str, bytes], ...]]


@dataclasses.dataclass(slots=True)
class Run:
    """What a run leaves behind."""

    alerts: dict[str, bytes]
    letters: set[Letter]
    states: dict[str, Any]


@dataclasses.dataclass(slots=True)
class Verdict:
    """How a disturbed run differs from the undisturbed one.

    Attributes
    ----------
    alerts, letters
        How many there should be, and how many dead letters.
    lost, duplicated, different
        Alerts: missing; there though they should not be; same id, other bytes.
    repeats
        Alerts sent again, equal to the byte: allowed.
    problems
        Everything else that is not as it should be, in words.
    """

    events: int = 0
    alerts: int = 0
    letters: int = 0
    lost: int = 0
    duplicated: int = 0
    different: int = 0
    repeats: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Has nothing changed?"""
        return not (self.lost or self.duplicated or self.different or self.problems)


def judge(pipeline: Pipeline) -> Verdict:
    """Compare what the workers left with the undisturbed run over the same topics."""
    config, verdict = pipeline.config, Verdict()
    requests = [read(config, config.topic("requests"), p) for p in range(pipeline.partitions)]
    wanted = undisturbed(config, requests)
    verdict.events = _events(requests)
    verdict.alerts, verdict.letters = len(wanted.alerts), len(wanted.letters)
    raw = [line.value or b"" for line in read(config, config.topic("alerts"))]
    try:
        found = distinct(raw, "alerts")
    except DifferentRepeat as fault:
        verdict.different += 1
        verdict.problems.append(str(fault))
        found = {orjson.loads(value)["id"]: value for value in raw}
    verdict.repeats = len(raw) - len(found)
    for difference in compare(wanted.alerts, found):
        field = {"only in first": "lost", "only in second": "duplicated"}.get(difference.kind, "different")
        setattr(verdict, field, getattr(verdict, field) + 1)
        verdict.problems.append(f"{difference.id}: {difference.kind} {difference.fields}"[:500])
    letters = {
        (line.key, line.value or b"", tuple(line.headers)) for line in read(config, config.topic("dlq"))
    }
    if letters != wanted.letters:
        verdict.problems.append(
            f"dead letters: {len(wanted.letters - letters)} missing, {len(letters - wanted.letters)} too many"
        )
    states = {
        f"accounts {p}": _stored(
            pipeline, "accounts", p, partial(CountingOperator, config.settings, p, pipeline.partitions)
        )
        for p in range(pipeline.partitions)
    }
    states["networks"] = _stored(
        pipeline, "networks", 0, partial(ScoringOperator, config.settings, pipeline.partitions)
    )
    verdict.problems += [
        f"the state of {name} differs" for name, state in states.items() if state != wanted.states[name]
    ]
    for role, topic in (("accounts", "requests"), ("networks", "buckets")):
        committed, ends = pipeline.committed(role, topic)  # type: ignore[arg-type]
        if committed != ends:
            verdict.problems.append(f"{role} has committed {committed}, the topic ends at {ends}")
    return verdict


def undisturbed(config: Config, requests: Sequence[Sequence[Line]]) -> Run:
    """The steps alone over the records of ``requests``, as `pivotwatch.detection.replay` runs them over
    a file."""
    settings, partitions = config.settings, len(requests)
    networks = ScoringOperator(settings, partitions)
    for topic in CONTROL_TOPICS:
        for line in read(config, config.topic(topic)):
            networks.control(topic, line)
    alerts, letters, states = [], set[Letter](), {}

    def take(outputs: Iterable[Output]) -> None:
        for output in outputs:
            if output.topic == "buckets":
                take(networks.process([Line(output.value)]))
            elif output.topic == "alerts":
                alerts.append(output.value)
            elif output.topic == "dlq":
                letters.add((output.key, output.value, output.headers))

    for partition, lines in enumerate(requests):
        step = CountingOperator(settings, partition, partitions)
        for start in range(0, len(lines), CHUNK):
            take(step.process(lines[start : start + CHUNK]))
        take(step.final())
        states[f"accounts {partition}"] = _comparable(step)
    states["networks"] = _comparable(networks)
    return Run(distinct(alerts), letters, states)


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
    """The state in the changelog, as a step that continues it would write it."""
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
