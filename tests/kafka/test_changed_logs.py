"""A topic that was created again, or has lost its end, is noticed; the worker ends and says what to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from infra.kafka.local import LocalKafka
from pivotwatch.engine.fetching.leader_epochs import HEAD, LENGTH_AT
from tests.kafka.engine_rig import Rig, Worker, events, rig, wait_for

OFTEN = {"ENGINE_TEST_LOG_CHECK": "1"}
REFUSED = 2
"""Exit status of a worker that refuses to continue."""


@pytest.fixture
def made(broker: str, topic_prefix: str, tmp_path: Path) -> Iterator[Rig]:
    with rig(broker, topic_prefix, tmp_path, partitions=1) as it:
        yield it


def create_anew(made: Rig, topic: str) -> None:
    """Delete a topic, and create it again."""
    name = made.config.topic(topic)  # type: ignore[arg-type]
    admin = KafkaAdminClient(bootstrap_servers=made.config.brokers)
    admin.delete_topics([name])
    wait_for("the deletion", lambda: name not in admin.list_topics())
    wait_for("the creation", lambda: created(admin, name))
    admin.close()


def created(admin: KafkaAdminClient, name: str) -> bool:
    answer = admin.create_topics([NewTopic(name, 1, 1)], raise_errors=False)
    return answer["topics"][0]["error_code"] == 0


def refusal(worker: Worker) -> str:
    """What a worker says that refuses to continue."""
    assert worker.wait() == REFUSED, worker.text()[-3000:]
    return worker.text()


def counted(made: Rig, count: int) -> Worker:
    """Let a worker of accounts count some events, and save them; return it."""
    made.produce(events(count))
    worker = made.worker("accounts", **OFTEN)
    wait_for("the events", lambda: made.committed()[0] == [count])
    return worker


def stop(worker: Worker) -> None:
    worker.process.terminate()
    assert worker.wait() == 0


def test_requests_created_anew_while_the_worker_was_stopped(made: Rig) -> None:
    stop(counted(made, 300))
    create_anew(made, "requests")
    made.produce(events(900))
    text = refusal(made.worker("accounts"))
    assert f"{made.config.topic('requests')}, partition 0: the topic was deleted and created again" in text
    assert "offsets before 300" in text
    assert "pivotwatch worker --role accounts --reset-state; pivotwatch worker --role networks" in text
    made.run("accounts", "--reset-state")  # The command that the message names.


def test_requests_created_anew_while_the_worker_runs(made: Rig) -> None:
    worker = counted(made, 300)
    create_anew(made, "requests")
    made.produce(events(900))
    assert "the topic was deleted and created again" in refusal(worker)


def test_control_topics_created_anew(made: Rig) -> None:
    made.produce(events(300))
    made.run("accounts")
    made.produce_raw([(b"m-2", b"a release")], "releases")
    made.run("networks")
    create_anew(made, "releases")
    made.produce_raw([(b"m-2", b"another release")] * 3, "releases")
    text = refusal(made.worker("networks"))
    assert f"{made.config.topic('releases')}, partition 0: the topic was deleted and created again" in text
    assert "pivotwatch worker --role networks --reset-state" in text


@pytest.fixture
def own(topic_prefix: str, tmp_path: Path) -> Iterator[tuple[LocalKafka, Rig]]:
    """A broker of this test, and a rig."""
    with (
        LocalKafka(provider="java", data_dir=tmp_path / "kafka") as kafka,
        rig(kafka.address, topic_prefix, tmp_path, partitions=1) as it,
    ):
        yield kafka, it


def lose_end(kafka: LocalKafka, topic: str, lost: int) -> int:
    """Remove the last batches of a partition from the disk of a broker; return the offset where it ends.

    So does a broker that becomes leader without the last records.
    """
    assert kafka.data_dir is not None
    kafka.stop()
    folder = kafka.data_dir / "log"
    (segment,) = (folder / f"{topic}-0").glob("*.log")
    data, place, begins = segment.read_bytes(), 0, []
    while place < len(data):
        offset, length, _, _ = HEAD.unpack_from(data, place)
        begins.append((offset, place))
        place += LENGTH_AT + length
    end, size = begins[-lost]
    segment.write_bytes(data[:size])
    for derived in (folder / f"{topic}-0").iterdir():
        if derived.suffix in {".index", ".timeindex", ".snapshot"}:
            derived.unlink()
    (folder / ".kafka_cleanshutdown").unlink(missing_ok=True)
    kafka.start()
    return end


def send_one_by_one(made: Rig, count: int) -> None:
    for event in events(count):
        made.produce([event])


@pytest.mark.parametrize("stopped", [True, False])
def test_a_log_that_lost_its_end(own: tuple[LocalKafka, Rig], stopped: bool) -> None:
    kafka, made = own
    made.produce(events(300))
    send_one_by_one(made, 5)
    worker = made.worker("accounts", **OFTEN)
    wait_for("the events", lambda: made.committed()[0] == [305])
    if stopped:
        stop(worker)
    end = lose_end(kafka, made.config.topic("requests"), 3)
    assert end == 302
    made.produce(events(40))
    text = refusal(made.worker("accounts", instance="w1") if stopped else worker)
    place = f"{made.config.topic('requests')}, partition 0"
    assert f"{place}: the broker has lost records that were read: offsets 302 to 304" in text
    made.run("accounts", "--reset-state")


def test_a_broker_that_restarts_causes_no_refusal(own: tuple[LocalKafka, Rig]) -> None:
    kafka, made = own
    worker = counted(made, 300)
    for count in (1, 2):
        kafka.stop()
        kafka.start()
        made.produce(events(100))
        wait_for("the events", lambda count=count: made.committed()[0] == [300 + 100 * count])
    begun = time.monotonic()
    wait_for("two more checks", lambda: time.monotonic() - begun > 3)
    assert worker.process.poll() is None, worker.text()[-3000:]
    stop(worker)
    made.run("accounts")
