"""The page over TLS and SCRAM, with the rights that its role has on Kafka."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from kafka.admin import KafkaAdminClient

from streams import brokers
from streams.acls import grants
from tests.kafka.engine_rig import wait_for
from tests.kafka.security_rig import (
    ADMIN,
    PASSWORD,
    Secured,
    allow,
    produce,
    run,
    secured_broker,
)
from tests.report.examples import alert
from tests.web.site import KIM, PEOPLE, bearer
from tests.web.test_role import address, worker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_broker(tmp_path_factory.mktemp("tls")) as made:
        yield made


@pytest.fixture(scope="module")
def admin(secured: Secured) -> Iterator[KafkaAdminClient]:
    with brokers.admin(secured.config(ADMIN)) as client:
        yield client


def test_they_are_enough_to_show_and_to_decide(
    secured: Secured, admin: KafkaAdminClient, tmp_path: Path
) -> None:
    config = secured.config("web", web_port=0, web={"people": PEOPLE[:1]})
    allow(admin, "web", grants(config, "web"))
    run(secured.config(ADMIN), "topics", "create")
    asyncio.run(produce(secured.config(ADMIN), "alerts", [(b"k", alert(1).value)]))
    log = tmp_path / "log"
    with worker(config, log, KIM_TOKEN=KIM) as process:
        url = address(log, process)

        def ask(path: str, body: bytes | None = None) -> dict:
            request = urllib.request.Request(url + "/api/v1" + path, body, bearer(KIM))
            return json.load(urllib.request.urlopen(request, timeout=30))

        wait_for("the incident", lambda: ask("/incidents")["total"] == 1)
        done = ask(f"/incidents/{1:016x}/decisions", orjson.dumps({"verdict": "confirmed"}))
        assert done["decisions"][0]["by"] == "kim"
    with brokers.consumer(secured.config(ADMIN)) as client:
        found = list(brokers.records(client, ["decisions"], from_beginning=True, until_end=True))
    assert [orjson.loads(one.value)["verdict"] for one in found] == ["confirmed"]
    assert PASSWORD not in log.read_text()
