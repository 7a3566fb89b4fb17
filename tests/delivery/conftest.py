"""Fixtures: a receiver, and the secrets of targets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.delivery.http_rig import ROUTING_KEY
from tests.delivery.receiver import SECRET, Receiver, receiver


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setenv("PAGER_SECRET", ROUTING_KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
