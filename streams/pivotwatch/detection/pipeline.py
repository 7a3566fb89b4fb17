"""The whole detection in one process: counting per partition, then scoring. No broker, no files.

A run through Kafka with the same number of partitions gives the same alerts byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Self

import msgspec
import orjson

from pivotwatch.base.network_classes import NetworkClass
from pivotwatch.base.state_migration import StateRefused
from pivotwatch.contracts.controls import Release
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import InputRecord, Line, Output
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.dealer import Dealer
from pivotwatch.detection.scoring import control_log
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch_models.fingerprint import state_fingerprint
from pivotwatch_models.settings import Settings

CHUNK = 5_000
STATE_VERSION = 1
OTHER_VERSION = (
    "the state was written by another version of pivotwatch: feed the events again to a new detector"
)


class _OperatorState(msgspec.Struct):
    meta: bytes
    shards: dict[int, bytes]


class _State(msgspec.Struct):
    """A snapshot of a pipeline; the operators migrate their own parts."""

    version: int
    fingerprint: str
    settings: dict[str, Any]
    taken: int
    finished: bool
    counting: list[_OperatorState]
    scoring: _OperatorState


def no_class(network: str) -> str | None:
    """The class of a network when no list of classes is given: unknown."""
    return None


class DetectionPipeline:
    """Counting operators, one per partition, that feed one scoring operator.

    Parameters
    ----------
    settings
        Parameters of the method.
    partitions
        Number of partitions of the topic that a run through Kafka would read.
    releases, decisions
        Control records, in effect from the first bucket. No incident exists then: a decision on an alert id,
        ``benign`` and ``confirmed`` find nothing to decide.
    network_class
        Looks up the class of a network.
    remembered
        Number of requests among which one that a producer sent twice is found; 0: none is.

    Attributes
    ----------
    taken
        Number of lines taken so far.

    Raises
    ------
    BadEvent
        When a release or a decision cannot be read.

    Examples
    --------
    >>> list(DetectionPipeline(Settings()).run([b"{}"]))[0].topic
    'dlq'
    """

    def __init__(
        self,
        settings: Settings,
        *,
        partitions: int = 1,
        releases: Iterable[Release | Mapping[str, Any]] = (),
        decisions: Iterable[Mapping[str, Any]] = (),
        network_class: NetworkClass = no_class,
        remembered: int = 0,
    ) -> None:
        if not isinstance(settings, Settings):
            raise TypeError(f"settings: expected Settings(…), got {type(settings).__name__}")
        if partitions < 1:
            raise ValueError(f"partitions: expected at least 1, got {partitions}")
        self.settings = settings
        self.scoring = ScoringOperator(settings, partitions, network_class)
        self.counting = [
            CountingOperator(settings, p, partitions, remembered=remembered) for p in range(partitions)
        ]
        self.taken = 0
        self.finished = False
        self._dealer = Dealer(partitions)
        for topic, entries in (("releases", releases), ("decisions", decisions)):
            try:
                lines = control_lines(topic, entries)
            except BadEvent as error:
                raise BadEvent(f"{topic}: {error}") from None
            for line in lines:
                self.scoring.control(topic, line)

    def run(self, lines: Iterable[bytes]) -> Iterator[Output]:
        """The outputs of `process`, then those of `finish`."""
        yield from self.process(lines)
        yield from self.finish()

    def process(self, lines: Iterable[bytes]) -> Iterator[Output]:
        """Alerts, status records and dead letters of native events, one event or array a line.

        The outputs are computed as they are asked for, some thousand lines at a time.

        Raises
        ------
        ValueError
            When the pipeline is finished.
        """
        if self.finished:
            raise ValueError("the detection is finished: its buckets are closed, more events have no place")
        stream = iter(lines)
        while chunk := list(enumerate(islice(stream, CHUNK), start=self.taken)):
            self.taken += len(chunk)
            for partition, records in enumerate(self._dealer.deal(chunk)):
                yield from self.count(partition, records)

    def count(self, partition: int, records: Sequence[InputRecord]) -> Iterator[Output]:
        """The outputs of records of one partition."""
        yield from self._scored(self.counting[partition].process(records))

    def finish(self) -> Iterator[Output]:
        """Close every bucket; the outputs of that."""
        self.finished = True
        for partition in range(len(self.counting)):
            yield from self.finish_partition(partition)

    def finish_partition(self, partition: int) -> Iterator[Output]:
        """Close every bucket of one partition; the outputs of that."""
        yield from self._scored(self.counting[partition].final())

    def _scored(self, outputs: Iterable[Output]) -> Iterator[Output]:
        """Bucket records go to the scoring operator, all other outputs leave."""
        for output in outputs:
            if output.topic == "buckets":
                yield from self.scoring.process([Line(output.value)])
            else:
                yield output

    def snapshot(self) -> bytes:
        """The whole state."""
        state = _State(
            STATE_VERSION,
            state_fingerprint(self.settings),
            self.settings.to_dict(),
            self.taken,
            self.finished,
            [_snapshot(operator) for operator in self.counting],
            _snapshot(self.scoring),
        )
        return msgspec.msgpack.encode(state)

    @classmethod
    def restore(cls, state: bytes, network_class: NetworkClass = no_class) -> Self:
        """A pipeline that continues exactly where `snapshot` was taken.

        Raises
        ------
        ValueError
            When the state is damaged, or another version of the method wrote it.
        """
        stored = _decoded(state)
        pipeline = cls(
            Settings(**stored.settings), partitions=len(stored.counting), network_class=network_class
        )
        pipeline.taken, pipeline.finished = stored.taken, stored.finished
        try:
            for operator, part in zip(pipeline.counting, stored.counting, strict=True):
                operator.restore(part.meta, part.shards)
            pipeline.scoring.restore(stored.scoring.meta, stored.scoring.shards)
        except StateRefused as error:
            raise ValueError(OTHER_VERSION) from error
        return pipeline


def _decoded(state: bytes) -> _State:
    try:
        stored = msgspec.msgpack.decode(state, type=_State)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a state of a detector, or a damaged one: {error}") from None
    try:
        settings = Settings(**stored.settings)
    except TypeError as error:  # It has other settings.
        raise ValueError(OTHER_VERSION) from error
    if stored.version != STATE_VERSION or stored.fingerprint != state_fingerprint(settings):
        raise ValueError(OTHER_VERSION)
    return stored


def _snapshot(operator: CountingOperator | ScoringOperator) -> _OperatorState:
    shards = {number: shard for number, shard in operator.snapshot(full=True).items() if shard}
    return _OperatorState(operator.meta(), shards)


def control_lines(topic: str, entries: Iterable[Release | Mapping[str, Any]]) -> list[Line]:
    """Releases or decisions as records.

    Raises
    ------
    BadEvent
        With the number of the entry that cannot be read, and what is expected of it.

    Examples
    --------
    >>> control_lines("releases", [{"model": "m-2"}])
    Traceback (most recent call last):
    pivotwatch.contracts.events.BadEvent: entry 1: released_at: required, but missing
    """
    lines = []
    for offset, entry in enumerate(entries):
        line = Line(_encoded(entry), offset=offset)
        try:
            control_log.read(topic, line)
        except BadEvent as error:
            raise BadEvent(f"entry {offset + 1}: {error}") from None
        lines.append(line)
    return lines


def _encoded(entry: Release | Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(entry) if isinstance(entry, Release) else orjson.dumps(entry)
