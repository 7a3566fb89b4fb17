"""Returning memory to the system after every checkpoint: `pivotwatch.engine.gc_tuning`."""

from __future__ import annotations

import gc
import weakref

import pytest

from pivotwatch.engine.gc_tuning import FULL_EACH, give_back


@pytest.fixture
def found():
    """Number of unreachable objects that each garbage collection found."""
    found: list[int] = []

    def note(phase, info):
        if phase == "stop":
            found.append(info["collected"])

    gc.collect()
    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)


def test_it_creates_no_garbage(found):
    for _ in range(FULL_EACH):
        give_back()
    assert len(found) >= FULL_EACH
    assert sum(found) == 0


class Cycle:
    def __init__(self):
        self.itself = self


def test_new_cycles_are_collected_at_once_and_old_ones_later():
    young, old = Cycle(), Cycle()
    seen = weakref.ref(old)
    gc.collect()  # Objects that survive belong to the old generation from here on.
    young = Cycle()
    seen_young = weakref.ref(young)
    del young, old
    give_back()
    assert seen_young() is None
    for _ in range(FULL_EACH):
        give_back()
    assert seen() is None
