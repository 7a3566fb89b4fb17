"""Ingest is killed twenty times: every event counts once, and the alerts stay the same.

Because of the many kills the test runs only in ``make chaos``.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from kafka.admin import NewTopic
from standardwebhooks.webhooks import Webhook

from pivotwatch.config.config import Config
from pivotwatch.detection.counting.deduplication import OffsetDeduplicator
from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch.engine.kafka import sync_client
from pivotwatch.ingest.http_server import serve
from pivotwatch.ingest.metrics import IngestMetrics
from pivotwatch.ingest.settings import read_settings
from pivotwatch.tools.compare_alerts import compare, distinct
from tests.chaos.comparison import read
from tests.chaos.pipeline import Feeder, Pipeline, Worker, wait_for
from tests.chaos.testbed import BrokerTestbed
from tests.chaos.traffic import Record, simulate
from tests.engine.rig import Nobody
from tests.ingest.samples import attribute, otlp_message

SEED = 5
SECRET = "whsec_" + base64.b64encode(b"twenty-four bytes of it.").decode()
KILLS = 20
PARTITIONS = 3
BATCH = 12
RATE = 40.0
"""Messages per second; each has up to `BATCH` spans."""

OWN_MAPPING = """
like = "otlp_json"
[fields]
network = ["/attributes/network"]
tools = ["/attributes/tools"]
account_created = ["/attributes/created"]
"""
PLACES = {
    "id": "gen_ai.response.id",
    "account": "user.id",
    "model": "gen_ai.response.model",
    "requested_model": "gen_ai.request.model",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "status": "http.response.status_code",
    "network": "network",
    "tools": "tools",
    "account_created": "created",
}
IN_SPAN = {"ts", *PLACES}
"""Fields of an event that a span contains (no payment, no sign-up)."""


def span(line: bytes) -> dict[str, Any]:
    """An event as an OpenTelemetry span."""
    event = orjson.loads(line)
    attributes = [attribute(place, event[field]) for field, place in PLACES.items() if field in event]
    return {"spanId": "01", "startTimeUnixNano": str(event["ts"] * 10**6), "attributes": attributes}


def messages(lines: list[bytes]) -> Iterator[Record]:
    """Messages of some spans each, with a bad one now and then, on random partitions."""
    rng, start = random.Random(SEED), 0
    while start < len(lines):
        size = rng.randint(1, BATCH)
        value = orjson.dumps(otlp_message(*map(span, lines[start : start + size])))
        stamp = orjson.loads(lines[start])["ts"]
        yield Record(rng.randrange(PARTITIONS), b"trace", value, stamp)
        if rng.random() < 0.005:
            yield Record(rng.randrange(PARTITIONS), b"trace", value[:-3], stamp)
        start += size


def ends(pipeline: Pipeline, topic: str) -> int:
    with sync_client.consumer(pipeline.config) as client:
        return sum(client.end_offsets(sync_client.partitions_of(client, topic)).values())


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_event_counts_once_however_often_ingest_is_killed(
    testbed: BrokerTestbed, tmp_path: Path
) -> None:
    mapping = tmp_path / "spans.toml"
    mapping.write_text(OWN_MAPPING)
    simulation = simulate(300, seed=SEED)
    lines = [line for part in simulation.slices() for line in part.lines]
    settings: dict[str, Any] = {
        # A day of events is sent in half a minute: a moment of a worker is an hour of event time.
        "allowed_lateness": "6h",
        "ingest": {
            "mappings": {"spans": str(mapping)},
            "topics": [{"name": f"traces-{os.getpid()}", "source": "spans"}],
        },
    }
    topic = settings["ingest"]["topics"][0]["name"]
    with testbed.fault_run(SEED, **settings) as fault_run:
        pipeline = fault_run.pipeline
        requests = pipeline.config.topic("requests")
        with sync_client.admin(pipeline.config) as admin:
            admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
        pipeline.release(simulation.releases)
        fault_run.start_all()
        pipeline.feeder = Feeder(pipeline.config, "requests", messages(lines), RATE)
        pipeline.feeder.to(topic)
        pipeline.feeder.start()
        for number in range(KILLS):
            ingest = pipeline.worker("ingest", "i1")
            reached = ends(pipeline, requests)
            wait_for("arrays", lambda: ends(pipeline, requests) >= reached + 20)  # noqa: B023
            fault_run.random_wait()
            fault_run.kill(ingest)
            if number == KILLS // 2:
                fault_run.kill_and_restart(fault_run.random_worker())
                pipeline.feeder.send_rest_at_once()  # the rest is a backlog
        wait_for("the feeder", pipeline.feeder.done)
        finish(pipeline.worker("ingest", "i1", "--until-end"))
        fault_run.drain_and_stop()

        counted, repeats = counts_of(pipeline)
        assert counted == Counter(orjson.loads(line)["id"] for line in lines)
        assert repeats > 0, "no event was sent twice, so the test shows nothing"
        found = distinct(
            [line.value or b"" for line in read(pipeline.config, pipeline.config.topic("alerts"))]
        )
        assert compare(undisturbed(pipeline, lines, simulation.releases), found) == []
        assert found
        print(f"{len(lines)} events, {repeats} sent again, {KILLS} kills, {len(found)} alerts")


def finish(worker: Worker) -> None:
    status = worker.process.wait(120)
    assert status == 0, worker.tail()


def counts_of(pipeline: Pipeline) -> tuple[Counter[str], int]:
    """How often each event counts, and how many repeats were dropped."""
    counted, repeats = Counter[str](), 0
    for partition in range(pipeline.partitions):
        origins = OffsetDeduplicator()
        for line in read(pipeline.config, pipeline.config.topic("requests"), partition):
            some = orjson.loads(line.value or b"")
            counted.update(event["id"] for event in some[origins.first_new(line, len(some)) :])
        repeats += origins.repeated
    return counted, repeats


def undisturbed(pipeline: Pipeline, lines: list[bytes], releases: list[dict[str, str]]) -> dict[str, bytes]:
    """The alerts of the same events without Kafka, from the fields that a span contains."""
    events = [
        orjson.dumps({field: value for field, value in orjson.loads(line).items() if field in IN_SPAN})
        for line in lines
    ]
    alone = DetectionPipeline(
        pipeline.for_workers.settings, partitions=pipeline.partitions, releases=releases
    )
    outputs = alone.run(events)
    return distinct([output.value for output in outputs if output.topic == "alerts"])


def test_posts_while_the_broker_is_away_come_again_and_count_once(
    testbed: BrokerTestbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGEST_TEST_SECRET", SECRET)
    http = {"port": 0, "hmac_env": "INGEST_TEST_SECRET", "broker_timeout": "1s"}
    settings = read_settings({"http": http})

    async def play(config: Config) -> list[int]:
        server, http_publisher = await serve(config, settings, 4, IngestMetrics(Nobody()))
        url, statuses = f"http://127.0.0.1:{server.port}", list[int]()

        async def post(client: aiohttp.ClientSession, number: int) -> tuple[int, str | None]:
            event = {"id": f"r{number}", "ts": 1_760_000_000_000, "account": f"a{number}", "model": "m"}
            body, now = orjson.dumps(event).decode(), datetime.now(UTC)
            signature = Webhook(SECRET).sign(f"msg-{number}", now, body)
            headers = {
                "webhook-id": f"msg-{number}",
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": signature,
            }
            async with client.post(f"{url}/v1/events", data=body, headers=headers) as answer:
                statuses.append(answer.status)
                return answer.status, answer.headers.get("Retry-After")

        async with aiohttp.ClientSession() as client:
            assert (await post(client, 0))[0] == 200
            await asyncio.to_thread(testbed.kafka.stop)
            assert await post(client, 1) == (503, "1")
            assert await post(client, 2) == (503, "1"), "refused at once: no broker answers"
            async with client.get(f"{url}/healthz") as answer:
                assert answer.status == 503
            await asyncio.to_thread(testbed.kafka.start)
            async with asyncio.timeout(90):
                for number in (1, 2, 3):
                    while (await post(client, number))[0] != 200:
                        await asyncio.sleep(0.2)
        await server.stop()
        await http_publisher.stop()
        return statuses

    with testbed.fault_run(SEED) as fault_run:
        statuses = asyncio.run(play(fault_run.pipeline.config))
        counted, _ = counts_of(fault_run.pipeline)
    assert set(statuses) == {200, 503}
    assert counted == Counter(f"r{number}" for number in range(4))
