"""The proxy of LiteLLM in front of a fake model: what it sent against what was counted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from infra.kafka.supervisor import free_port
from tests.producers.rig import (
    FAILS_EVERY,
    PYTHON,
    counts,
    ingest,
    model,
    needs_producers,
    process,
    until_answers,
)

pytestmark = [needs_producers, pytest.mark.slow, pytest.mark.timeout(240)]
REQUESTS = 60
KEY = "sk-pivotwatch-test"
CONFIG = """
model_list:
  - model_name: m-latest
    litellm_params: {{ model: openai/m-2, api_base: "{model}", api_key: none, max_retries: 0 }}
router_settings: {{ num_retries: 0 }}
general_settings: {{ master_key: "{key}" }}
litellm_settings:
  num_retries: 0
  callbacks: [{callbacks}]
callback_settings:
  pivotwatch:
    callback_type: generic_api
    endpoint: http://127.0.0.1:{ingest}/v1/events/litellm
    headers: {{ }}
"""


async def ask(session: aiohttp.ClientSession, proxy: str, number: int) -> int:
    body = {
        "model": "m-latest",
        "user": f"user-{number % 7}",
        "messages": [{"role": "user", "content": "hi"}],
    }
    headers = {"Authorization": f"Bearer {KEY}"}
    async with session.post(f"{proxy}/v1/chat/completions", json=body, headers=headers) as answer:
        await answer.read()
        return answer.status


async def run(folder: Path, callbacks: str) -> tuple[dict[str, float], list[int], Any]:
    async with ingest() as served, model() as (fake, address):
        config = folder / "config.yaml"
        where = {"model": address, "ingest": served.server.port, "key": KEY}
        config.write_text(CONFIG.format(callbacks=callbacks, **where))
        port = free_port()
        proxy = f"http://127.0.0.1:{port}"
        env = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "OTEL_EXPORTER": "otlp_http",
            "OTEL_ENDPOINT": f"http://127.0.0.1:{served.server.port}",
            "DEFAULT_FLUSH_INTERVAL_SECONDS": "2",
            "OTEL_BSP_SCHEDULE_DELAY": "500",
        }
        command = (PYTHON.parent / "litellm", "--config", config, "--port", str(port), "--host", "127.0.0.1")
        async with process(*command, "--telemetry", "False", **env):
            await until_answers(f"{proxy}/health/liveliness")
            async with aiohttp.ClientSession() as session:
                statuses = [
                    status
                    for first in range(0, REQUESTS, 6)
                    for status in await asyncio.gather(
                        *(ask(session, proxy, number) for number in range(first, first + 6))
                    )
                ]
            seen, same = -1, 0
            async with asyncio.timeout(25):
                # The last batch has come when nothing comes for two of the proxy's flushes.
                while same < 6:
                    now = sum(
                        value for name, value in counts(served).items() if name.startswith("events_total")
                    )
                    same = same + 1 if now == seen and now else 0
                    seen = now
                    await asyncio.sleep(1)
            return counts(served), statuses, fake


def test_each_request_counts_once_by_opentelemetry_and_at_most_once_by_the_webhook(tmp_path: Path) -> None:
    counted, statuses, fake = asyncio.run(run(tmp_path, '"otel", "pivotwatch"'))
    print(counted, fake.answered, fake.failed)
    assert (statuses.count(200), fake.answered) == (fake.answered, REQUESTS - REQUESTS // FAILS_EVERY)
    assert counted['events_total{source="otlp_proto"}'] == REQUESTS
    # The webhook loses what is logged during a post.
    assert REQUESTS / 2 < counted['events_total{source="litellm"}'] <= REQUESTS
