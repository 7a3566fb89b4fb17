"""Kafka with TLS and passwords (SASL/SCRAM), and users with no more rights than their role needs."""

from __future__ import annotations

import asyncio
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.errors import ClusterAuthorizationFailedError as ClusterAuthorizationFailed
from aiokafka.errors import TopicAuthorizationFailedError as TopicAuthorizationFailed
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, ScramMechanism, UserScramCredentialUpsertion
from kafka.errors import TopicAuthorizationFailedError

from infra.kafka.local import LocalKafka
from pivotwatch.base.errors import WrongUse
from pivotwatch.config.config import Config, load
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.acls import User, grants
from pivotwatch.engine.kafka.async_client import faust_credentials
from tests.detection.stream import MODEL, launch
from tests.kafka.security_rig import (
    ADMIN,
    Secured,
    allow,
    certificate,
    certificates,
    mutual_settings,
    produce,
    run,
)

USERS: tuple[User, ...] = ("accounts", "networks", "tail", "topics")


def test_topics_workers_and_tail_over_tls_with_the_rights_of_their_role(
    secured: Secured, secured_admin: KafkaAdminClient
) -> None:
    for user in USERS:
        allow(secured_admin, user, grants(secured.config(user), user))
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

    # They have no other rights.
    may = {
        "accounts": {"requests", "buckets"},
        "networks": {"buckets", "releases", "decisions"},
        "tail": {"alerts"},
    }
    for user, readable in may.items():
        for topic in ("requests", "buckets", "alerts", "status", "releases"):  # these topics hold records
            assert can_read(secured.config(user), topic) == (topic in readable), (user, topic)
    may_write = {"accounts": {"buckets", "dlq"}, "networks": {"alerts", "status", "dlq"}, "tail": set()}
    for user, writable in may_write.items():
        for topic in ("requests", "buckets", "alerts", "status", "releases", "decisions", "dlq"):
            assert can_write(secured.config(user), topic) == (topic in writable), (user, topic)


def can_read(config: Config, logical: Any) -> bool:
    """Whether a user can fetch records from a topic."""
    with sync_client.consumer(config) as client:
        if config.topic(logical) not in client.topics():
            return False
        client.assign([TopicPartition(config.topic(logical), 0)])
        client.seek(TopicPartition(config.topic(logical), 0), 0)
        end = time.monotonic() + 20
        try:
            while not client.poll(timeout_ms=200):
                assert time.monotonic() < end, f"reading {logical} neither worked nor was denied"
        except TopicAuthorizationFailedError:
            return False
        return True


def can_write(config: Config, logical: Any) -> bool:
    try:
        asyncio.run(produce(config, logical, [(b"k", b"not of use")]))
    except (TopicAuthorizationFailed, ClusterAuthorizationFailed):
        return False
    return True


def test_a_wrong_password_a_wrong_authority_and_no_tls_are_refused(secured: Secured, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("guess")
    strangers = [
        secured.config(ADMIN, sasl_password_file=tmp_path / "wrong"),
        secured.config(ADMIN, ssl_cafile=None),
        load(brokers=secured.address),
    ]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda config: run(config, "topics", "check", status=3), strangers))


def test_passwords_are_sent_without_tls_only_when_configured_explicitly() -> None:
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


def test_a_password_is_rotated_while_a_connection_is_open(
    secured: Secured, secured_admin: KafkaAdminClient, tmp_path: Path
) -> None:
    run(secured.config(ADMIN), "topics", "create")
    asyncio.run(produce(secured.config(ADMIN), "alerts", [(b"k", b"{}")]))
    old = secured.config("tail")
    allow(secured_admin, "tail", grants(old, "tail"))
    partition = TopicPartition("alerts", 0)
    with sync_client.consumer(old) as standing:
        standing.assign([partition])
        begin = standing.end_offsets([partition])[partition]
        standing.seek(partition, begin)

        password = UserScramCredentialUpsertion(
            "pivotwatch-tail", ScramMechanism.SCRAM_SHA_512, "new-for-this-test", iterations=4096
        )
        assert not any(secured_admin.alter_user_scram_credentials([password]).values())
        (tmp_path / "new").write_text("new-for-this-test")
        new = secured.config("tail", sasl_password_file=tmp_path / "new")
        run(new, "alerts", "tail", "--from-beginning", "--until-end")
        run(old, "alerts", "tail", "--from-beginning", "--until-end", status=3)

        asyncio.run(produce(secured.config(ADMIN), "alerts", [(b"k", b"{}")]))
        end = time.monotonic() + 20
        while not standing.poll(timeout_ms=200):
            assert time.monotonic() < end, "the open connection does not read any more"


def test_with_mutual_tls_the_name_in_the_certificate_is_the_user(tmp_path: Path) -> None:
    certificates(tmp_path)
    for user in ("accounts", "tail", "topics"):
        certificate(tmp_path, user, f"pivotwatch-{user}")
    certificate(tmp_path, ADMIN, ADMIN)
    with LocalKafka(provider="java", settings=mutual_settings(tmp_path)) as kafka:

        def config(user: str, **settings: Any) -> Config:
            ours = {"ssl_certfile": tmp_path / f"{user}.pem", "ssl_keyfile": tmp_path / f"{user}.key"}
            return load(
                brokers=kafka.address,
                security_protocol="SSL",
                ssl_cafile=tmp_path / "ca.pem",
                requests_partitions=2,
                **ours | settings,
            )

        with sync_client.admin(config(ADMIN)) as client:
            for user in ("accounts", "tail", "topics"):
                allow(client, user, grants(config(user), user))
        run(config("topics"), "topics", "create")
        events, _ = launch()
        requests = [(event["account"].encode(), orjson.dumps(event)) for event in events]
        asyncio.run(produce(config(ADMIN), "requests", requests))
        run(config("accounts"), "worker", "--role", "accounts", "--instance", "a0", "--until-end")
        assert can_read(config(ADMIN), "buckets")

        # No other rights, and no access without a certificate or with one of another authority.
        assert not can_read(config("tail"), "requests")
        (tmp_path / "other").mkdir()
        certificates(tmp_path / "other")
        certificate(tmp_path / "other", ADMIN, ADMIN)
        foreign = {name: tmp_path / "other" / f"{ADMIN}.{end}" for name, end in ENDS.items()}
        for stranger in (dict.fromkeys(ENDS), foreign):
            run(config(ADMIN, **stranger), "topics", "check", status=3)


ENDS = {"ssl_certfile": "pem", "ssl_keyfile": "key"}
