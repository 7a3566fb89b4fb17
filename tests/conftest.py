"""What every test may use: a broker, names of its own, and one way to draw examples."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from infra.kafka.local import broker_address

TESTS = Path(__file__).parent

# Examples are the same in every run of CI; elsewhere hypothesis looks for new ones.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

MARKS = {"kafka": ("kafka",), "chaos": ("kafka", "chaos"), "browser": ("browser",)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder, and all that use the broker."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        for mark in MARKS.get(folder, ()):
            item.add_marker(mark)
        if "broker" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """Address of a broker: the one in PIVOTWATCH_BROKERS, else one started for this session."""
    with broker_address() as address:
        yield address


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """A start of topic, group and app names that no other test has, nor an earlier run."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40]
    return f"{name}-{uuid.uuid4().hex[:8]}-"
