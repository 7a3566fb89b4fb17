"""The role ``networks``: the one partition of ``buckets``, and the control topics.

The worker reads ``releases`` and ``decisions`` to their end before it scores the first bucket, and follows
them from then on. A crash must not change which control records a bucket used. So before the operator
processes bucket records, the manifest says which control records are in use (the pins) and up to which
offset (the fence). After a restart, everything before the fence is processed with the pins alone. Newer
control records are read at the fence.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import Counter

from pivotwatch.base.errors import WrongUse
from pivotwatch.base.network_classes import class_of
from pivotwatch.config.config import Config
from pivotwatch.config.topic_settings import Logical
from pivotwatch.contracts.alerts import parse_alert
from pivotwatch.contracts.bucket_record import NewerRecord
from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch.engine.checkpoint_format import Snapshot
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.metrics import Metrics, Named, Worker
from pivotwatch.engine.operator import ControlledOperator
from pivotwatch.engine.operator_task import OperatorTask
from pivotwatch.engine.partition_task import PartitionTask
from pivotwatch.engine.runtime import build_app, run_app
from pivotwatch.engine.topic_follower import TopicFollower
from pivotwatch.engine.types import TP
from pivotwatch.roles.changed_logs import count_anew

logger = logging.getLogger(__name__)

PINS_BYTES = 100_000
"""Longer pins become part of the state at once: a manifest is one Kafka record."""
CONTROL_TOPICS: tuple[Logical, ...] = ("releases", "decisions")
GAUGES: Named = {
    "open_incidents": ("pivotwatch_open_incidents", "Incidents that are open."),
    "idle_partitions": (
        "pivotwatch_idle_partitions",
        "Partitions without events, completed by the event time of another.",
    ),
    "late_groups": ("pivotwatch_late_groups", "Groups scored late: many of their events arrive late."),
    "forgotten_groups": (
        "pivotwatch_forgotten_groups",
        "Watched groups that were forgotten in the last bucket, since there were too many.",
    ),
    "held": ("pivotwatch_held", "1 while scoring is held by a record that only a newer program can read."),
    "skewed_networks": ("pivotwatch_skewed_networks", "Networks whose clock is ahead of the others."),
    "skewed_accounts": ("pivotwatch_skewed_accounts", "Accounts whose clock is ahead of the others."),
}
"""Entries of `ScoringOperator.counters`, and their metrics."""


class NetworksMetrics(Metrics):
    """The metrics of a worker of this role.

    Attributes
    ----------
    alerts
        Counts alerts by severity and state.
    """

    def __init__(self, worker: Worker) -> None:
        super().__init__(NetworksTask.role, worker, gauges=GAUGES)
        self.alerts = Counter(
            "pivotwatch_alerts",
            "Alerts written, by severity and state (open, updated, resolved, suppressed).",
            ["severity", "state"],
            registry=self.registry,
        )

    def sent(self, outputs: Sequence[Output]) -> None:
        """Count outputs of the operator."""
        super().sent(outputs)
        for output in outputs:
            if output.topic == "alerts":
                self.alerts.labels(*_severity_and_state(output.value)).inc()


def _severity_and_state(alert: bytes) -> tuple[str, str]:
    try:
        data = parse_alert(alert).data
    except WrongUse:  # An operator of a test writes shorter alerts.
        return "unknown", "unknown"
    return data.severity, data.state


class NetworksPartition(PartitionTask[ControlledOperator]):
    """The live partition of ``buckets``.

    Attributes
    ----------
    is_final
        Whether every partition of ``requests`` had declared its end at the last call of the operator.
    held_by
        Why the partition is held: a record that only a newer program can read. Empty: it is not held.
    following
        The task that follows the control topics. It ends with the partition.
    """

    is_final = False
    held_by = ""
    following: asyncio.Task[None] | None = None

    def __init__(self, *given: Any, control_topics: Sequence[TP] = (), **named: Any) -> None:
        self._control_topics = control_topics
        super().__init__(*given, **named)

    def read_topics(self) -> Sequence[TP]:
        """The input, and the control topics."""
        return [self.tp, *self._control_topics]

    @property
    def counters(self) -> Mapping[str, int]:
        """The counters of the operator, and whether the partition is held."""
        return {**super().counters, "held": int(bool(self.held_by))}

    def load(self, snapshot: Snapshot) -> None:
        """Restore the operator and its pinned control records. Runs in the worker's thread."""
        super().load(snapshot)
        if snapshot.pins:
            self.operator.repin(snapshot.pins)

    def publish(self) -> None:
        """Publish what may be read of the operator without the lock. Runs in the worker's thread."""
        super().publish()
        self.is_final = self.operator.finished

    def pins(self) -> bytes:
        """Control records that a snapshot does not include."""
        return self.operator.pins()

    async def control(self, topic: str, record: InputRecord) -> None:
        """Take a control record."""
        async with self.lock:
            if not self.ended:
                await self.apply(lambda: self.operator.control(topic, record))
                self.controls[topic] = record.offset + 1
                self.decision = sum(self.controls.values())

    async def before(self, until: int) -> bool:
        """Write into the manifest which control records the next buckets use."""
        self.fence = max(self.fence, until)
        pins = await self.call(self.pins)
        if self._checkpoints.begun and len(pins) <= PINS_BYTES:
            await self._checkpoints.decide(
                decision=self.decision, pins=pins, controls=dict(self.controls), fence=self.fence
            )
        else:
            await self.save()
        return await self.confirmed()

    def end(self) -> None:
        """Process and save nothing more."""
        super().end()
        if self.following is not None:
            self.following.cancel()


class NetworksTask(OperatorTask[NetworksPartition]):
    """Scores the buckets of all partitions of ``requests``, with one operator."""

    role = "networks"

    def remedy(self, topic: str) -> str:
        """What a person does when a topic has changed."""
        return count_anew(self.host.config, topic)

    def make_metrics(self, worker: Worker) -> Metrics:
        """Create the metrics of the worker."""
        return NetworksMetrics(worker)

    def new(self, tp: TP, **parts: Any) -> NetworksPartition:
        """Create the live partition."""
        operator = self.make_operator(self.host.config.settings, self.partitions)
        return NetworksPartition(
            operator, tp=tp, control_topics=list(control_topics(self.host.config)), **parts
        )

    async def started(self, live: NetworksPartition) -> None:
        """Read the control topics now, unless input before the fence must be processed first."""
        if live.offset >= live.fence:
            await self._read_controls(live)

    async def feed(self, live: NetworksPartition, chunk: Chunk) -> None:
        """Let the partition process a chunk; hold it at a record that only a newer program can read.

        The partition has ended then: nothing after its last checkpoint counts, so a newer program continues
        there. The process stays, because a restart would not help.
        """
        try:
            await self._feed(live, chunk)
        except NewerRecord as error:
            if self.host.until_end is not None:
                raise
            live.held_by = str(error)
            logger.error("scoring is held: %s", error)

    def is_waiting(self, live: NetworksPartition) -> bool:
        """Whether the partition is held, so that a restart would not help."""
        return bool(live.held_by)

    def is_ready(self) -> bool:
        """Whether nothing is held."""
        return not self.held()

    def held(self) -> str:
        """Why scoring is held."""
        return next((live.held_by for live in self.host.live.values() if live.held_by), "")

    async def _feed(self, live: NetworksPartition, chunk: Chunk) -> None:
        """Let the partition process a chunk, split at the fence: newer control records apply after it."""
        if live.following is None:
            head, chunk = chunk.split(live.fence)
            await live.take(head)
            if live.offset >= live.fence:
                await self._read_controls(live)
        await live.take(chunk)

    async def _read_controls(self, live: NetworksPartition) -> None:
        """Read the control topics to their end, and follow them from then on."""
        follower = controls_of(self.host.config, live)
        live.following = asyncio.create_task(self.follow(follower))
        at_end = asyncio.create_task(follower.caught_up.wait())
        await asyncio.wait({live.following, at_end}, return_when=asyncio.FIRST_COMPLETED)
        at_end.cancel()

    def is_done(self, live: NetworksPartition) -> bool:
        """Whether every partition of ``requests`` has declared its end."""
        return live.is_final


def control_topics(config: Config) -> Mapping[TP, str]:
    """The partitions with control records, and their logical topics."""
    return {TP(config.topic(logical), 0): logical for logical in CONTROL_TOPICS}


def controls_of(config: Config, live: NetworksPartition) -> TopicFollower:
    """A follower that passes control records to a live partition, from the offsets of its state."""
    topics = control_topics(config)

    async def take(tp: TP, record: InputRecord) -> None:
        await live.control(topics[tp], record)

    starts = {tp: live.controls.get(logical, 0) for tp, logical in topics.items()}
    return TopicFollower(config, list(topics), take, starts, logs=live.logs)


def run(
    config: Config,
    *,
    instance: str | None,
    until_end: bool,
    reset_state: bool,
    make_operator: Callable[..., Any] = ScoringOperator,
) -> int:
    """Run the worker in this process until a signal or the end of its input; return the exit status.

    Raises
    ------
    Fault
        With a message for a person: no broker, no topic, or a state that must not be continued.
    """
    network_class = class_of(config.network_classes)
    source, requests = config.topic("buckets"), config.topic("requests")
    topics = [source, requests, *(config.topic(logical) for logical in CONTROL_TOPICS)]
    seen = sync_client.survey(config, topics, state_of="networks")
    make = functools.partial(make_operator, network_class=network_class)
    app = build_app(
        config,
        NetworksTask(seen.partitions[requests], make),
        instance,
        sources=[source],
        state_partitions=seen.partitions[source],
        until_end=seen.ends if until_end else None,
        reset_state=reset_state,
    )
    return run_app(config, app, instance)
