"""Keys are assigned to the same partition as by Kafka's own producers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as reference

from pivotwatch.base.partitioning import murmur2, partition_of


@given(st.binary(max_size=64))
def test_the_hash_is_that_of_kafka(data: bytes) -> None:
    assert murmur2(data) == reference(data) & 0xFFFFFFFF


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.integers(1, 64))
def test_a_key_gets_the_partition_of_a_producer(key: str, partitions: int) -> None:
    assert partition_of(key, partitions) == (reference(key.encode()) & 0x7FFFFFFF) % partitions
