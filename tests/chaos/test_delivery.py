"""Delivery under fire: workers killed at random moments, a broker that dies, receivers that misbehave.

Every receiver must get every alert, in order per incident, and nothing twice once it drops ids that it
knows. More than twenty kills: only in the long form.
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
from tests.chaos.ground import Ground
from tests.chaos.pipeline import wait_for
from tests.delivery.receiver import receiver
from tests.kafka.delivery_rig import Office, expect_all, lives

SEED = int(os.environ.get("SEED", "8"))
KILLS = 24
INCIDENTS = 400
SHORT = ("--set", "session_timeout=3s")
AT_ONCE = 4
"""Deliveries to one target that may be under way, and so be repeated after a kill."""
FAULTS = (500, 502, 404, (429, {"Retry-After": "0"}), "cut", "hang", "taken-but-cut")
"""What a moody receiver does; what is taken but cut comes again, under the same id."""


@pytest.fixture
def office(ground: Ground, tmp_path: Path) -> Iterator[Office]:
    made = Office(ground.kafka.address, f"delivery-{SEED}-", tmp_path)
    with sync_client.admin(made.config()) as admin:
        topics.create(admin, topics.specs(made.config()), made.broker)
    yield made
    made.close()


def worker_killed(office: Office, rng: random.Random) -> None:
    """Kill -9 at a random moment of its life; it is started again under the same name."""
    worker, log = office.worker(*SHORT), office.log.stat().st_size
    wait_for("the worker to deliver", lambda: b"delivering from" in office.log.read_bytes()[log:])
    time.sleep(rng.uniform(0.0, 1.0))
    worker.kill()
    worker.wait()


def worker_stopped_past_its_session(office: Office) -> None:
    """It sleeps with deliveries under way, another does its work, and then it wakes up."""
    log = office.log.stat().st_size
    sleeper = office.worker(*SHORT)
    wait_for("the worker to deliver", lambda: b"delivering from" in office.log.read_bytes()[log:])
    sleeper.send_signal(signal.SIGSTOP)
    log = office.log.stat().st_size
    other = office.worker(*SHORT, instance="d2")
    wait_for("the other to deliver", lambda: b"delivering from" in office.log.read_bytes()[log:])
    sleeper.send_signal(signal.SIGCONT)
    time.sleep(1.0)  # Time to do harm.
    for worker in (sleeper, other):
        worker.kill()
        worker.wait()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_nothing_is_lost_or_doubled_whatever_is_killed(ground: Ground, office: Office) -> None:
    rng, records = random.Random(SEED), lives(INCIDENTS)
    with receiver() as steady, receiver() as moody, receiver() as down, ThreadPoolExecutor() as pool:
        moody.script.extend(rng.choice(FAULTS) if rng.random() < 0.2 else 200 for _ in range(20 * INCIDENTS))
        down.always = 503
        hooks = {"steady": steady, "moody": moody, "down": down}
        for name, hook in hooks.items():
            # Only who hangs is given up soon: a slow machine must not make deliveries look lost.
            office.target(name, hook, timeout="300ms" if hook is moody else "10s", retry_most="200ms")
        feeding = pool.submit(office.produce, *records, pause=KILLS * 2.0 / len(records))
        office.log.touch()
        for number in range(KILLS):
            if number == KILLS // 2:
                ground.kafka.kill()
                ground.kafka.start()
                worker_stopped_past_its_session(office)
            worker_killed(office, rng)
        feeding.result()
        down.always = 200
        assert office.worker("--until-end", *SHORT).wait(120) == 0
        kills = KILLS + 2
        again = {name: expect_all(hook, records) for name, hook in hooks.items()}
        cut = sum(act == "taken-but-cut" for _, act in moody.tries)
        print(f"{len(records)} alerts, {kills} kills: repeats {again}, of them {cut} taken but cut")
        assert again["steady"] <= AT_ONCE * kills
        assert again["moody"] <= AT_ONCE * kills + cut
        assert again["down"] == 0
    assert office.read("deliveries.dlq") == []
