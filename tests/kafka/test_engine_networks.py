"""The networks shell on a real broker: order, control records, restarts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.kafka.engine_rig import Rig, rig, wait_for

PARTITIONS = 2


@pytest.fixture
def made(broker: str, topic_prefix: str, tmp_path: Path) -> Iterator[Rig]:
    with rig(broker, topic_prefix, tmp_path, partitions=PARTITIONS) as it:
        yield it


def send_buckets(made: Rig, first: int, last: int, *, final: bool = False) -> None:
    """Bucket records of both partitions, as the accounts workers send them."""
    bodies = [
        {"p": p, "b": bucket, "kind": "bucket", "counts": {"a": bucket + 1}}
        for bucket in range(first, last)
        for p in range(PARTITIONS)
    ]
    bodies += [{"p": p, "b": 2**31, "kind": "final", "counts": {}} for p in range(PARTITIONS) if final]
    made.produce(bodies, "buckets")


def alerts(made: Rig) -> list[dict[str, object]]:
    """Alerts in the order of buckets, without equal repeats."""
    found = [orjson.loads(value) for value in made.distinct("alerts").values()]
    return sorted(found, key=lambda alert: alert["b"])


def release(made: Rig, name: str) -> None:
    made.produce_raw([(name.encode(), name.encode())], "releases")


def controls(alert: dict[str, object]) -> list[str]:
    """The control records that were in effect for an alert."""
    return [control[2] for control in alert["controls"]]  # type: ignore[attr-defined]


def test_control_topics_are_read_before_the_first_bucket(made: Rig) -> None:
    for number in range(300):
        release(made, f"m{number}") if number == 0 else None
    made.produce_raw([(b"r%d" % n, b"m%d" % n) for n in range(1, 3_000)], "releases")
    made.produce_raw([(b"d", b"closed")], "decisions")
    send_buckets(made, 0, 50, final=True)
    made.run("networks")
    found = alerts(made)
    assert [alert["sum"] for alert in found] == [PARTITIONS * (bucket + 1) for bucket in range(50)]
    assert {len(controls(alert)) for alert in found} == {3_001}
    committed, ends = made.committed("networks", "buckets")
    assert committed == ends
    made.run("networks")
    assert alerts(made) == found


@pytest.mark.long
def test_a_bucket_uses_the_same_control_records_after_kill_9(made: Rig) -> None:
    release(made, "first")
    send_buckets(made, 0, 10)
    worker = made.worker("networks")
    wait_for("alerts", lambda: made.size(made.config.topic("alerts")) >= 10)

    # The pin of "second" is stored (write 1 after the restart is the first checkpoint's
    # shard), the buckets that use it are scored, and the process is killed.
    release(made, "second")
    worker.kill()
    for kill_at in (1, 2, 3):
        worker = made.worker("networks", ENGINE_TEST_KILL_AT=str(kill_at))
        send_buckets(made, 10 * kill_at, 10 * kill_at + 10)
        assert worker.wait() == -signal.SIGKILL
        release(made, f"after-{kill_at}")
    send_buckets(made, 40, 41, final=True)
    made.run("networks")

    found = alerts(made)  # distinct() fails when a bucket was scored in two ways
    assert [alert["b"] for alert in found] == list(range(41))
    used = [len(controls(alert)) for alert in found]
    assert used == sorted(used)
    assert used[0] == 1
    assert controls(found[-1]) == ["first", "second", "after-1", "after-2", "after-3"]


def test_a_control_record_takes_effect_while_buckets_flow(made: Rig) -> None:
    worker = made.worker("networks")
    send_buckets(made, 0, 5)
    wait_for("alerts", lambda: made.size(made.config.topic("alerts")) >= 5)
    release(made, "late")
    # Its checkpoint shows that the record was read.
    wait_for("the record in the state", lambda: any(b"late" in (v or b"") for _, v in state(made)))
    send_buckets(made, 5, 10)
    wait_for("alerts", lambda: made.size(made.config.topic("alerts")) >= 10)
    worker.process.terminate()
    assert worker.wait() == 0
    assert [controls(alert) for alert in alerts(made)] == [[]] * 5 + [["late"]] * 5


@pytest.mark.long
def test_a_worker_paused_past_its_session_scores_nothing_more(made: Rig) -> None:
    """Another worker has scored its buckets meanwhile, with newer control records."""
    release(made, "first")
    send_buckets(made, 0, 40)
    slow = {"ENGINE_TEST_SLOW_MS": "300", "ENGINE_TEST_CHUNK": "1", "ENGINE_TEST_LATE_NEWS": "2"}
    short = {"PIVOTWATCH_SESSION_TIMEOUT": "2s"}
    stale = made.worker("networks", instance="stale", **slow, **short)
    wait_for("an alert", lambda: alerts(made))
    stale.process.send_signal(signal.SIGSTOP)
    release(made, "second")
    other = made.worker("networks", instance="other", **short)
    wait_for("all alerts", lambda: len(alerts(made)) == 40)
    stale.process.send_signal(signal.SIGCONT)
    wait_for("it to join again", lambda: stale.text().count("Joined group") > 1)
    for worker in (stale, other):
        worker.process.terminate()
        assert worker.wait() == 0
    found = alerts(made)  # distinct() fails when a bucket was scored in two ways
    assert [alert["b"] for alert in found] == list(range(40))
    assert controls(found[0]) == ["first"]
    assert controls(found[-1]) == ["first", "second"]


def state(made: Rig) -> list[tuple[bytes, bytes]]:
    return made.read_topic(made.changelog("networks"))
