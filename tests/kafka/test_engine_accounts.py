"""The accounts shell on a real broker: exact counts, whatever happens to the worker."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from pivotwatch.base.errors import OutOfReach
from tests.kafka.engine_rig import Rig, events, poison_file, rig, wait_for

# Small, slow chunks.
SLOW = {"ENGINE_TEST_SLOW_MS": "0.2", "ENGINE_TEST_CHUNK": "200"}


@pytest.fixture
def made(broker: str, topic_prefix: str, tmp_path: Path) -> Iterator[Rig]:
    with rig(broker, topic_prefix, tmp_path) as it:
        yield it


def counted(records: Mapping[bytes, bytes], kind: str) -> Counter[str]:
    """Sum the counts of all records of a kind."""
    total: Counter[str] = Counter()
    for value in records.values():
        body = orjson.loads(value)
        if body["kind"] == kind:
            total.update(body["counts"])
    return total


def changelog_size(made: Rig) -> int:
    """Number of records in the changelog; 0 before it exists."""
    try:
        return made.size(made.changelog("accounts"))
    except OutOfReach:
        return 0


def live_keys(made: Rig) -> set[bytes]:
    """Keys of the changelog that remain after compaction."""
    latest = dict(made.read_topic(made.changelog("accounts")))
    return {key for key, value in latest.items() if value is not None}


def expected(stream: list[dict[str, Any]]) -> Counter[str]:
    return Counter(event["a"] for event in stream)


def test_counts_are_exact_and_a_finished_run_ends_at_once(made: Rig) -> None:
    stream = events(20_000)
    made.produce(stream)
    made.produce_raw([(b"a1", b"not an event")])
    made.run("accounts")

    buckets = made.read("buckets")
    assert len(buckets) == len(dict(buckets))
    assert counted(dict(buckets), "bucket") == counted(dict(buckets), "final") == expected(stream)
    assert made.read("dlq") == [(b"a1", b"not an event")]
    committed, ends = made.committed()
    assert committed == ends

    made.run("accounts")
    assert made.read("buckets") == buckets
    made.produce(events(10))
    refused = made.run("accounts", status=2)
    assert "declared finished" in refused.text()


@pytest.mark.long
def test_kill_9_in_mid_stream_changes_nothing(made: Rig, broker: str, tmp_path: Path) -> None:
    stream = events(30_000)
    made.produce(stream)
    with rig(broker, f"calm-{made.config.topic_prefix}", tmp_path) as calm:
        calm.produce(stream)
        calm.run("accounts")
        undisturbed = calm.distinct("buckets")
    for further in (10, 140, 300):
        reached = changelog_size(made)
        worker = made.worker("accounts", "--until-end", **SLOW)
        wait_for("checkpoints", lambda: changelog_size(made) >= reached + further)  # noqa: B023
        assert worker.process.poll() is None, "the worker ended before it was killed"
        worker.kill()
    made.run("accounts")

    assert made.distinct("buckets") == undisturbed
    assert counted(undisturbed, "final") == expected(stream)
    committed, ends = made.committed()
    assert committed == ends


@pytest.mark.long
def test_kill_9_at_every_stage_of_a_checkpoint(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    with rig(
        broker, topic_prefix, tmp_path, partitions=1, checkpoint_interval="60s", checkpoint_events=3_000
    ) as made:
        stream = events(12_000)
        made.produce(stream)
        # Of 64 shards: among the first ones; the manifest; the first deletion
        # of what the killed ones left; in the second and a later checkpoint.
        for call in (10, 65, 66, 140):
            made.run(
                "accounts", status=-signal.SIGKILL, ENGINE_TEST_KILL_AT=str(call), ENGINE_TEST_CHUNK="400"
            )
        made.run("accounts")
        buckets = made.distinct("buckets")
        assert len(made.read("buckets")) > len(buckets), "outputs of a lost checkpoint are sent again"
        assert counted(buckets, "bucket") == counted(buckets, "final") == expected(stream)
        assert len({key.split(b"/")[0] for key in live_keys(made)}) == 1, "older epochs were not deleted"


def test_an_exception_ends_the_process_and_skips_nothing(made: Rig, tmp_path: Path) -> None:
    stream = [*events(12_000), {"a": "poison", "t": 600}, *({"a": "b", "t": 601} for _ in range(12_000))]
    made.produce(stream)
    poison = poison_file(tmp_path)
    for _ in range(2):
        broken = made.run("accounts", status=1, ENGINE_TEST_POISON=poison)
        assert "RuntimeError: poisoned" in broken.text()
    made.run("accounts")
    assert counted(made.distinct("buckets"), "final") == expected(stream)


def test_sigterm_with_pending_chunks_ends_cleanly_and_soon(made: Rig) -> None:
    stream = events(30_000)
    made.produce(stream)
    worker = made.worker("accounts", **SLOW)
    wait_for("a checkpoint", lambda: changelog_size(made))
    begun = time.monotonic()
    worker.process.terminate()
    assert worker.wait() == 0, worker.text()[-4000:]
    assert time.monotonic() - begun < 10
    committed, ends = made.committed()
    assert 0 < sum(committed) < sum(ends)

    made.run("accounts")
    assert counted(made.distinct("buckets"), "final") == expected(stream)
