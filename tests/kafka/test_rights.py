"""Every role runs with exactly its rights (`pivotwatch.engine.kafka.acls`) and names a missing right."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from pivotwatch.config.config import Config
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.acls import Grant, User, grants
from tests import kills
from tests.detection.stream import launch
from tests.kafka.engine_rig import wait_for
from tests.kafka.security_rig import (
    ADMIN,
    PASSWORD,
    ROOT,
    Secured,
    allow,
    command,
    produce,
    run,
)
from tests.web.site import KIM, PEOPLE, TOKENS

SOURCE = "their-log"
SOURCES: dict[User, Sequence[str]] = {"ingest": (SOURCE,)}
ROLES: tuple[User, ...] = ("accounts", "networks", "delivery", "ingest")
BAD = b"no event"
# Nothing listens there, and there is one attempt: every alert becomes a dead letter.
NOBODY = {
    "name": "nobody",
    "kind": "alertmanager",
    "url": "http://127.0.0.1:9",
    "retry_first": "1ms",
    "retry_budget": "0s",
}
TABLES: dict[User, dict[str, Any]] = {
    "ingest": {"ingest": {"topics": [{"name": SOURCE, "source": "native"}]}},
    "delivery": {"delivery": {"targets": [NOBODY]}},
    "web": {"web_port": 0, "web": {"people": PEOPLE}},
}


@pytest.fixture(scope="module")
def secured(secured: Secured) -> Secured:
    """A broker with records that make every role use each of its rights."""
    root = secured.config(ADMIN)
    run(root, "topics", "create")
    with sync_client.admin(root) as client:
        client.create_topics([NewTopic(SOURCE, 1, 1)])
    events, releases = launch()
    lines = [(event["account"].encode(), orjson.dumps(event)) for event in events]
    calendar = [(entry["model"].encode(), orjson.dumps(entry)) for entry in releases]
    asyncio.run(produce(root, "requests", [*lines, (b"a", BAD)]))
    asyncio.run(produce(root, "releases", [*calendar, (b"m", BAD)]))
    asyncio.run(
        produce(
            root.model_copy(update={"topics": root.topics.model_copy(update={"dlq": SOURCE})}),
            "dlq",
            [lines[0], (b"a", BAD)],
        )
    )
    for role in ("accounts", "networks"):  # Fill buckets and alerts for the other roles.
        run(root, "worker", "--role", role, "--until-end", "--log-level", "error")
    return secured


def new(secured: Secured, role: User, prefix: str) -> Config:
    """A configuration with a new group and a new changelog."""
    return secured.config(role, app_prefix=prefix, **TABLES.get(role, {}))


def rights(config: Config, role: User) -> list[Grant]:
    """The rights of a role, one operation per topic where they are separate."""
    return grants(config, role, SOURCES.get(role, ()))


def finite(config: Config, role: User) -> subprocess.CompletedProcess[str]:
    done = command(config, "worker", "--role", role, "--until-end", "--log-level", "error", deadline=90)
    assert PASSWORD not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize("role", ROLES)
def test_a_role_runs_with_exactly_its_rights(
    role: User, secured: Secured, secured_admin: KafkaAdminClient
) -> None:
    config = new(secured, role, f"all-of-{role}")
    allow(secured_admin, role, rights(config, role))
    done = finite(config, role)
    assert done.returncode == 0, done.stderr


# Only `dlq redrive` reads this topic; the role writes to it.
UNUSED = {("delivery", "deliveries.dlq", "Read"), ("accounts", "buckets", "Read")}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("role", ROLES)
def test_without_one_right_a_role_ends_and_names_it(
    role: User, secured: Secured, secured_admin: KafkaAdminClient
) -> None:
    for number in range(len(rights(new(secured, role, "count"), role))):
        config = new(secured, role, f"{role}-lacks-{number}")
        wanted = rights(config, role)
        missing = wanted.pop(number)
        if (role, missing.name, missing.operations[0]) in UNUSED:
            continue
        allow(secured_admin, role, wanted)
        done = finite(config, role)
        told = done.stderr.splitlines()[-1]
        assert done.returncode == 3, f"{missing}\n{done.stderr[-4000:]}"
        assert told.startswith("Error: "), f"{missing}\n{done.stderr[-4000:]}"
        assert missing.name in told
        assert "python -m pivotwatch.engine.kafka.acls" in told


def test_the_page_needs_its_topics_and_writes_decisions_only_with_the_right_to(
    secured: Secured, secured_admin: KafkaAdminClient, tmp_path: Path
) -> None:
    config = new(secured, "web", "web")
    wanted = rights(config, "web")
    for missing in (grant for grant in wanted if grant.operations == ("Read",)):
        # The right to write includes the right to describe: without it the page fails at the start.
        allow(secured_admin, "web", [grant for grant in wanted if grant.name != missing.name])
        done = command(config, "worker", "--role", "web", deadline=60)
        assert done.returncode == 3
        assert f"there is no topic {missing.name}" in done.stderr.splitlines()[-1]
    decisions = Grant("topic", "decisions", ("Write",))
    assert decisions in wanted
    for number, given in enumerate((wanted, [grant for grant in wanted if grant != decisions])):
        allow(secured_admin, "web", given)
        with page(config, tmp_path / f"{number}.log") as url:
            assert decide(url) == (200 if given is wanted else 503)


@contextlib.contextmanager
def page(config: Config, log: Path) -> Iterator[str]:
    """Yield the page after it has read its topics."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "pivotwatch", "worker", "--role", "web"],
            env=config.environment() | TOKENS,
            cwd=ROOT,
            stdout=stream,
            stderr=stream,
        )

    def address() -> str:
        assert process.poll() is None, log.read_text()
        found = re.search(r"the page is at (\S+)/\n", log.read_text())
        return found[1] if found else ""

    def ready(url: str) -> bool:
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"{url}/ready").status == 200
        return False

    try:
        url = wait_for("its address", address)
        wait_for("readiness", lambda: ready(url))
        yield url
    finally:
        kills.quietly(process.kill)
        process.wait()
        assert PASSWORD not in log.read_text()


def decide(url: str) -> int:
    """Post a decision on the first incident; return the status of the answer."""
    kim = {"Authorization": f"Bearer {KIM}"}
    listed = urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/incidents", headers=kim))
    incidents = orjson.loads(listed.read())["incidents"]
    request = urllib.request.Request(
        f"{url}/api/v1/incidents/{incidents[0]['alert_id']}/decisions",
        data=orjson.dumps({"verdict": "confirmed"}),
        headers={"Content-Type": "application/json"} | kim,
    )
    try:
        return int(urllib.request.urlopen(request).status)
    except urllib.error.HTTPError as told:
        return told.code


def test_a_wrong_password_ends_every_role_at_once(secured: Secured, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("guess")

    def refused(role: User) -> tuple[int, str]:
        config = secured.config(role, sasl_password_file=tmp_path / "wrong", **TABLES.get(role, {}))
        done = command(config, "worker", "--role", role, deadline=60)
        return done.returncode, done.stderr.splitlines()[-1]

    with ThreadPoolExecutor(2) as pool:
        for status, told in pool.map(refused, (*ROLES, "web")):
            assert status == 3
            assert told.startswith(f"Error: Kafka at {secured.address} does not answer: ")
            assert re.search(r"Does it know pivotwatch-\w+ by this password", told)
