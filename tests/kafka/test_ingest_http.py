"""HTTP ingest with a real HTTP client and a real broker."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from infra.kafka.supervisor import free_port
from pivotwatch.ingest.http_server import serve
from pivotwatch.ingest.metrics import IngestMetrics
from pivotwatch.ingest.settings import read_settings
from tests.engine.rig import Nobody
from tests.ingest.samples import EMAIL, GEN_AI_SPAN, LITELLM, OTLP, PROMPT, SECRETS
from tests.kafka.engine_rig import Rig, rig, wait_for
from tests.kafka.ingest_rig import counts, end_of, everything, ingest, records

TOKEN = "a-token-of-the-tests-0123"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
SOURCES = ["native", "litellm", "otlp_json", "otlp_proto"]


@pytest.fixture
def made(broker: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setenv("INGEST_TEST_TOKEN", TOKEN)
    http = {"port": 0, "token_env": "INGEST_TEST_TOKEN", "sources": SOURCES, "max_body": 2_000_000}
    with rig(broker, topic_prefix, tmp_path, ingest={"http": http}) as it:
        yield it


class Client:
    """A client that posts to one server."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session = session
        self.base = f"http://127.0.0.1:{port}"

    async def post(self, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
        async with self.session.post(self.base + path, data=body, headers=headers) as answer:
            raw = await answer.read()
            return answer.status, orjson.loads(raw) if raw else None


def served(made: Rig, play: Callable[[Client], Awaitable[None]], **http: Any) -> None:
    """Start a server in this process and run ``play`` against it."""

    async def run() -> None:
        table = {**made.config.ingest, "http": {**made.config.ingest["http"], **http}}
        server, http_publisher = await serve(
            made.config, read_settings(table), made.partitions, IngestMetrics(Nobody())
        )
        try:
            connector = aiohttp.TCPConnector(limit=64)
            async with aiohttp.ClientSession(headers=HEADERS, connector=connector) as session:
                await play(Client(session, server.port))
        finally:
            await server.stop()
            await http_publisher.stop()

    asyncio.run(run())


def native(number: int, account: str = "a") -> dict[str, Any]:
    return {"id": f"h{number}", "ts": 1_760_000_000_000 + number, "account": account, "model": "m"}


def test_every_form_of_body_is_counted_once(made: Rig) -> None:
    one, two, three = (orjson.dumps({**LITELLM, "id": str(number)}) for number in range(3))
    span = orjson.dumps(OTLP)

    async def play(client: Client) -> None:
        assert await client.post("/v1/events/litellm", one) == (
            200,
            {"accepted": 1, "duplicates": 0, "skipped": 0, "dead_letters": 0},
        )
        status, told = await client.post("/v1/events?source=litellm", b"[" + one + b"," + two + b"]")
        assert (status, told["accepted"], told["duplicates"]) == (200, 1, 1)
        status, told = await client.post("/v1/events/litellm", two + b"\n" + three + b"\n")
        assert (status, told["accepted"], told["duplicates"]) == (200, 1, 1)
        assert (await client.post("/v1/events", b"[]"))[0] == 200
        packed = gzip.compress(orjson.dumps([native(1), native(2)]))
        status, told = await client.post("/v1/events", packed, **{"Content-Encoding": "gzip"})
        assert (status, told["accepted"]) == (200, 2)
        assert await client.post("/v1/traces", span, **{"Content-Type": "application/json"}) == (200, {})
        assert await client.post("/v1/traces", b"", **{"Content-Type": "application/x-protobuf"}) == (
            200,
            None,
        )

    served(made, play)
    requests = records(made, made.config.topic("requests"))
    ids = [
        event["id"] for some in requests.values() for record in some for event in orjson.loads(record.value)
    ]
    assert sorted(ids) == ["0", "1", "2", "chatcmpl-otlp-1", "h1", "h2"]
    told = everything(made, [made.config.topic("requests"), made.config.topic("dlq")])
    assert not any(secret in told for secret in SECRETS)


def test_protobuf_as_the_sdk_exports_it(made: Rig) -> None:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for number in range(20):
        attributes = {**GEN_AI_SPAN, "gen_ai.response.id": f"p{number}"}
        provider.get_tracer("ours").start_span("chat", attributes=attributes).end()
    body = encode_spans(exporter.get_finished_spans()).SerializeToString()

    async def play(client: Client) -> None:
        for _ in range(2):
            answer = await client.post("/v1/traces", body, **{"Content-Type": "application/x-protobuf"})
            assert answer == (200, None)

    served(made, play)
    assert counts(made) == Counter({"acct-9": 20})


def test_bad_posts_are_refused_with_a_reason(made: Rig) -> None:
    good = orjson.dumps(native(1))
    private = orjson.dumps({**native(2), "account": EMAIL, "prompt": PROMPT})

    async def play(client: Client) -> None:
        status, told = await client.post("/v1/events", good + b"\n" + private + b"\n{broken\n7")
        assert status == 422
        assert [one["position"] for one in told["bad"]] == [1, 2, 3]
        assert EMAIL not in repr(told)
        assert "account: looks like an e-mail address" in told["bad"][0]["problem"]
        assert [one["problem"] for one in told["bad"][1:]] == ["not JSON", "expected a JSON object"]
        assert (await client.post("/v1/events", b"{"))[0] == 400
        assert (await client.post("/v1/events", b""))[0] == 400
        assert (await client.post("/v1/events/kong", good))[0] == 404
        assert (await client.post("/v1/events", b"x" * 2_000_001))[0] == 413
        assert (await client.post("/v1/events", good, Authorization="Bearer wrong"))[0] == 401
        bomb = gzip.compress(b" " * 50_000_000)
        assert (await client.post("/v1/events", bomb, **{"Content-Encoding": "gzip"}))[0] == 413
        many = orjson.dumps([native(number) for number in range(11)])
        assert (await client.post("/v1/events", many))[0] == 413

    served(made, play, max_events=10)
    assert end_of(made, made.config.topic("requests")) == 0

    async def leniently(client: Client) -> None:
        status, told = await client.post("/v1/events", good + b"\n" + private)
        assert (status, told["accepted"], told["dead_letters"]) == (200, 1, 1)

    served(made, leniently, on_bad="dead_letters")
    assert sum(counts(made).values()) == 1
    [letter] = records(made, made.config.topic("dlq"))[0]
    assert dict(letter.headers)["pivotwatch.errors.position"] == b"1"
    assert EMAIL.encode() not in letter.value


def test_load(made: Rig) -> None:
    """Many concurrent clients that wait for their answers: nothing is lost or counted twice."""
    posters, each, batch = 32, 25, 100

    async def play(client: Client) -> None:
        async def single(http_publisher: int) -> None:
            for number in range(each):
                body = orjson.dumps(native(http_publisher * each + number, f"a{http_publisher}"))
                assert (await client.post("/v1/events", body))[0] == 200

        async def batches(http_publisher: int) -> None:
            for number in range(each):
                start = 1_000_000 + (http_publisher * each + number) * batch
                body = orjson.dumps([native(start + i, f"a{http_publisher}") for i in range(batch)])
                assert (await client.post("/v1/events", body))[0] == 200

        for what, per_post in ((single, 1), (batches, batch)):
            begun = time.monotonic()
            await asyncio.gather(*(what(http_publisher) for http_publisher in range(posters)))
            seconds = time.monotonic() - begun
            posts = posters * each
            print(
                f"{per_post} a post: {posts / seconds:.0f} posts/s, {posts * per_post / seconds:.0f} events/s"
            )

    served(made, play)
    assert counts(made) == Counter(
        {f"a{http_publisher}": each * (1 + batch) for http_publisher in range(posters)}
    )


def test_the_worker_answers_open_posts_before_it_ends(made: Rig) -> None:
    web = free_port()
    made.config = made.config.model_copy(update={"web_port": web})
    worker = ingest(made)
    wait_for("the server", lambda: "listening on" in worker.text())
    port = int(worker.text().rpartition(":")[2].split()[0])

    async def play() -> None:
        async with aiohttp.ClientSession(headers=HEADERS) as session:
            client = Client(session, port)
            assert (await client.post("/v1/events", orjson.dumps(native(1))))[0] == 200
            async with session.get(f"{client.base}/healthz") as answer:
                assert answer.status == 200
            for page in ("health", "ready"):
                async with session.get(f"http://127.0.0.1:{web}/{page}") as answer:
                    assert answer.status == 200
                    assert (await answer.json())["alive"]
            async with session.get(f"http://127.0.0.1:{web}/metrics") as answer:
                told = await answer.text()
            assert 'pivotwatch_http_posts_total{status="200"} 1.0' in told
            assert 'pivotwatch_ingest_events_total{source="native"} 1.0' in told

    asyncio.run(play())
    worker.process.terminate()
    assert worker.wait() == 0, worker.text()
    assert sum(counts(made).values()) == 1
    assert TOKEN not in worker.text()
