"""A broker that may be stopped and killed, reachable directly and through a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.ground import Ground


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Where sieges take place."""
    with Ground(tmp_path_factory.mktemp("chaos")) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """For logs of workers."""
    return tmp_path
