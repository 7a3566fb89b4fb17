"""When data are too thin for the bucket width, and which width is advised."""

from __future__ import annotations

import pytest

from pivotwatch_models.method import DECISION
from pivotwatch_models.population.data_sufficiency import advised_width
from pivotwatch_models.settings import DAY_MS, HOUR_MS
from tests.models.world import World

LEAST_BUCKETS, WIDTHS = DECISION.sufficiency.least_buckets, DECISION.sufficiency.widths_ms


@pytest.mark.parametrize(
    ("moves", "buckets", "width", "advised"),
    [
        (240, 240, HOUR_MS, None),
        (239, 240, HOUR_MS, 6 * HOUR_MS),
        (40, 240, HOUR_MS, DAY_MS),
        (3, 240, HOUR_MS, 7 * DAY_MS),
        (0, 240, HOUR_MS, 7 * DAY_MS),
        (3, 20, DAY_MS, 7 * DAY_MS),
        (0, 20, 7 * DAY_MS, None),
        (0, LEAST_BUCKETS - 1, HOUR_MS, None),
        (10, 100, 60_000, HOUR_MS),
    ],
)
def test_the_next_width_with_two_moves_a_bucket_is_advised(moves, buckets, width, advised):
    assert advised_width(moves, buckets, width) == advised


def test_the_advice_is_a_width_that_is_not_too_thin():
    for moves in range(1, 200, 7):
        width = advised_width(moves, 200, HOUR_MS)
        if width and width < WIDTHS[-1]:
            assert advised_width(moves * 10, 200 * 10 * HOUR_MS // width, width) is None


def test_a_watch_counts_silent_buckets_too():
    world = World()
    for _ in range(6):
        world.step()  # two of the rest move in every bucket
    assert world.watch.history.first_uses_per_bucket == 2.0
    assert world.watch.history.advised_width(HOUR_MS) is None
    for _ in range(20):
        world.step(empty=True)
    world.step()
    assert world.watch.history.first_uses_per_bucket == pytest.approx(14 / 27)
    assert world.watch.history.advised_width(HOUR_MS) == 6 * HOUR_MS
