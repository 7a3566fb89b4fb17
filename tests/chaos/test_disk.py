"""The disk of the broker is full for a while, and the disk of the workers all the time."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.comparison import compare_with_undisturbed
from tests.chaos.pipeline import wait_for
from tests.chaos.testbed import BrokerTestbed
from tests.chaos.traffic import records, simulate

SIZE = 80 * 2**20


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small file system."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Write a file that takes all free space."""
    path = disk / "ballast"
    with path.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 2**16)
            file.flush()
    assert os.statvfs(disk).f_bavail < 64
    return path


@pytest.mark.long
def test_a_full_disk_under_broker_and_workers_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = simulate(500, seed=6)
    with (
        small_disk(tmp_path / "of-broker") as disk,
        small_disk(tmp_path / "of-workers") as full,
        BrokerTestbed(tmp_path / "logs", disk / "kafka") as testbed,
    ):
        # A worker stores nothing on disk: it must start, work and end on a full disk.
        fill(full)
        for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME"):
            monkeypatch.setenv(name, str(full))
        with testbed.fault_run(6, partitions=2) as fault_run:
            fault_run.pipeline.release(simulation.releases)
            fault_run.start_all()
            feeder = fault_run.pipeline.feed(records(simulation, 2, seed=6, batch=20), 60)
            fault_run.wait_for_progress("accounts")
            ballast = fill(disk)
            # The broker takes its only log directory offline, and therefore ends.
            wait_for("the broker to notice", lambda: not fault_run.kafka.running)
            fault_run.kafka.kill()
            ballast.unlink()
            fault_run.kafka.start()
            fault_run.wait_for_progress("accounts")
            fault_run.kill_and_restart(fault_run.workers[0])
            assert feeder.sent
            fault_run.drain_and_stop()
            comparison = compare_with_undisturbed(fault_run.pipeline)
        assert comparison.exact, comparison
        assert comparison.alerts
