"""A simulation sent through a real broker."""

from __future__ import annotations

import time
from collections.abc import Iterator

import orjson
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic
from kafka.partitioner.default import murmur2

from pivotwatch.base.errors import OutOfReach
from pivotwatch.simulation import Simulation, generate
from pivotwatch.simulation.kafka import Player

PARTITIONS = 3


def tiny(**parameters: float) -> Simulation:
    return generate("delayed-delivery", seed=4, scale=0.01, days=0.5, warmup_days=0.5, **parameters)


@pytest.fixture
def topics(broker: str, topic_prefix: str) -> Iterator[tuple[str, str]]:
    names = (f"{topic_prefix}requests", f"{topic_prefix}releases")
    admin = KafkaAdminClient(bootstrap_servers=broker)
    forever = {"retention.ms": "-1"}
    admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=forever) for name in names])
    yield names
    admin.delete_topics(list(names))
    admin.close()


def read(broker: str, topic: str) -> list[list[tuple[bytes | None, bytes, int]]]:
    """Key, value and timestamp of all records, by partition."""
    consumer = KafkaConsumer(bootstrap_servers=broker)
    places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    ends = consumer.end_offsets(places)
    found: list[list[tuple[bytes | None, bytes, int]]] = [[] for _ in places]
    while any(consumer.position(place) < ends[place] for place in places):
        for place, records in consumer.poll(timeout_ms=500).items():
            found[place.partition].extend((r.key, r.value, r.timestamp) for r in records)
    consumer.close()
    return found


def expected(simulation: Simulation) -> list[list[tuple[bytes, bytes, int]]]:
    partitions: list[list[tuple[bytes, bytes, int]]] = [[] for _ in range(PARTITIONS)]
    for part in simulation.slices():
        for line, key, when in zip(part.lines, part.accounts, part.delivery.tolist(), strict=True):
            partitions[(murmur2(key) & 0x7FFFFFFF) % PARTITIONS].append((key, line, when))
    return partitions


def test_records_have_the_right_key_time_and_order(broker: str, topics: tuple[str, str]) -> None:
    requests, releases = topics
    simulation = tiny()
    with Player(broker) as player:
        assert player.send_releases(simulation.releases, releases) == 1
        assert player.play(simulation.slices(), requests) == simulation.totals["events"]
    assert read(broker, requests) == expected(simulation)
    ((key, value, _),) = [record for part in read(broker, releases) for record in part]
    assert key == b"m-2"
    assert orjson.loads(value) == simulation.releases[0]


def test_arrays_hold_the_same_events_in_the_same_partitions(broker: str, topics: tuple[str, str]) -> None:
    simulation = tiny()
    with Player(broker) as player:
        records = player.play(simulation.slices(), topics[0], batch=7)
    found = read(broker, topics[0])
    assert sum(map(len, found)) == records < simulation.totals["events"]
    for got, want in zip(found, expected(simulation), strict=True):
        arrays = [orjson.loads(value) for _, value, _ in got]
        assert [event for array in arrays for event in array] == [orjson.loads(line) for _, line, _ in want]
        assert all(
            max(event["ts"] for event in array) <= when
            for array, (_, _, when) in zip(arrays, got, strict=True)
        )


def test_speed_scales_event_time(broker: str, topics: tuple[str, str]) -> None:
    with Player(broker) as player:
        started = time.monotonic()
        player.play(tiny().slices(), topics[0], speed=24 * 3600)
        assert 0.8 < time.monotonic() - started < 5


def test_a_refused_record_is_an_error(broker: str, topics: tuple[str, str]) -> None:
    far = 4_000_000_000_000
    with Player(broker) as player, pytest.raises(OutOfReach, match="did not acknowledge a record"):
        player.play(tiny(begin=far).slices(), topics[0])


def test_a_missing_broker_raises_out_of_reach() -> None:
    with pytest.raises(OutOfReach, match=r"no broker at 127\.0\.0\.1:1") as caught:
        Player("127.0.0.1:1", {"bootstrap_timeout_ms": 200})
    assert caught.value.exit_status == 3
