"""``pivotwatch demo`` against a real broker, with a smaller scenario: it finds the campaign and cleans up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner
from kafka.admin import KafkaAdminClient

from pivotwatch import demo
from pivotwatch.cli import main
from pivotwatch.config.config import load
from pivotwatch.demo import WorkerDied, run
from tests.interrupt import interruptible


def names(admin: KafkaAdminClient) -> set[str]:
    """Topics and groups that belong to a demo."""
    groups = {group["group_id"] for group in admin.list_groups()}
    return {name for name in groups | set(admin.list_topics()) if name.startswith("demo-")}


def test_it_finds_the_campaign_and_removes_its_topics(
    broker: str, admin: KafkaAdminClient, capsys: pytest.CaptureFixture[str]
) -> None:
    before = names(admin)
    verdict = run(load(brokers=broker), seed=1, speed=0, keep=False, scenario="c1", scale=0.1)
    assert verdict.found
    assert verdict.false_alerts == 0
    shown = capsys.readouterr()
    assert "FOUND  the hidden campaign" in shown.out
    assert "the new model is released" in shown.err
    assert names(admin) <= before


def test_the_log_of_a_dead_worker_is_shown(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dies = [sys.executable, "-c", "import sys; print('out of memory', file=sys.stderr); sys.exit(9)"]
    monkeypatch.setattr(demo, "worker_command", lambda role: dies)
    with pytest.raises(
        WorkerDied, match=r"exited with status 9; the last lines of its log:\n  out of memory"
    ):
        run(load(brokers=broker), seed=1, speed=3600, keep=False, scenario="c1", scale=0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_stopped(number: signal.Signals, broker: str, admin: KafkaAdminClient) -> None:
    before = names(admin)
    command = [sys.executable, "-m", "pivotwatch", "demo", "--brokers", broker]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=interruptible
    )
    assert process.stderr is not None
    with process:
        assert "workers on" in process.stderr.readline()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "stopped"
    assert names(admin) <= before
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, check=False
    )
    assert str(process.pid).encode() not in children.stdout.split()


def test_without_a_broker_it_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIVOTWATCH_BROKERS", raising=False)
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 3
    assert "run `make demo`, which starts it" in result.stderr
