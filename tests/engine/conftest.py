"""Tests of the engine run without a broker: nobody says which logs there are."""

from __future__ import annotations

import pytest

from pivotwatch.engine.kafka import logs
from pivotwatch.engine.log_position import Answer


@pytest.fixture(autouse=True)
def no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait for a broker that is not there."""
    monkeypatch.setattr(logs, "ask", lambda config, epochs: Answer({}, {}))
    monkeypatch.setattr(logs, "committed_metadata", lambda config, group: None)
