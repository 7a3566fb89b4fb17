"""Health by progress: what counts as stalled, and what does not."""

from __future__ import annotations

from pivotwatch.engine.health import JOINING, Health

LIMIT = 60.0


def looks(*seen: tuple[float, dict[int, int], dict[int, int] | None]) -> list[list[int]]:
    """What is stalled after each look."""
    health = Health(None, LIMIT)
    found = []
    for now, progress, ends in seen:
        health.look(now, progress, ends)
        found.append(health.stalled)
    return found


def test_one_partition_that_stands_is_enough() -> None:
    ends = {0: 100, 1: 100}
    assert looks((0, {0: 5, 1: 5}, ends), (61, {0: 9, 1: 5}, ends), (62, {0: 9, 1: 6}, ends)) == [[], [1], []]


def test_it_stands_at_the_end_without_being_stalled() -> None:
    assert looks((0, {0: 9}, {0: 9}), (100, {0: 9}, {0: 9}), (101, {0: 9}, {0: 10})) == [[], [], []]
    assert looks((0, {0: 9}, {0: 9}), (100, {0: 9}, {0: 10}), (161, {0: 9}, {0: 10})) == [[], [], [0]]


def test_nothing_is_held_against_it_while_the_broker_is_away() -> None:
    ends = {0: 9}
    assert looks((0, {0: 5}, ends), (59, {0: 5}, None), (61, {0: 5}, ends), (119, {0: 5}, ends)) == [[]] * 4
    assert looks((0, {0: 5}, None), (61, {0: 5}, ends), (122, {0: 5}, ends)) == [[], [], [0]]


def test_a_recovery_that_reads_is_progress_and_one_that_does_not_is_none() -> None:
    assert looks((0, {JOINING: 0}, {}), (61, {JOINING: 7}, {}), (122, {JOINING: 7}, {})) == [
        [],
        [],
        [JOINING],
    ]
    assert looks((0, {JOINING: 0}, {}), (61, {}, {}), (200, {}, {})) == [[], [], []]
