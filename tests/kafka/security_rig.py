"""A broker with TLS, passwords and access control lists, and the users of the roles."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
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

from infra.kafka.local import LocalKafka
from pivotwatch.config.config import Config, load
from pivotwatch.engine.kafka.acls import USERS, Grant
from pivotwatch.engine.kafka.async_client import client_settings

ROOT = Path(__file__).parents[2]
ADMIN, PASSWORD = "admin", "only-for-this-test"


def certificates(folder: Path) -> None:
    """Create a certificate authority, and a broker certificate for 127.0.0.1."""
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl(
        folder, "req", "-x509", *KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca"
    )
    certificate(folder, "broker", "127.0.0.1", "-extfile", "names")


def certificate(folder: Path, file: str, name: str, *more: str) -> None:
    """Create a key and a certificate, each in its file and both in ``FILE-chain.pem``."""
    openssl(folder, "req", *KEY, "-keyout", f"{file}.key", "-out", f"{file}.csr", "-subj", f"/CN={name}")
    signed = ("-in", f"{file}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
    openssl(folder, "x509", "-req", *signed, *more, "-out", f"{file}.pem")
    chain = (folder / f"{file}.key").read_text() + (folder / f"{file}.pem").read_text()
    (folder / f"{file}-chain.pem").write_text(chain)


KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def server_settings(folder: Path) -> dict[str, str]:
    """Server properties: TLS and SCRAM for clients; everything is denied unless a rule allows it."""
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
        "ssl.keystore.location": str(folder / "broker-chain.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # The controller uses its own listener, without authentication.
        "super.users": f"User:{ADMIN};User:ANONYMOUS",
    }


def mutual_settings(folder: Path) -> dict[str, str]:
    """Server properties: TLS with client certificates; the name in a certificate is the user."""
    ours = server_settings(folder)
    by_password = ("sasl.", "listener.name.")
    return {name: value for name, value in ours.items() if not name.startswith(by_password)} | {
        "listeners": "SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": "SSL://127.0.0.1:{port}",
        "inter.broker.listener.name": "SSL",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SSL:SSL",
        "ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
        # The broker connects to itself with its own certificate.
        "super.users": f"User:{ADMIN};User:127.0.0.1;User:ANONYMOUS",
    }


class Secured:
    """A broker that requires a password."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.folder = folder
        (folder / "password").write_text(PASSWORD + "\n")

    def config(self, user: str, **settings: Any) -> Config:
        """The configuration of a user, with the password in a file."""
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


@contextlib.contextmanager
def secured_broker(folder: Path) -> Iterator[Secured]:
    """Yield a broker with every user of `pivotwatch.engine.kafka.acls`."""
    certificates(folder)
    scram = dict.fromkeys((ADMIN, *(f"pivotwatch-{user}" for user in USERS)), PASSWORD)
    with LocalKafka(provider="java", settings=server_settings(folder), scram=scram) as kafka:
        yield Secured(kafka.address, folder)


OPERATIONS = {
    "Read": ACLOperation.READ,
    "Write": ACLOperation.WRITE,
    "Describe": ACLOperation.DESCRIBE,
    "Create": ACLOperation.CREATE,
    "DescribeConfigs": ACLOperation.DESCRIBE_CONFIGS,
}
KINDS = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}


def allow(client: KafkaAdminClient, user: str, wanted: list[Grant]) -> None:
    """Grant a user exactly these rights."""
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
        [sys.executable, "-m", "pivotwatch", *arguments],
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
