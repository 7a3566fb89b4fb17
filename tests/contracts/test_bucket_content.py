"""Decoding of the content of a bucket record into arrays."""

from __future__ import annotations

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from pivotwatch.contracts import bucket_content

numbers = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(st.tuples(numbers, numbers, numbers), max_size=9))
def test_a_table_is_read_as_it_was_written(rows):
    table = bucket_content.table(Raw(orjson.dumps(rows)), 3)
    assert table.shape == (len(rows), 3)
    assert table.tolist() == list(map(list, rows))


@given(st.sets(st.lists(st.integers(0, 400), max_size=4, unique=True).map(tuple), max_size=9))
def test_sets_are_read_as_they_were_written(some):
    ordered = sorted(some)
    sizes, flat = bucket_content.sets(Raw(orjson.dumps(ordered)))
    assert sizes.tolist() == [len(one) for one in ordered]
    assert flat.tolist() == [number for one in ordered for number in one]


def test_missing_parts_are_empty():
    told = bucket_content.decode(b'{"watermark":7,"joined":[["network","AS1",2]]}')
    assert (told.late, bytes(told.active), bytes(told.groups)) == (0, b"[]", b"[]")
    assert bucket_content.tallies_of(told.joined) == [("network", "AS1", 2)]
    assert bucket_content.table(told.traffic, 4).shape == (0, 4)
    assert np.array_equal(bucket_content.sets(told.sets)[0], [])
