"""Memory of the counting operator stays below the documented limits."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SETTLED, FULLEST = 400, 900
"""Bytes per account with two watched models: without an open bucket, and at most (tests/bench/README.md)."""


@pytest.mark.slow
def test_bytes_per_account() -> None:
    command = [sys.executable, "-m", "tests.memory.accounts", "100000"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found["models"] == 2
    assert found["settled"] <= SETTLED
    assert found["fullest"] <= FULLEST
    assert found["stored"] < 250
