"""The scoring operator: scores each bucket, in order, once its records are there from every partition.

It keeps what is global: the release calendar, one watch per release (the population's hazard and the
detectors of the groups), e-BH over all groups, incidents, and decisions. There is one instance; it reads the
single partition of ``buckets``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pivotwatch.base.network_classes import NetworkClass
from pivotwatch.contracts.bucket_record import decode
from pivotwatch.contracts.dead_letters import undecodable
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import InputRecord, Output
from pivotwatch.contracts.status import Status
from pivotwatch.detection.scoring.bucket_facts import update_calendar, update_groups
from pivotwatch.detection.scoring.bucket_view import BucketView
from pivotwatch.detection.scoring.control_log import Entry
from pivotwatch.detection.scoring.networks_state import STATE_VERSION, NetworksState
from pivotwatch.detection.scoring.status import output, status_of
from pivotwatch.detection.scoring.watch_set import WatchSet
from pivotwatch_models.settings import Settings


class ScoringOperator:
    """Scores buckets over all partitions.

    Parameters
    ----------
    settings
        Parameters of the method.
    partitions
        Number of partitions of ``requests``.
    network_class
        Returns the class of a network, or None when it is not known. Alerts show the class, and a suspect
        class can raise the severity.

    Attributes
    ----------
    state
        Everything that is remembered between buckets.
    """

    version = STATE_VERSION

    def __init__(
        self, settings: Settings, partitions: int, network_class: NetworkClass = lambda _: None
    ) -> None:
        self.settings = settings
        self.state = NetworksState(settings, partitions)
        self._watch_set = WatchSet(self.state, network_class)
        self._status: Status | None = None

    @property
    def finished(self) -> bool:
        """Whether every partition has ended and every bucket is scored."""
        return self.state.alignment.finished

    def process(self, records: Sequence[InputRecord]) -> list[Output]:
        """Take bucket records; returns the alerts and the status of each bucket that they complete.

        A record that `accounts` did not write becomes a dead letter.

        Raises
        ------
        NewerRecord
            When a record has a newer version. It is genuine, so scoring without it would be wrong.
        """
        outputs: list[Output] = []
        alignment, controls = self.state.alignment, self.state.controls
        for record in records:
            try:
                alignment.put(*decode(record.value))
            except BadEvent as error:
                outputs.append(undecodable(record, record.value, None, error, ("buckets", 0)))
                continue
            while (bucket := alignment.ready()) is not None:
                if alignment.is_next_empty and not self.state.watches and not controls.any_due(bucket):
                    alignment.skip()
                else:
                    outputs += self._score(bucket)
        return outputs

    def control(self, topic: str, record: InputRecord) -> list[Output]:
        """Take a record of ``releases`` or ``decisions``; returns a dead letter when it cannot be read."""
        try:
            self.state.controls.take(topic, record, self.state.alignment.next)
        except BadEvent as error:
            return [undecodable(record, record.value, None, error, (topic, 0))]
        return []

    def pins(self) -> bytes:
        """All control records that are taken but not yet part of a snapshot."""
        return self.state.controls.pins()

    def repin(self, pins: bytes) -> None:
        """Take the pinned control records again, with effect at the same buckets."""
        self.state.controls.repin(pins)

    def counters(self) -> dict[str, int]:
        """Numbers of the present moment, for metrics; those of the status come with the next bucket."""
        counters = {"open_incidents": self._watch_set.open_incidents()}
        if (status := self._status) is not None:
            counters["idle_partitions"] = status.idle_partitions
            counters["late_groups"] = status.late_groups_total
            counters["forgotten_groups"] = status.forgotten_groups
            counters["skewed_networks"] = len(status.skewed_networks)
            counters["skewed_accounts"] = status.skewed_accounts_total
        return counters

    def meta(self) -> bytes:
        """The part of the state that belongs into the manifest."""
        return self.state.meta()

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        """The shards that changed since the last snapshot, or all (``full``)."""
        return self.state.snapshot(full=full)

    def restore(self, meta: bytes, shards: Mapping[int, bytes]) -> None:
        """Continue exactly where ``meta`` and ``shards`` were taken. The operator must be new.

        Raises
        ------
        StateRefused
            When a newer program wrote the state, or one so old that no migration is left.
        """
        self.state.restore(meta, shards)

    def _score(self, bucket: int) -> list[Output]:
        state = self.state
        view = BucketView.of(bucket, self.settings.bucket_ms, state.alignment.take())
        if not view.is_empty:
            state.calendar.begin(bucket * self.settings.bucket_ms)
        outputs = self._apply_controls(bucket)
        update_groups(state, view)
        outputs += self._watch_set.score(view)
        update_calendar(state, view)
        self._watch_set.drop_ended(bucket)
        self._status = status_of(state, view, forgotten_groups=self._watch_set.forgotten_groups)
        return [*outputs, output(bucket, self._status)]

    def _apply_controls(self, bucket: int) -> list[Output]:
        """Apply the control records that have effect from ``bucket``; returns the alerts."""
        outputs: list[Output] = []
        for control in self.state.controls.due(bucket):
            if isinstance(control, Entry):
                self.state.calendar.enter(control.model, control.released_at)
            else:
                outputs += self._watch_set.decide(bucket, control)
        return outputs
