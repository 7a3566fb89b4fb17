"""The history of decisions on a real broker: it survives compaction and restarts; a command lists it."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from kafka.admin import KafkaAdminClient

from pivotwatch.cli import main
from pivotwatch.config.config import Config, load
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.acls import grants
from pivotwatch.engine.kafka.topics import create, specs
from tests.kafka.conftest import MakeTopic
from tests.kafka.engine_rig import wait_for
from tests.kafka.security_rig import ADMIN, Secured, allow, produce, run
from tests.reporting.examples import alert
from tests.web.site import KIM, LEE, PEOPLE, bearer
from tests.web.test_role import address, worker

pytestmark = pytest.mark.kafka

COMPACT_NOW = {"cleanup_policy": "compact", "segment_ms": "100", "min_cleanable_dirty_ratio": "0.001"}
TARGET = f"{1:016x}"


@pytest.fixture
def config(broker: str, topic_prefix: str, make_topic: MakeTopic) -> Config:
    made = load(
        brokers=broker,
        topic_prefix=topic_prefix,
        app_prefix=topic_prefix + "pw",
        web_port=0,
        web={"people": [PEOPLE[0], PEOPLE[1] | {"role": "operator"}]},
    )
    lag = {spec.logical: spec.configs for spec in specs(made)}["decisions"]["min.compaction.lag.ms"]
    assert int(lag) == 365 * 24 * 3600 * 1000
    make_topic("decisions", min_compaction_lag_ms=lag, **COMPACT_NOW)
    with sync_client.admin(made) as client:
        assert all(finding.ok for finding in create(client, specs(made), made.brokers))
    return made


def keys(config: Config, topic: str) -> list[bytes | None]:
    with sync_client.consumer(config) as client:
        found = sync_client.records(client, [topic], from_beginning=True, until_end=True)
        return [record.value for record in found]


@pytest.mark.slow
def test_history_survives_compaction_and_a_restart_of_the_page(
    config: Config, make_topic: MakeTopic, tmp_path: Path
) -> None:
    asyncio.run(produce(config, "alerts", [(b"k", alert(1).value)]))
    plain = make_topic("compacted", **COMPACT_NOW)
    log = tmp_path / "log"

    def ask(url: str, path: str, token: str = KIM, body: bytes | None = None) -> dict:
        request = urllib.request.Request(f"{url}/api/v1/{path}", body, bearer(token))
        return json.load(urllib.request.urlopen(request, timeout=30))

    def shown(url: str) -> list[tuple[str, str, str | None]]:
        return [
            (one["verdict"], one["by"], one["ended_by"] and one["ended_by"]["by"])
            for one in ask(url, f"incidents/{TARGET}")["history"]
        ]

    path = f"incidents/{TARGET}/decisions"
    expected = [("confirmed", "lee", None), (None, "lee", "lee"), ("benign", "kim", "lee")]
    with worker(config, log, KIM_TOKEN=KIM, LEE_TOKEN=LEE) as process:
        url = address(log, process)
        wait_for("the incident", lambda: ask(url, "incidents")["total"] == 1)
        for token, verdict in ((KIM, "benign"), (LEE, "none"), (LEE, "confirmed")):
            ask(url, path, token, orjson.dumps({"verdict": verdict, "note": "why"}))
        assert shown(url) == expected

    # A topic with the same settings, but without our lag, loses its history; ours does not.
    control = config.model_copy(update={"topics": config.topics.model_copy(update={"status": "compacted"})})

    def compacted() -> bool:
        asyncio.run(produce(control, "status", [(b"k", b"old")]))
        asyncio.run(produce(config, "decisions", [(b"network:AS1", None)]))
        values = keys(config, plain)
        return rounds.append(len(values)) or max(rounds) > len(values)

    rounds: list[int] = []
    wait_for("a compaction", compacted, 120)

    with worker(config, log, KIM_TOKEN=KIM, LEE_TOKEN=LEE) as process:
        url = address(log, process)
        wait_for("the incident", lambda: ask(url, "incidents")["total"] == 1)
        assert shown(url) == expected
        every = ask(url, f"decisions?about={TARGET}&limit=2")
        assert (every["total"], len(every["decisions"])) == (3, 2)

    options = ["--brokers", config.brokers, "--set", f"topic_prefix={config.topic_prefix}"]
    listed = CliRunner().invoke(main, ["decisions", "list", "--about", TARGET, "--json", *options])
    assert listed.exit_code == 0, listed.output
    lines = [orjson.loads(line) for line in listed.stdout.splitlines()]
    assert [(one["verdict"], one["by"]) for one in lines] == [one[:2] for one in expected]
    told = CliRunner().invoke(main, ["decisions", "list", "--about", TARGET, *options]).stdout
    assert f"benign  by kim  about {TARGET}  “why”  (ended: " in told
    assert "taken back  by lee" in told


def test_a_topic_that_loses_its_history_fails_the_check(
    admin: KafkaAdminClient, config: Config, make_topic: MakeTopic
) -> None:
    other = load(brokers=config.brokers, topic_prefix=config.topic_prefix + "old-")
    make_topic("old-decisions", cleanup_policy="compact")
    (found,) = [one for one in create(admin, specs(other), other.brokers) if not one.ok]
    assert found.problem == "has min.compaction.lag.ms=0, expected 31536000000"
    assert found.remedy.endswith("old-decisions --add-config min.compaction.lag.ms=31536000000")
    forever = load(
        **{**other.model_dump(include={"brokers", "topic_prefix"}), "retention": {"decisions": "0s"}}
    )
    (wanted,) = [spec for spec in specs(forever) if spec.logical == "decisions"]
    assert wanted.configs["min.compaction.lag.ms"] == str(2**63 - 1)


@pytest.mark.slow
def test_an_auditor_lists_decisions_and_nothing_else(
    secured: Secured, secured_admin: KafkaAdminClient
) -> None:
    allow(secured_admin, "audit", grants(secured.config("audit"), "audit"))
    run(secured.config(ADMIN), "topics", "create")
    run(secured.config("audit"), "decisions", "list")
    run(secured.config("audit"), "alerts", "tail", "--until-end", status=3)
