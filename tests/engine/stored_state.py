"""Writes a stored state of both operators, as in the changelogs: ``python -m tests.engine.stored_state``.

Run it only after a new STATE_VERSION, and keep the old files: workers must continue to read them.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
from pathlib import Path
from typing import Any

import orjson

from pivotwatch.contracts.records import Line
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch.engine.checkpoint import Checkpoints
from pivotwatch.engine.checkpoint_format import Epoch, Identity, Snapshot
from pivotwatch.simulation import generate
from pivotwatch_models.fingerprint import earlier_state_fingerprints, state_fingerprint
from pivotwatch_models.settings import Settings
from tests.engine.test_checkpoint import Log

FOLDER = Path(__file__).with_name("fixtures")
OFFSET = 4_000
SETTINGS = Settings(watch="14d")
"""The defaults when the first states were stored; a state is read only under its own settings."""
Stored = dict[bytes, bytes]


def steps() -> dict[str, Any]:
    """Both operators in the middle of a campaign."""
    simulation = generate("c1", seed=1, accounts=60, scale=0.05, warmup_days=1.0, days=1.0)
    lines = [Line(line, offset) for part in simulation.slices() for offset, line in enumerate(part.lines)]
    accounts, networks = CountingOperator(SETTINGS, 0, 1, shards=4), ScoringOperator(SETTINGS, 1)
    for release in simulation.releases:
        networks.control("releases", Line(orjson.dumps(release)))
    for output in accounts.process(lines[: len(lines) * 2 // 3]):
        if output.topic == "buckets":
            networks.process([Line(output.value)])
    return {"accounts": accounts, "networks": networks}


def identity(role: str) -> Identity:
    """The identity under which the state is stored."""
    return Identity(role, 1, state_fingerprint(SETTINGS), earlier_state_fingerprints(SETTINGS))


def store(role: str, step: Any) -> Stored:
    """Write a checkpoint; return the records of the changelog."""
    log = Log()
    checkpoints = Checkpoints(log, identity(role), Epoch(1, "fixture"), (), lambda offset: None)
    snapshot = Snapshot(OFFSET, step.meta(), step.snapshot(full=True))
    asyncio.run(checkpoints.save(snapshot, []))
    return log.stored


def path(role: str, version: int) -> Path:
    """The file with the state of a version."""
    return FOLDER / f"state_v{version}_{role}.json.gz"


def read(role: str, version: int) -> Stored:
    """Read a stored state."""
    pairs = orjson.loads(gzip.decompress(path(role, version).read_bytes()))
    return {base64.b64decode(key): base64.b64decode(value) for key, value in pairs}


def main() -> None:
    """Write the files of the current versions that do not exist yet."""
    for role, step in steps().items():
        if path(role, step.version).exists():
            continue
        step.snapshot(full=True)  # The meta counts the segments of the snapshot before it.
        stored = store(role, step)
        pairs = [[base64.b64encode(part).decode() for part in pair] for pair in sorted(stored.items())]
        path(role, step.version).write_bytes(gzip.compress(orjson.dumps(pairs), mtime=0))


if __name__ == "__main__":
    main()
