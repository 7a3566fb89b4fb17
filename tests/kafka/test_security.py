"""Kafka over TLS with passwords (SASL/SCRAM), and users that may do no more than their role needs."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ClusterAuthorizationFailedError as ClusterAuthorizationFailed
from aiokafka.errors import TopicAuthorizationFailedError as TopicAuthorizationFailed
from kafka import TopicPartition
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import TopicAuthorizationFailedError

from infra.kafka.local import LocalKafka
from streams import brokers
from streams.acls import Grant, User, grants
from streams.aiobroker import client_settings, faust_credentials
from streams.config import Config, load
from streams.errors import WrongUse
from tests.steps.stream import MODEL, START, launch

ROOT = Path(__file__).parents[2]
ADMIN, PASSWORD = "admin", "only-for-this-test"
USERS: tuple[User, ...] = ("accounts", "networks", "tail", "topics")


def certificates(folder: Path) -> None:
    """A certificate authority, and a broker's certificate for 127.0.0.1."""

    def openssl(*arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca")
    openssl("req", *key, "-keyout", "broker.key", "-out", "broker.csr", "-subj", "/CN=127.0.0.1")
    signed = ("-in", "broker.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    openssl("x509", "-req", *signed, "-extfile", "names", "-out", "broker.pem")
    chain = (folder / "broker.key").read_text() + (folder / "broker.pem").read_text()
    (folder / "keystore.pem").write_text(chain)


def server_settings(folder: Path) -> dict[str, str]:
    """TLS and SCRAM for clients; everything is forbidden that no list allows."""
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    return {
        "listeners": "SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": "SASL_SSL://127.0.0.1:{port}",
        "inter.broker.listener.name": "SASL_SSL",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            f'{login} username="{ADMIN}" password="{PASSWORD}";'
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "keystore.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # The quorum of one speaks to itself on a listener of its own, without a name.
        "super.users": f"User:{ADMIN};User:ANONYMOUS",
    }


class Secured:
    """A broker that lets nobody in without a password."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.folder = folder
        (folder / "password").write_text(PASSWORD + "\n")

    def config(self, user: str, **settings: Any) -> Config:
        """The configuration of a user; the password is in a file."""
        return load(
            **{
                "brokers": self.address,
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_username": user if user == ADMIN else f"pivotwatch-{user}",
                "sasl_password_file": self.folder / "password",
                "ssl_cafile": self.folder / "ca.pem",
                "requests_partitions": 2,
                "checkpoint_interval": "300ms",
                **settings,
            }
        )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    certificates(folder)
    scram = dict.fromkeys((ADMIN, *(f"pivotwatch-{user}" for user in USERS)), PASSWORD)
    with LocalKafka(provider="java", settings=server_settings(folder), scram=scram) as kafka:
        yield Secured(kafka.address, folder)


@pytest.fixture(scope="module")
def admin(secured: Secured) -> Iterator[KafkaAdminClient]:
    with brokers.admin(secured.config(ADMIN)) as client:
        yield client


OPERATIONS = {
    "Read": ACLOperation.READ,
    "Write": ACLOperation.WRITE,
    "Describe": ACLOperation.DESCRIBE,
    "Create": ACLOperation.CREATE,
    "DescribeConfigs": ACLOperation.DESCRIBE_CONFIGS,
}
KINDS = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}


def allow(client: KafkaAdminClient, user: str, wanted: list[Grant]) -> None:
    """Give a user these rights, and no other."""
    principal = f"User:pivotwatch-{user}"
    anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    client.delete_acls([ACLFilter(principal, None, ACLOperation.ANY, ACLPermissionType.ANY, anything)])
    made = client.create_acls(
        [
            ACL(
                principal,
                "*",
                OPERATIONS[operation],
                ACLPermissionType.ALLOW,
                ResourcePattern(KINDS[grant.resource], grant.name),
            )
            for grant in wanted
            for operation in grant.operations
        ]
    )
    assert not made["failed"]


def command(config: Config, *arguments: str, deadline: float = 40) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", *arguments],
        env=config.environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=deadline,
        check=False,
    )


def run(config: Config, *arguments: str, status: int = 0) -> str:
    done = command(config, *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


async def produce(config: Config, logical: Any, values: list[tuple[bytes, bytes]]) -> None:
    async with AIOKafkaProducer(**client_settings(config)) as producer:
        sent = [await producer.send(config.topic(logical), value, key=key) for key, value in values]
        await asyncio.gather(*sent)


def test_topics_workers_and_tail_over_tls_with_the_rights_of_their_role(
    secured: Secured, admin: KafkaAdminClient
) -> None:
    for user in USERS:
        allow(admin, user, grants(secured.config(user), user))
    run(secured.config("topics"), "topics", "create")
    run(secured.config("topics"), "topics", "check")

    events, releases = launch()
    requests = [(event["account"].encode(), orjson.dumps(event)) for event in events]
    asyncio.run(produce(secured.config(ADMIN), "requests", requests))
    calendar = [(entry["model"].encode(), orjson.dumps(entry)) for entry in releases]
    asyncio.run(produce(secured.config(ADMIN), "releases", calendar))

    run(secured.config("accounts"), "worker", "--role", "accounts", "--instance", "a0", "--until-end")
    run(secured.config("networks"), "worker", "--role", "networks", "--instance", "n0", "--until-end")
    told = run(
        secured.config("tail"), "alerts", "tail", "--from-beginning", "--until-end", "--format", "json"
    )
    assert {orjson.loads(line)["data"]["model"] for line in told.splitlines()} == {MODEL}

    # And no more than that.
    may = {"accounts": {"requests"}, "networks": {"buckets", "releases", "decisions"}, "tail": {"alerts"}}
    for user, readable in may.items():
        for topic in ("requests", "buckets", "alerts", "status", "releases"):  # these hold something
            assert can_read(secured.config(user), topic) == (topic in readable), (user, topic)
    may_write = {"accounts": {"buckets", "dlq"}, "networks": {"alerts", "status", "dlq"}, "tail": set()}
    for user, writable in may_write.items():
        for topic in ("requests", "buckets", "alerts", "status", "releases", "decisions", "dlq"):
            assert can_write(secured.config(user), topic) == (topic in writable), (user, topic)


def can_read(config: Config, logical: Any) -> bool:
    """Can a user fetch from a topic that holds something, whatever else it may know of it?"""
    with brokers.consumer(config) as client:
        if config.topic(logical) not in client.topics():
            return False
        client.assign([TopicPartition(config.topic(logical), 0)])
        client.seek(TopicPartition(config.topic(logical), 0), 0)
        end = time.monotonic() + 20
        try:
            while not client.poll(timeout_ms=200):
                assert time.monotonic() < end, f"{logical} can neither be read nor is that forbidden"
        except TopicAuthorizationFailedError:
            return False
        return True


def can_write(config: Config, logical: Any) -> bool:
    try:
        asyncio.run(produce(config, logical, [(b"k", b"not of use")]))
    except (TopicAuthorizationFailed, ClusterAuthorizationFailed):
        return False
    return True


@pytest.mark.parametrize("missing", ["requests", "buckets"])
def test_a_worker_that_lacks_a_right_fails(missing: str, secured: Secured, admin: KafkaAdminClient) -> None:
    config = secured.config("accounts", app_prefix=f"without-{missing}")
    run(secured.config(ADMIN), "topics", "create")
    value = orjson.dumps({"id": "1", "ts": START, "account": "a", "network": "AS1", "model": "m"})
    asyncio.run(produce(secured.config(ADMIN), "requests", [(b"a", value)]))
    wanted = grants(config, "accounts")
    less = [grant for grant in wanted if grant.name != missing]
    assert len(less) == len(wanted) - 1
    allow(admin, "accounts", less)
    done = command(config, "worker", "--role", "accounts", "--until-end")
    assert done.returncode != 0
    assert PASSWORD not in done.stdout + done.stderr


def test_nobody_comes_in_without_the_password_the_authority_or_tls(secured: Secured, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("guess")
    strangers = [
        secured.config(ADMIN, sasl_password_file=tmp_path / "wrong"),
        secured.config(ADMIN, ssl_cafile=None),
        load(brokers=secured.address),
    ]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda config: run(config, "topics", "check", status=3), strangers))


def test_passwords_are_never_sent_in_the_clear_unless_that_is_asked_for_by_name() -> None:
    asked = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "u", "sasl_password": "p"}
    with pytest.raises(WrongUse, match="expected SASL_SSL"):
        load(**asked)
    with pytest.raises(WrongUse, match="expected SASL_SSL"):
        load(security_protocol="SSL", **asked)
    credentials = faust_credentials(load(security_protocol="SASL_PLAINTEXT", **asked))
    assert (credentials.protocol.value, credentials.ssl_context) == ("SASL_PLAINTEXT", None)
    credentials = faust_credentials(load(security_protocol="SASL_SSL", **asked))
    assert credentials.protocol.value == "SASL_SSL"
    assert credentials.ssl_context.verify_mode == ssl.CERT_REQUIRED
    assert credentials.ssl_context.check_hostname
