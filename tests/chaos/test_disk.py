"""The disk under the data of broker and workers is full for a while."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.ground import Ground
from tests.chaos.pipeline import wait_for
from tests.chaos.traffic import records, simulate
from tests.chaos.verdict import judge

SIZE = 80 * 2**20


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, which is full soon."""
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
    """Take what is left."""
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
        Ground(tmp_path / "logs", disk / "kafka") as ground,
    ):
        # A worker keeps nothing on a disk: it may start, work and end where there is no room at all.
        fill(full)
        for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME"):
            monkeypatch.setenv(name, str(full))
        with ground.siege(6, partitions=2) as siege:
            siege.pipeline.release(simulation.releases)
            siege.begin()
            feeder = siege.pipeline.feed(records(simulation, 2, seed=6, batch=20), 60)
            siege.progress("accounts")
            ballast = fill(disk)
            # The broker takes its log directory offline, and ends when it was the only one.
            wait_for("the broker to notice", lambda: not siege.kafka.running)
            siege.kafka.kill()
            ballast.unlink()
            siege.kafka.start()
            siege.progress("accounts")
            siege.replace(siege.workers[0])
            assert feeder.sent
            siege.end()
            verdict = judge(siege.pipeline)
        assert verdict.exact, verdict
        assert verdict.alerts
