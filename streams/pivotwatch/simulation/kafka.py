"""Sends simulations to Kafka at the pace of event time.

The key of a record is the account, and its timestamp is the delivery time. Kafka uses the timestamp for
retention: a topic for past events needs a retention that covers them. With default settings a broker
rejects events of the future.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson
from kafka import KafkaProducer
from kafka.errors import KafkaError

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.base.partitioning import POSITIVE, murmur2
from pivotwatch.simulation.encode import Slice

Row = tuple[bytes, bytes, int]
# Length of the part of the stream that is sent without a look at the clock.
BURST_SECONDS = 0.02


class Player:
    """Sends a simulation to Kafka.

    Parameters
    ----------
    brokers
        ``HOST:PORT``, several separated by commas.
    options
        Further settings of the producer of kafka-python, such as security.

    Raises
    ------
    OutOfReach
        When no broker answers, or Kafka does not acknowledge a record.
    """

    def __init__(self, brokers: str, options: Mapping[str, Any] | None = None) -> None:
        settings: dict[str, Any] = {
            "bootstrap_servers": brokers.split(","),
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": 20,
            "batch_size": 256 * 1024,
            "bootstrap_timeout_ms": 5_000,
            "max_block_ms": 30_000,
            "metrics_enabled": False,
            # kafka-python computes checksums in Python, so fewer bytes are faster. Every consumer can
            # read gzip; zstd would be twice as fast here, but not every consumer supports it.
            "compression_type": "gzip",
            **(options or {}),
        }
        try:
            self._producer = KafkaProducer(**settings)
        except KafkaError as error:
            raise OutOfReach(f"no broker at {brokers}: {error}") from None
        except (OSError, ValueError) as error:
            raise WrongUse(f"brokers {brokers}: {error}") from None
        self._hashes: dict[bytes, int] = {}
        self._lock = threading.Lock()
        self._sent = 0
        self._acknowledged = 0
        self._error: BaseException | None = None

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close(timeout=10)

    def send_releases(self, releases: Iterable[Mapping[str, str]], topic: str = "releases") -> int:
        """Send the release calendar, keyed by model, and wait until Kafka has acknowledged it."""
        count = 0
        for entry in releases:
            self._send(topic, orjson.dumps(entry), entry["model"].encode(), None)
            count += 1
        self._finish()
        return count

    def play(
        self,
        slices: Iterable[Slice],
        topic: str,
        *,
        speed: float = 0.0,
        batch: int = 1,
        progress: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Send events, and return the number of records when Kafka has acknowledged all of them.

        Parameters
        ----------
        speed
            Seconds of event time per second; 0 means as fast as the broker accepts them.
        batch
            Largest number of events per record. With more than 1, a record is a JSON array of events of one
            partition, without a key. That is many times faster; events and their order in a partition stay
            the same.
        progress
            Called now and then with the number of events sent since the last call.
        """
        before = self._acknowledged
        for part in _paced(slices, speed):
            partitions = self._count_partitions(topic)
            if batch > 1:
                self._send_arrays(topic, part, batch, partitions)
            else:
                for line, key, when in part:
                    self._send(topic, line, key, when, self._hash(key) % partitions)
            self._raise_failure()
            progress(len(part))
        self._finish()
        return self._acknowledged - before

    def _count_partitions(self, topic: str) -> int:
        try:
            return len(self._producer.partitions_for(topic))
        except KafkaError as error:
            raise OutOfReach(f"topic {topic}: {error}") from None

    def _send_arrays(self, topic: str, part: list[Row], batch: int, partitions: int) -> None:
        """Send one record per partition and ``batch`` events; its timestamp is that of the last event."""
        arrays: dict[int, list[bytes]] = {}
        when = 0
        for line, key, when in part:
            partition = self._hash(key) % partitions
            lines = arrays.setdefault(partition, [])
            lines.append(line)
            if len(lines) == batch:
                self._send(topic, _array(arrays.pop(partition)), None, when, partition)
        for partition, lines in arrays.items():
            self._send(topic, _array(lines), None, when, partition)

    def _hash(self, key: bytes) -> int:
        """The hash that Kafka's default partitioner uses; it is computed once per key."""
        found = self._hashes.get(key)
        if found is None:
            found = self._hashes[key] = murmur2(key) & POSITIVE
        return found

    def _send(
        self, topic: str, value: bytes, key: bytes | None, timestamp: int | None, partition: int | None = None
    ) -> None:
        try:
            future = self._producer.send(
                topic, value=value, key=key, partition=partition, timestamp_ms=timestamp
            )
        except (KafkaError, ValueError) as error:
            raise OutOfReach(f"topic {topic}: cannot send: {error}") from None
        self._sent += 1
        future.add_callback(self._succeeded)
        future.add_errback(self._failed)

    def _succeeded(self, _: object) -> None:
        with self._lock:
            self._acknowledged += 1

    def _failed(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error

    def _raise_failure(self) -> None:
        if self._error is not None:
            raise OutOfReach(f"Kafka did not acknowledge a record: {self._error}")

    def _finish(self) -> None:
        """Wait until Kafka has acknowledged every record."""
        try:
            self._producer.flush(timeout=120)
        except KafkaError as error:
            self._raise_failure()
            raise OutOfReach(f"Kafka did not acknowledge all records: {error}") from None
        self._raise_failure()
        # flush may return a moment before the last callbacks run.
        deadline = time.monotonic() + 5.0
        while self._acknowledged < self._sent and time.monotonic() < deadline:
            time.sleep(0.01)
            self._raise_failure()
        if self._acknowledged < self._sent:
            raise OutOfReach(f"Kafka did not acknowledge {self._sent - self._acknowledged} records")


def _array(lines: list[bytes]) -> bytes:
    return b"[" + b",".join(lines) + b"]"


def _paced(slices: Iterable[Slice], speed: float) -> Iterator[list[Row]]:
    """Parts of the stream (lines, keys, times), each yielded when it is due."""
    started = time.monotonic()
    origin: int | None = None
    for part in slices:
        rows = list(zip(part.lines, part.accounts, part.delivery.tolist(), strict=True))
        if speed <= 0:
            yield rows
            continue
        if origin is None:
            origin = part.begin
        due = ((part.delivery - origin) / 1000.0 / speed).tolist()
        at = 0
        while at < len(rows):
            wait = due[at] - (time.monotonic() - started)
            if wait > 0:
                time.sleep(wait)
            limit = max(time.monotonic() - started, due[at]) + BURST_SECONDS
            until = at + 1
            while until < len(rows) and due[until] <= limit:
                until += 1
            yield rows[at:until]
            at = until
