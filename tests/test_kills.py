"""Counting of kills: `tests.kills`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests import kills
from tests.kafka.engine_rig import wait_for

WAITS = [sys.executable, "-c", "import time; time.sleep(600)", "pivotwatch"]


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> kills.Budget:
    """A separate counter with the same limit."""
    own = kills.Budget()
    own.test = "it"
    monkeypatch.setattr(kills, "BUDGET", own)
    monkeypatch.setattr(kills, "LONG", False)
    return own


def kill_a_worker(how: str = "kill") -> None:
    worker = subprocess.Popen(WAITS)
    wait_for("its command line", lambda: kills.is_ours(worker.pid))
    if how == "stop":
        os.kill(worker.pid, signal.SIGSTOP)
        kills.quietly(worker.kill)
    else:
        getattr(worker, how)()
    worker.wait()


def test_the_fourth_kill_fails_the_test(budget: kills.Budget) -> None:
    kill_a_worker()
    kill_a_worker("terminate")
    kill_a_worker("stop")
    kills.quietly(kill_a_worker)
    assert len(budget.by) == 2
    budget.count()
    with pytest.raises(pytest.fail.Exception, match="more than 3 kills"):
        budget.count()


def test_long_runs_have_no_limit(budget: kills.Budget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "LONG", True)
    for _ in range(9):
        budget.count()
    assert len(budget.by) == 9
