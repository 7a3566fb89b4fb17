"""The SDK of OpenTelemetry with two instrumentations of one client: each request counts once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.producers.rig import PYTHON, counts, ingest, model, needs_producers, process

pytestmark = [needs_producers, pytest.mark.slow]
REQUESTS = 30
PROGRAM = Path(__file__).with_name("two_instrumentations.py")


async def run(which: str) -> dict[str, float]:
    async with ingest() as served, model(fails=False) as (fake, address):
        server = f"http://127.0.0.1:{served.server.port}"
        async with process(PYTHON, PROGRAM, address, server, str(REQUESTS), which) as program:
            output, _ = await program.communicate()
        assert program.returncode == 0, output.decode()
        assert fake.answered == REQUESTS
        print(counts(served), output.decode()[-2000:])
        return counts(served)


@pytest.mark.parametrize(
    "which",
    ["openinference", "openllmetry", "openinference openllmetry", "openinference openllmetry alone"],
)
def test_each_request_counts_once(which: str) -> None:
    counted = asyncio.run(run(which))
    assert counted['events_total{source="otlp_proto"}'] == REQUESTS
