"""Delivery with faults: workers killed at random moments, a killed broker, receivers that misbehave.

Every receiver must get every alert, in order per incident, and nothing twice once it drops known ids. It
kills workers more than twenty times, so it runs only in ``make chaos``.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pivotwatch.engine.kafka import sync_client, topics
from tests.chaos.pipeline import wait_for
from tests.chaos.testbed import BrokerTestbed
from tests.delivery.receiver import receiver
from tests.kafka.delivery_rig import DeliveryRig, expect_all, incident_histories

SEED = int(os.environ.get("SEED", "8"))
KILLS = 24
INCIDENTS = 400
SHORT = ("--set", "session_timeout=3s")
AT_ONCE = 4
"""Deliveries to one target that run concurrently, and so may be repeated after a kill."""
FAULTS = (500, 502, 404, (429, {"Retry-After": "0"}), "cut", "hang", "taken-but-cut")
"""Answers of the faulty receiver. After "taken-but-cut" the worker delivers again, with the same id."""


@pytest.fixture
def rig(testbed: BrokerTestbed, tmp_path: Path) -> Iterator[DeliveryRig]:
    made = DeliveryRig(testbed.kafka.address, f"delivery-{SEED}-", tmp_path)
    with sync_client.admin(made.config()) as admin:
        topics.create(admin, topics.specs(made.config()), made.broker)
    yield made
    made.close()


def worker_killed(rig: DeliveryRig, rng: random.Random) -> None:
    """Start a worker and kill it with ``kill -9`` at a random moment."""
    worker, log = rig.worker(*SHORT), rig.log.stat().st_size
    wait_for("the worker to deliver", lambda: b"delivering from" in rig.log.read_bytes()[log:])
    time.sleep(rng.uniform(0.0, 1.0))
    worker.kill()
    worker.wait()


def worker_stopped_past_its_session(rig: DeliveryRig) -> None:
    """Pause a worker during deliveries until another has taken over, then resume it."""
    log = rig.log.stat().st_size
    sleeper = rig.worker(*SHORT)
    wait_for("the worker to deliver", lambda: b"delivering from" in rig.log.read_bytes()[log:])
    sleeper.send_signal(signal.SIGSTOP)
    log = rig.log.stat().st_size
    other = rig.worker(*SHORT, instance="d2")
    wait_for("the other to deliver", lambda: b"delivering from" in rig.log.read_bytes()[log:])
    sleeper.send_signal(signal.SIGCONT)
    time.sleep(1.0)  # time in which the resumed worker could do harm
    for worker in (sleeper, other):
        worker.kill()
        worker.wait()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_nothing_is_lost_or_doubled_whatever_is_killed(testbed: BrokerTestbed, rig: DeliveryRig) -> None:
    rng, records = random.Random(SEED), incident_histories(INCIDENTS)
    with receiver() as steady, receiver() as faulty, receiver() as down, ThreadPoolExecutor() as pool:
        faulty.script.extend(rng.choice(FAULTS) if rng.random() < 0.2 else 200 for _ in range(20 * INCIDENTS))
        down.always = 503
        hooks = {"steady": steady, "faulty": faulty, "down": down}
        for name, hook in hooks.items():
            # Only the faulty receiver has a short timeout: on a slow machine, deliveries must not look lost.
            rig.target(name, hook, timeout="300ms" if hook is faulty else "10s", retry_most="200ms")
        feeding = pool.submit(rig.produce, *records, pause=KILLS * 2.0 / len(records))
        rig.log.touch()
        for number in range(KILLS):
            if number == KILLS // 2:
                testbed.kafka.kill()
                testbed.kafka.start()
                worker_stopped_past_its_session(rig)
            worker_killed(rig, rng)
        feeding.result()
        down.always = 200
        assert rig.worker("--until-end", *SHORT).wait(120) == 0
        kills = KILLS + 2
        again = {name: expect_all(hook, records) for name, hook in hooks.items()}
        cut = sum(act == "taken-but-cut" for _, act in faulty.tries)
        print(f"{len(records)} alerts, {kills} kills: repeats {again}, of them {cut} taken but cut")
        assert again["steady"] <= AT_ONCE * kills
        assert again["faulty"] <= AT_ONCE * kills + cut
        assert again["down"] == 0
    assert rig.read("deliveries.dlq") == []
