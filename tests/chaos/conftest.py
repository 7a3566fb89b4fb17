"""Fixtures: a broker that tests may stop and kill, reachable directly and through a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.testbed import BrokerTestbed


@pytest.fixture(scope="session")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerTestbed]:
    """The broker and the proxy of the session."""
    with BrokerTestbed(tmp_path_factory.mktemp("chaos")) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder for the logs of workers."""
    return tmp_path
