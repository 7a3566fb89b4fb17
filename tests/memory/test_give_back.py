"""What a worker does about its memory after every checkpoint."""

from __future__ import annotations

import gc
import weakref

import pytest

from pivotwatch.engine.gc_tuning import FULL_EACH, give_back


@pytest.fixture
def found():
    """Unreachable objects found by every collection."""
    found: list[int] = []

    def note(phase, info):
        if phase == "stop":
            found.append(info["collected"])

    gc.collect()
    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)


def test_giving_back_makes_no_garbage_of_its_own(found):
    for _ in range(FULL_EACH):
        give_back()
    assert len(found) >= FULL_EACH
    assert sum(found) == 0


class Cycle:
    def __init__(self):
        self.itself = self


def test_a_cycle_goes_at_once_and_an_old_one_in_a_while():
    young, old = Cycle(), Cycle()
    seen = weakref.ref(old)
    gc.collect()  # What survives is old from now on.
    young = Cycle()
    seen_young = weakref.ref(young)
    del young, old
    give_back()
    assert seen_young() is None
    for _ in range(FULL_EACH):
        give_back()
    assert seen() is None
