"""Health by progress: when a worker counts as stalled."""

from __future__ import annotations

from typing import Any

from pivotwatch.engine.health import JOINING, Health
from pivotwatch.engine.types import TP
from tests.engine.rig import Nobody

LIMIT = 60.0


Progress = dict[Any, int]


def keyed(progress: Progress) -> Progress:
    """Partitions by number as partitions of the input."""
    return {TP("requests", key) if isinstance(key, int) else key: offset for key, offset in progress.items()}


def looks(*seen: tuple[float, Progress, Progress | None]) -> list[list[str]]:
    """The stalled partitions after each check."""
    health = Health(Nobody(), LIMIT)
    found = []
    for now, progress, ends in seen:
        health.look(now, keyed(progress), None if ends is None else keyed(ends))
        found.append(health.stalled)
    return found


def test_one_stalled_partition_is_enough() -> None:
    ends = {0: 100, 1: 100}
    assert looks((0, {0: 5, 1: 5}, ends), (61, {0: 9, 1: 5}, ends), (62, {0: 9, 1: 6}, ends)) == [
        [],
        ["1"],
        [],
    ]


def test_a_partition_at_its_end_is_not_stalled() -> None:
    assert looks((0, {0: 9}, {0: 9}), (100, {0: 9}, {0: 9}), (101, {0: 9}, {0: 10})) == [[], [], []]
    assert looks((0, {0: 9}, {0: 9}), (100, {0: 9}, {0: 10}), (161, {0: 9}, {0: 10})) == [[], [], ["0"]]


def test_a_worker_is_not_stalled_while_the_broker_is_down() -> None:
    ends = {0: 9}
    assert looks((0, {0: 5}, ends), (59, {0: 5}, None), (61, {0: 5}, ends), (119, {0: 5}, ends)) == [[]] * 4
    assert looks((0, {0: 5}, None), (61, {0: 5}, ends), (122, {0: 5}, ends)) == [[], [], ["0"]]


def test_a_recovery_makes_progress_only_while_it_reads() -> None:
    assert looks((0, {JOINING: 0}, {}), (61, {JOINING: 7}, {}), (122, {JOINING: 7}, {})) == [
        [],
        [],
        [JOINING],
    ]
    assert looks((0, {JOINING: 0}, {}), (61, {}, {}), (200, {}, {})) == [[], [], []]
