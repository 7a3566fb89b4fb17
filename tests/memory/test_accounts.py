"""Memory of the accounts step stays below what the README of the engine promises."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

BOUND = 1_500
"""Bytes per account, two models watched, the current bucket open (streams/README.md)."""


@pytest.mark.slow
def test_bytes_per_account() -> None:
    command = [sys.executable, "-m", "tests.memory.accounts", "100000"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert found["models"] == 2
    assert found["fullest"] < BOUND
    assert found["stored"] < 250
