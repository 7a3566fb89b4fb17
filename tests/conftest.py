"""Fixtures for all tests (brokers, unused topic names), marks by folder, and Hypothesis profiles."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from infra.kafka.local import broker_address
from tests import kills

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

    from tests.kafka.security_rig import Secured

TESTS = Path(__file__).parent

# In CI the examples are the same in every run; elsewhere Hypothesis looks for new ones.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

MARKS = {"kafka": ("kafka",), "chaos": ("kafka", "chaos"), "browser": ("browser",)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder and by the fixtures that they use."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        for mark in MARKS.get(folder, ()):
            item.add_marker(mark)
        if item.get_closest_marker("long"):
            item.add_marker("chaos")
            if not kills.LONG:
                item.add_marker(pytest.mark.skip(reason="in `make chaos`"))
        if {"broker", "secured"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("kafka")


@pytest.fixture(scope="session", autouse=True)
def _kills_are_counted() -> Iterator[None]:
    """Count kills during the session; see `tests.kills`."""
    with pytest.MonkeyPatch.context() as patch:
        kills.watch(patch)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Count kills of the test itself, but not of its fixtures."""
    with kills.BUDGET.paused(item.nodeid):
        return (yield)


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """Address of a broker: the one in PIVOTWATCH_BROKERS, else one started for this session."""
    with broker_address() as address:
        yield address


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker for one test module that requires TLS and a password."""
    from tests.kafka.security_rig import secured_broker

    with secured_broker(tmp_path_factory.mktemp("tls")) as made:
        yield made


@pytest.fixture(scope="module")
def secured_admin(secured: Secured) -> Iterator[KafkaAdminClient]:
    """An admin client with all rights on the secured broker."""
    from pivotwatch.engine.kafka import sync_client
    from tests.kafka.security_rig import ADMIN

    with sync_client.admin(secured.config(ADMIN)) as client:
        yield client


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """A prefix of topic, group and app names that no other test and no earlier run uses."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40]
    return f"{name}-{uuid.uuid4().hex[:8]}-"
