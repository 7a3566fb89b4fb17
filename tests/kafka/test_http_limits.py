"""Real workers of every kind of server under connections that only hold them, and few open files."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.kafka.supervisor import free_port
from pivotwatch.config.config import Config, Role, load
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.topics import create, specs
from tests import kills
from tests.engine.http_rig import Client, request

TOKEN = "a-token-of-the-tests-0123"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
FILES = 1024
IDLE = 1_100
EVENT = '{"id":"one","ts":1760000000000,"account":"a","model":"m"}'


@pytest.fixture
def config(broker: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("HTTP_TEST_TOKEN", TOKEN)
    made = load(
        brokers=broker,
        topic_prefix=topic_prefix,
        app_prefix=topic_prefix + "pw",
        web_port=free_port(),
        web={"people": [{"name": "kim", "token_env": "HTTP_TEST_TOKEN"}]},
        ingest={"http": {"port": free_port(), "token_env": "HTTP_TEST_TOKEN"}},
    )
    with sync_client.admin(made) as client:
        create(client, specs(made), made.brokers)
    return made


@contextlib.contextmanager
def worker(config: Config, role: Role, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "pivotwatch", "worker", "--role", role]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            env=config.environment(),
            stderr=stream,
            stdout=stream,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES)),
        )
    try:
        yield process
    finally:
        kills.quietly(process.kill)
        process.wait()


async def status(port: int, path: str, method: str = "GET", body: str = "", **headers: str) -> int:
    """The status of one request, 0 when there is no answer within five seconds."""
    with contextlib.suppress(OSError):
        async with asyncio.timeout(5):
            client = Client(*await asyncio.open_connection("127.0.0.1", port))
            try:
                client.send(request(path, method, body, Connection="close", **headers))
                return await client.status()
            finally:
                client.close()
    return 0


@pytest.mark.parametrize("role", ["accounts", "web", "ingest"])
def test_idle_connections_shut_nobody_out_and_write_no_log(
    config: Config, role: Role, tmp_path: Path
) -> None:
    log, web = tmp_path / "log", config.web_port
    assert web is not None
    ports = [web, config.ingest["http"]["port"]] if role == "ingest" else [web]
    asked = [(web, "/health"), (web, "/ready"), (web, "/metrics")]
    asked += [(web, "/api/v1/incidents")] if role == "web" else []

    async def play(process: subprocess.Popen[bytes]) -> None:
        async with asyncio.timeout(60):
            while await status(web, "/ready") != 200:
                assert process.poll() is None, log.read_text()
                await asyncio.sleep(0.1)
        idle = []
        try:
            for port in ports:
                for _ in range(IDLE):
                    idle.append(await asyncio.open_connection("127.0.0.1", port))
            for port, path in asked:
                assert await status(port, path, **BEARER) == 200, path
            if role == "ingest":
                assert await status(ports[1], "/v1/events", "POST", EVENT, **BEARER) == 200
                assert await status(ports[1], "/healthz") == 200
            metrics = Client(*await asyncio.open_connection("127.0.0.1", web))
            metrics.send(request("/metrics", Connection="close"))
            told = await metrics.read()
            assert (
                int(float(re.findall(r"http_connections{server=\"web_port\"} (\S+)", told)[0])) <= FILES / 2
            )
            assert 'pivotwatch_http_connections_closed_total{reason="displaced",server="web_port"}' in told
        finally:
            for _, writer in idle:
                writer.transport.abort()

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    try:
        with worker(config, role, log) as process:
            asyncio.run(play(process))
            process.terminate()
            assert process.wait(15) == 0, log.read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    text = log.read_text()
    assert "Traceback" not in text
    assert text.count("closed the connection that was idle longest") < 30, "one line a second"
