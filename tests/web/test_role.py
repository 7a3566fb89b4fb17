"""The role web as a process: start, stop, and failures."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pivotwatch.base import child_processes
from pivotwatch.base.errors import WrongUse
from pivotwatch.cli import main
from pivotwatch.config.config import Config, load
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.topics import create, specs
from tests import kills
from tests.kafka.engine_rig import wait_for
from tests.web.site import KIM, PEOPLE


@pytest.fixture
def config(broker: str, topic_prefix: str) -> Config:
    made = load(brokers=broker, topic_prefix=topic_prefix, app_prefix=topic_prefix + "pw", web_port=0)
    with sync_client.admin(made) as client:
        create(client, specs(made), made.brokers)
    return made


@contextlib.contextmanager
def worker(config: Config, log: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "pivotwatch", "worker", "--role", "web"]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=config.environment() | env, stderr=stream, stdout=stream)
    try:
        yield process
    finally:
        kills.quietly(process.kill)
        process.wait()


def address(log: Path, process: subprocess.Popen[bytes]) -> str:
    def told() -> str:
        assert process.poll() is None, log.read_text()
        found = re.search(r"the page is at (\S+)/\n", log.read_text())
        return found[1] if found else ""

    return wait_for("its address", told)


def test_it_becomes_ready_and_stops_soon_although_a_client_follows(config: Config, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with worker(config, log) as process:
        url = address(log, process)

        def ready() -> bool:
            with contextlib.suppress(OSError):
                return urllib.request.urlopen(url + "/ready").status == 200
            return False

        wait_for("readiness", ready)
        health = json.load(urllib.request.urlopen(url + "/health"))
        assert health["alive"]
        assert b'pivotwatch_worker{role="web"' in urllib.request.urlopen(url + "/metrics").read()
        with urllib.request.urlopen(url + "/api/v1/events") as events:
            assert events.readline() == b"event: hello\r\n"
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert (
                time.monotonic() - begun < 8
            )  # An orderly stop: a hanging stop would be cut off after nine seconds.
    assert "Traceback" not in log.read_text()


def test_a_token_is_in_no_log_of_a_worker(config: Config, tmp_path: Path) -> None:
    log = tmp_path / "log"
    has_login = config.model_copy(update={"web": {"people": PEOPLE[:1]}})
    with worker(has_login, log, KIM_TOKEN=KIM) as process:
        url = address(log, process)
        for token in (KIM, "a-guess-of-somebody"):
            headers = {"Authorization": f"Bearer {token}"}
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(urllib.request.Request(url + "/api/v1/incidents", headers=headers))
        wait_for("the refusal", lambda: "outcome=refused method=bearer" in log.read_text())
    assert KIM not in log.read_text()
    assert "a-guess" not in log.read_text()


def test_invalid_settings_are_refused(config: Config, tmp_path: Path) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    for change, status, told in (
        ({"web_host": "0.0.0.0"}, 2, "is open to other machines"),
        ({"topic_prefix": "nowhere-"}, 3, "pivotwatch topics create"),
        ({"web": {"peple": []}}, 2, "did you mean people?"),
        ({"web": {"people": [{"name": "kim", "token_file": "/nowhere"}]}}, 2, "No such file"),
        ({"web_port": taken.getsockname()[1]}, 3, "Address already in use"),
    ):
        log = tmp_path / "log"
        with worker(config.model_copy(update=change), log) as process:
            assert process.wait(60) == status, log.read_text()
        assert told in log.read_text()
        assert "Traceback" not in log.read_text()
    taken.close()


def test_a_failing_reader_ends_the_worker(config: Config, tmp_path: Path) -> None:
    """A page that does not update would look as if nothing happened."""
    log = tmp_path / "log"
    program = (
        "import sys\n"
        "from pivotwatch.web.read_model import ReadModel\n"
        "def fail(*_): raise RuntimeError('the reader fails')\n"
        "ReadModel.take_status = fail\n"
        "from pivotwatch.cli import main\n"
        "main(['worker', '--role', 'web'])\n"
    )
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", program], env=config.environment(), stderr=stream, stdout=stream
        )
    try:
        address(log, process)
        from kafka import KafkaProducer

        producer = KafkaProducer(bootstrap_servers=config.brokers)
        producer.send(config.topic("status"), key=b"1", value=b"{}")
        producer.flush()
        producer.close()
        assert process.wait(60) == 1
        assert "the reader fails" in log.read_text()
    finally:
        kills.quietly(process.kill)
        process.wait()


# Ports.


def test_roles_of_one_command_have_ports_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    started = {}

    def start(self, name, command, env):
        started[name] = env.get("PIVOTWATCH_WEB_PORT")

    monkeypatch.setattr(child_processes.Processes, "start", start)
    monkeypatch.setattr("pivotwatch.cli.worker.supervise", lambda *_, **__: 0)
    monkeypatch.delenv("PIVOTWATCH_WEB_PORT", raising=False)
    roles = [part for role in ("accounts", "networks", "web") for part in ("--role", role)]
    ports = ["--set", "web_port=9464", "--set", "web_ports.web=8700"]
    result = CliRunner().invoke(main, ["worker", *roles, *ports])
    assert result.exit_code == 0, result.output
    assert started == {"accounts": "9464", "networks": "9465", "web": "8700"}
    CliRunner().invoke(main, ["worker", *roles])
    assert started == dict.fromkeys(started)


def test_free_ports_stay_free_and_roles_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIVOTWATCH_WEB")]:
        monkeypatch.delenv(name)
    assert [load(web_port=0).for_role("networks", place).web_port for place in (0, 1)] == [0, 0]
    assert load().for_role("networks", 1).web_port is None
    with pytest.raises(WrongUse, match="web_ports"):
        load(web_ports={"network": 1})
