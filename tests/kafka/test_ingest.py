"""The role ingest on a real broker: all sources, exact counts under faults, no private data in the output."""

from __future__ import annotations

import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.partitioner.default import murmur2

from infra.kafka.supervisor import free_port
from pivotwatch.base.errors import Fault
from pivotwatch.engine.kafka import sync_client
from pivotwatch.roles.registry import run_worker
from tests.ingest.samples import (
    EMAIL,
    GEN_AI_SPAN,
    NATIVE,
    PROMPT,
    RAW_KEY,
    SAMPLES,
    SECRETS,
    otlp_message,
    otlp_span,
)
from tests.kafka.conftest import MakeTopic
from tests.kafka.engine_rig import Rig, rig, wait_for
from tests.kafka.ingest_rig import committed, counts, end_of, everything, fill, ingest, ingest_all, records

SLOW = {"INGEST_TEST_SLOW_MS": "0.2"}


@pytest.fixture
def made(broker: str, topic_prefix: str, tmp_path: Path, make_topic: MakeTopic) -> Iterator[Rig]:
    """Two source topics: one event per message, and many spans per message."""
    topics = [
        {"name": make_topic("llm-log", 2), "source": "native"},
        {"name": make_topic("spans", 1), "source": "otlp_json"},
    ]
    with rig(broker, topic_prefix, tmp_path, partitions=3, ingest={"topics": topics}) as it:
        yield it


def names(made: Rig) -> list[str]:
    return [topic["name"] for topic in made.config.ingest["topics"]]


def events(count: int, accounts: int = 41) -> list[bytes]:
    return [
        orjson.dumps(
            {"id": f"r{i}", "ts": 1_760_000_000_000 + i, "account": f"a{i % accounts}", "model": "m"}
        )
        for i in range(count)
    ]


def spans(messages: int, each: int = 7) -> list[bytes]:
    def span(number: int) -> dict[str, Any]:
        attributes = {**GEN_AI_SPAN, "gen_ai.response.id": f"s{number}", "user.id": f"u{number % 11}"}
        return {**otlp_span(attributes), "startTimeUnixNano": str((1_760_000_000_000 + number) * 10**6)}

    return [orjson.dumps(otlp_message(*(span(m * each + s) for s in range(each)))) for m in range(messages)]


def expected(stream: list[bytes], messages: int, each: int = 7) -> Counter[str]:
    by_account = Counter(orjson.loads(event)["account"] for event in stream)
    return by_account + Counter(f"u{number % 11}" for number in range(messages * each))


def test_arrays_by_account_and_a_bad_record_among_them(made: Rig) -> None:
    log, traces = names(made)
    stream, bad = (
        events(5_000),
        b'{"account": "' + EMAIL.encode() + b'", "prompt": "' + PROMPT.encode() + b'"}',
    )
    fill(made, log, [stream[:2500], [*stream[2500:], bad]])
    fill(made, traces, [spans(100)])
    worker = ingest_all(made)

    assert counts(made) == expected(stream, 100)
    found = records(made, made.config.topic("requests"))
    for partition, some in found.items():
        accounts = {event["account"] for record in some for event in orjson.loads(record.value)}
        assert {(murmur2(a.encode()) & 0x7FFFFFFF) % 3 for a in accounts} == {partition}
    assert sum(map(len, found.values())) < 60, "one message per partition and flush, not one per event"
    [letter] = records(made, made.config.topic("dlq"))[0]
    headers = dict(letter.headers)
    assert letter.value == b'{"account":"<text of 20>","prompt":"<text of 25>"}'
    assert headers["pivotwatch.errors.message"] == b"id: nothing at /id"
    assert (headers["pivotwatch.errors.partition"], headers["pivotwatch.errors.offset"]) == (b"1", b"2500")
    assert "5700 events, 1 bad documents" in worker.text()
    assert committed(made, log, 2) == [2500, 2501]

    ingest_all(made)
    assert records(made, made.config.topic("requests")) == found, "a second run has nothing to do"


@pytest.mark.long
def test_kill_9_in_mid_stream_counts_each_event_once(made: Rig) -> None:
    log, traces = names(made)
    stream = events(12_000)
    fill(made, log, [stream[:6000], stream[6000:]])
    fill(made, traces, [spans(300)])
    requests = made.config.topic("requests")
    for further in (15, 60, 30):
        reached = end_of(made, requests)
        worker = ingest(made, **SLOW)
        wait_for("arrays", lambda: end_of(made, requests) >= reached + further)  # noqa: B023
        assert worker.process.poll() is None, worker.text()[-4000:]
        worker.kill()
    ingest_all(made)

    everything_sent = sum(
        len(orjson.loads(record.value)) for some in records(made, requests).values() for record in some
    )
    assert everything_sent > 14_100, "no event was sent twice, so the test shows nothing"
    assert counts(made) == expected(stream, 300)
    assert committed(made, log, 2) == [6000, 6000]


def members(made: Rig) -> int:
    """Number of workers in the group."""
    group = made.config.app_id("ingest")
    with sync_client.admin(made.config) as client:
        return len(client.describe_groups([group])[group]["members"])


def test_sigterm_commits_finished_work_and_two_workers_share_the_partitions(made: Rig) -> None:
    log, _ = names(made)
    stream = events(8_000)
    fill(made, log, [stream[:4000], stream[4000:]])
    requests = made.config.topic("requests")
    first, second = ingest(made, instance="i1", **SLOW), ingest(made, instance="i2", **SLOW)
    wait_for("arrays", lambda: end_of(made, requests) >= 9)
    wait_for("both workers", lambda: members(made) == 2)  # All arrays may come from the other worker.
    first.process.terminate()
    assert first.wait() == 0, first.text()[-4000:]
    assert "at the end:" in first.text()
    second.process.terminate()
    assert second.wait() == 0
    # Both start again: the group reserves the partitions of a named member for a while.
    for worker in [ingest(made, "--until-end", instance=name) for name in ("i1", "i2")]:
        assert worker.wait() == 0
    assert counts(made) == expected(stream, 0)


def test_deleted_records_are_logged_and_the_rest_is_read(made: Rig, admin: KafkaAdminClient) -> None:
    log, _ = names(made)
    fill(made, log, [events(10), []])
    ingest_all(made)
    fill(made, log, [events(30)[10:], []])
    admin.delete_records({TopicPartition(log, 0): 15})
    worker = ingest_all(made)
    assert f"{log}[0]: offsets 10 to 14 were deleted before they were read" in worker.text()
    assert sum(counts(made).values()) == 25


def test_a_worker_serves_health_and_metrics(made: Rig) -> None:
    log, _ = names(made)
    port = free_port()
    made.config = made.config.model_copy(update={"web_port": port})
    fill(made, log, [[*events(50), b"broken"], []])

    def get(page: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except OSError:
            return 0, ""

    worker = ingest(made)
    wait_for("readiness", lambda: get("ready")[0] == 200)
    offset = f'pivotwatch_processed_offset{{partition="{log}-0"}} 51.0'
    wait_for("the events", lambda: offset in get("metrics")[1])
    status, told = get("health")
    metrics = get("metrics")[1]
    worker.process.terminate()
    assert worker.wait() == 0, worker.text()[-4000:]
    assert status == 200
    assert set(orjson.loads(told)["partitions"]) <= {f"{log}-0", f"{log}-1", f"{names(made)[1]}-0"}
    assert 'pivotwatch_dead_letters_total{reason="BadEvent"} 1.0' in metrics
    assert "pivotwatch_assigned_partitions 3.0" in metrics
    assert 'pivotwatch_ingest_events_total{source="native"} 50.0' in metrics


def test_nothing_private_survives_anywhere(
    broker: str, topic_prefix: str, tmp_path: Path, make_topic: MakeTopic
) -> None:
    secret_file = tmp_path / "pseudonym-key"
    secret_file.write_text("PSEUDONYM-SECRET-OF-TESTS")
    topics = [{"name": make_topic(f"log-{source}"), "source": source} for source in SAMPLES]
    table = {
        "topics": topics,
        "pseudonyms": {
            "fields": ["account", "links"],
            "keys": [{"id": "k1", "secret_file": str(secret_file)}],
        },
    }
    with rig(broker, topic_prefix, tmp_path, ingest=table) as made:
        for topic, (sample, _) in zip(topics, SAMPLES.values(), strict=True):
            good = orjson.dumps(sample)
            broken = good[:-1]
            misread = orjson.dumps(
                {
                    **sample,
                    "account": 5.5,
                    "startTime": EMAIL,
                    "started_at": PROMPT,
                    "start_time": PROMPT,
                    "ts": RAW_KEY,
                }
            )
            fill(made, topic["name"], [[good, broken, misread, good + b"\n" + broken]])
        ingest_all(made)
        requests, dlq = made.config.topic("requests"), made.config.topic("dlq")
        sent = [e for some in records(made, requests).values() for r in some for e in orjson.loads(r.value)]
        told = everything(made, [requests, dlq])
        letters = end_of(made, dlq)
    assert len(sent) == 2 * len(SAMPLES) - 2  # A repeat counts once from LiteLLM and OTLP.
    assert {event["account"][:3] for event in sent} == {"k1:"}
    assert letters >= 2 * len(SAMPLES)
    for secret in (*SECRETS, "PSEUDONYM-SECRET", "203.0.113.7", "some-key"):
        assert secret not in told


@pytest.mark.parametrize(
    ("redaction", "value", "key"),
    [("full", b'{"account":7.5,"prompt":"x"}', b"some-key"), ("empty", b"", None)],
)
def test_dead_letters_have_the_configured_content(
    broker: str,
    topic_prefix: str,
    tmp_path: Path,
    make_topic: MakeTopic,
    redaction: str,
    value: bytes,
    key: bytes | None,
) -> None:
    topic = make_topic("log")
    table = {"topics": [{"name": topic, "source": "native"}], "dead_letters": redaction}
    with rig(broker, topic_prefix, tmp_path, ingest=table) as made:
        fill(made, topic, [[b'{"account":7.5,"prompt":"x"}', orjson.dumps(NATIVE)]])
        ingest_all(made)
        [letter] = records(made, made.config.topic("dlq"))[0]
    assert (letter.value, letter.key) == (value, key)


def test_invalid_settings_are_refused(made: Rig) -> None:
    def refused(**table: Any) -> str:
        with pytest.raises(Fault) as caught:
            run_worker(made.config.model_copy(update={"ingest": table}), role="ingest", until_end=True)
        return str(caught.value)

    assert "[ingest] names neither topics nor http" in refused()
    assert "there is no topic nowhere" in refused(topics=[{"name": "nowhere", "source": "kong"}])
    assert "no source kongg" in refused(topics=[{"name": names(made)[0], "source": "kongg"}])
    own = made.config.topic("requests")
    assert "is the topic requests of pivotwatch itself" in refused(topics=[{"name": own, "source": "native"}])
    assert "posts have no end" in refused(http={"port": 0, "allow_without_token": True})
