"""Health by progress: what counts as stalled, and what does not."""

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
    """What is stalled after each look."""
    health = Health(Nobody(), LIMIT)
    found = []
    for now, progress, ends in seen:
        health.look(now, keyed(progress), None if ends is None else keyed(ends))
        found.append(health.stalled)
    return found


def test_one_partition_that_stands_is_enough() -> None:
    ends = {0: 100, 1: 100}
    assert looks((0, {0: 5, 1: 5}, ends), (61, {0: 9, 1: 5}, ends), (62, {0: 9, 1: 6}, ends)) == [
        [],
        ["1"],
        [],
    ]


def test_it_stands_at_the_end_without_being_stalled() -> None:
    assert looks((0, {0: 9}, {0: 9}), (100, {0: 9}, {0: 9}), (101, {0: 9}, {0: 10})) == [[], [], []]
    assert looks((0, {0: 9}, {0: 9}), (100, {0: 9}, {0: 10}), (161, {0: 9}, {0: 10})) == [[], [], ["0"]]


def test_nothing_is_held_against_it_while_the_broker_is_away() -> None:
    ends = {0: 9}
    assert looks((0, {0: 5}, ends), (59, {0: 5}, None), (61, {0: 5}, ends), (119, {0: 5}, ends)) == [[]] * 4
    assert looks((0, {0: 5}, None), (61, {0: 5}, ends), (122, {0: 5}, ends)) == [[], [], ["0"]]


def test_a_recovery_that_reads_is_progress_and_one_that_does_not_is_none() -> None:
    assert looks((0, {JOINING: 0}, {}), (61, {JOINING: 7}, {}), (122, {JOINING: 7}, {})) == [
        [],
        [],
        [JOINING],
    ]
    assert looks((0, {JOINING: 0}, {}), (61, {}, {}), (200, {}, {})) == [[], [], []]
