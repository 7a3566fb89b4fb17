"""Long sorts give the order of `sorted`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.detection.counting import long_sort
from pivotwatch.detection.counting.long_sort import long_sorted


@given(st.sets(st.text(max_size=3), max_size=60))
def test_a_sort_by_ranges_is_a_sort(names):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_sort, "PART", 4)
        assert long_sorted(list(names), key=str) == sorted(names)
