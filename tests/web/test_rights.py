"""The page with its own TLS, and with the rights of its role on a Kafka with TLS and SCRAM."""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import orjson
import pytest
from kafka.admin import KafkaAdminClient

from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.acls import grants
from tests.kafka.engine_rig import wait_for
from tests.kafka.security_rig import (
    ADMIN,
    PASSWORD,
    Secured,
    allow,
    produce,
    run,
)
from tests.reporting.examples import alert
from tests.web.site import KIM, PEOPLE, bearer
from tests.web.test_role import address, worker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def test_with_these_rights_the_page_shows_and_decides(
    secured: Secured, secured_admin: KafkaAdminClient, tmp_path: Path
) -> None:
    tls = {
        f"tls_{name}file": str(secured.folder / f"broker.{end}")
        for name, end in (("cert", "pem"), ("key", "key"))
    }
    config = secured.config("web", web_port=0, web={"people": PEOPLE[:1]} | tls)
    allow(secured_admin, "web", grants(config, "web"))
    run(secured.config(ADMIN), "topics", "create")
    asyncio.run(produce(secured.config(ADMIN), "alerts", [(b"k", alert(1).value)]))
    log = tmp_path / "log"
    with worker(config, log, KIM_TOKEN=KIM) as process:
        url = address(log, process)
        assert url.startswith("https://127.0.0.1:")
        known = ssl.create_default_context(cafile=secured.folder / "ca.pem")

        def ask(path: str, body: bytes | None = None) -> dict:
            request = urllib.request.Request(url + "/api/v1" + path, body, bearer(KIM))
            return json.load(urllib.request.urlopen(request, timeout=30, context=known))

        wait_for("the incident", lambda: ask("/incidents")["total"] == 1)
        done = ask(f"/incidents/{1:016x}/decisions", orjson.dumps({"verdict": "confirmed"}))
        assert done["decisions"][0]["by"] == "kim"

        with urllib.request.urlopen(url + "/login", timeout=30, context=known) as login:
            assert login.headers["Strict-Transport-Security"].startswith("max-age=")
            assert login.headers["Set-Cookie"].startswith("__Host-pivotwatch-login=")
            assert "; Secure" in login.headers["Set-Cookie"]
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(url + "/login", timeout=30)
        with pytest.raises(OSError, match=r"closed|reset|disconnected"):
            urllib.request.urlopen(url.replace("https:", "http:") + "/login", timeout=30)
    run(secured.config("web"), "sessions", "end", "kim")
    run(secured.config("web"), "sessions", "list")
    with sync_client.consumer(secured.config(ADMIN)) as client:
        found = list(sync_client.records(client, ["decisions"], from_beginning=True, until_end=True))
    assert [orjson.loads(one.value)["verdict"] for one in found] == ["confirmed"]
    assert PASSWORD not in log.read_text()
