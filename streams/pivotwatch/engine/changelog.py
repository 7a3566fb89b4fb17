"""The Faust table of the checkpoints: raw bytes, partition by partition.

The table exists so that Faust creates the changelog, assigns its partitions together with those of the
input, and reads them after every assignment. Nothing writes ``table[key] = value``: that goes to the
partition of the *current event*, and a timer has none. `PartitionLog` sends to its own partition and returns
the future.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Protocol

import faust
from faust.tables.manager import TableManager
from faust.types import TP

from pivotwatch.engine.kafka.topics import SHORT_LOG
from pivotwatch.engine.producer import AppProducer


class Owner(Protocol):
    """The owner of the live partitions of this worker."""

    async def load(self, partitions: Mapping[int, Mapping[bytes, bytes]]) -> None:
        """Create the live partitions of an assignment from the changelog."""


class CheckpointTable(faust.Table[bytes, bytes]):
    """A table that reads its changelog and passes it to the owner of the live partitions.

    Attributes
    ----------
    records_read
        Number of changelog records that this process has read. It grows during a recovery.
    """

    app: Any
    owner: Owner

    def __init__(self, app: Any, *, owner: Owner, settings: Mapping[str, str], **options: Any) -> None:
        super().__init__(
            app, key_type=bytes, value_type=bytes, extra_topic_configs={**settings, **SHORT_LOG}, **options
        )
        self.owner = owner
        self.records_read = 0
        self._read: dict[int, dict[bytes, bytes]] = defaultdict(dict)

    def _serializer_from_type(self, typ: Any) -> Any:
        return "raw"

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Store records of the changelog before Faust decodes them."""
        for event in batch:
            self.records_read += 1
            message = event.message
            partition = self._read[message.partition]
            if message.value is None:
                partition.pop(message.key, None)
            else:
                partition[message.key] = message.value

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Start over: every assignment loads its state again, so nothing stays in memory."""
        self._read.clear()
        for tp in assigned | revoked:
            if tp.topic == self.changelog_topic_name:
                # Otherwise Faust reads a partition that stays here from its last position.
                self.app.tables.recovery.revoke(tp)
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Pass on what was read. Faust seeks the input afterwards."""
        await super().on_recovery_completed(active_tps, standby_tps)
        recovery = self.app.tables.recovery
        if any(tp not in recovery.active_highwaters for tp in active_tps) or recovery.need_recovery():
            # This is the completion of the assignment before: a named member that joins again keeps its
            # generation, so Faust confuses the two. The new assignment completes later. Only the end at
            # which this recovery aimed counts, because a log may grow meanwhile.
            return
        read = {tp.partition: self._read.get(tp.partition, {}) for tp in active_tps}
        self._read.clear()
        try:
            await self.owner.load(read)
        except Exception as error:  # Faust ignores exceptions of its callbacks.
            await self.app.crash(error)


class Tables(TableManager):
    """Faust's table manager, without the second that it sleeps at the start."""

    async def on_start(self) -> None:
        """Subscribe to the changelogs, then wait for an assignment."""
        await self._update_channels()
        if not self.should_stop:
            await self.recovery.start()


class PartitionLog:
    """Writes to one partition of a changelog."""

    def __init__(self, producer: AppProducer, topic: str, partition: int) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition

    async def send(self, key: bytes, value: bytes | None) -> Awaitable[object]:
        """Send a record. The result is done when the broker has it."""
        return await self._producer.send(self._topic, key, value, partition=self._partition)
