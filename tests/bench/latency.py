"""Latency: time from the producer's call until the operator has counted the event, at a steady rate."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Sequence

import click
import numpy as np
from aiokafka import AIOKafkaProducer

from tests.bench.broker import Place
from tests.bench.children import BYTEWAX, FAUST_STEPS, QUIX, WORKER, Output, Runner
from tests.bench.figures import Samples, machine, table, taken

RATES = (100, 1_000)
SECONDS = 5
ENGINES = (WORKER, FAUST_STEPS, QUIX, BYTEWAX)
ACCOUNTS = 500

Percentiles = tuple[float, float]


def measure(runs: int, engines: Sequence[Runner] = ENGINES) -> dict[tuple[str, int], list[Percentiles]]:
    """Median and 99th percentile in milliseconds, by engine and rate, per run."""
    place = Place(4)
    found: dict[tuple[str, int], list[Percentiles]] = {}
    for _ in range(runs):
        for pace in RATES:
            for engine in engines:
                if engine.there:
                    one = asyncio.run(_run(place, engine, pace))
                    found.setdefault((engine.name, pace), []).append(one)
    return found


async def _run(place: Place, engine: Runner, pace: int) -> Percentiles:
    token = uuid.uuid4().hex[:8]
    task = place.task("steps", pace * SECONDS, token)
    with engine.started(task.text(), place.environment(task.group)) as told:
        async with AIOKafkaProducer(bootstrap_servers=place.brokers, linger_ms=0, acks=1) as producer:
            await _warm_up(producer, place.topic, token, told)
            await _produce(producer, place.topic, token, pace)
        seen = (await asyncio.to_thread(told.next, "milliseconds"))["milliseconds"]
    return float(np.percentile(seen, 50)), float(np.percentile(seen, 99))


async def _warm_up(producer: AIOKafkaProducer, topic: str, token: str, told: Output) -> None:
    """Send events until the engine has counted one."""
    ready = asyncio.create_task(asyncio.to_thread(told.next, "ready"))
    while not ready.done():
        await producer.send_and_wait(topic, _event(f"{token}:warm", 0), key=b"acct-0")
        await asyncio.wait({ready}, timeout=0.1)
    await ready


async def _produce(producer: AIOKafkaProducer, topic: str, token: str, pace: int) -> None:
    """Send events at a steady rate, each with its send time."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(pace * SECONDS):
        wait = began + number / pace - loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        account = number % ACCOUNTS
        value = _event(f"{token}:{time.monotonic_ns()}", account)
        await producer.send(topic, value, key=f"acct-{account}".encode())
    await producer.flush()


def _event(name: str, account: int) -> bytes:
    event = {
        "id": name,
        "ts": int(time.time() * 1000),
        "account": f"acct-{account}",
        "network": f"AS{account % 20}",
        "model": "m-1",
        "input_tokens": 100,
        "output_tokens": 200,
    }
    return json.dumps(event).encode()


def report(found: dict[tuple[str, int], list[Percentiles]], runs: int) -> str:
    """The report as a Markdown table."""
    rows = []
    for name in dict.fromkeys(name for name, _ in found):
        row = [f"**{name}**" if name == WORKER.name else name]
        for pace in RATES:
            for percentile in (0, 1):
                samples = Samples([one[percentile] for one in found[name, pace]])
                row.append(samples.text("{:.1f}".format))
        rows.append(row)
    heads = ["way", *(f"{which} at {pace:,}/s" for pace in RATES for which in ("p50", "p99"))]
    return f"Milliseconds, {SECONDS} s at each rate; {taken(runs)}. {machine()}.\n\n" + table(heads, rows)


def note(found: dict[tuple[str, int], list[Percentiles]]) -> None:
    """Print a warning when the worker misses its target of 50 ms at the 99th percentile."""
    for pace in RATES:
        p99 = Samples([one[1] for one in found.get((WORKER.name, pace), [])])
        if p99.values and p99.median > 50:
            click.echo(f"p99 at {pace}/s is {p99.median:.0f} ms: more than 50", err=True)
