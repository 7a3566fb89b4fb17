"""The metrics that pivotwatch serves, and which ones an expression uses."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from pivotwatch.engine.metrics import Metrics

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
RULES = INFRA / "prometheus" / "rules" / "pivotwatch.yml"


class Nobody:
    live: ClassVar = {}


def served() -> set[str]:
    """Every name under which a worker serves a sample."""
    names = set()
    for name, kind in Metrics("accounts", Nobody()).names().items():
        names |= (
            {name + ending for ending in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
        )
    return names


def recorded() -> set[str]:
    """What recording rules make."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def used(expression: str) -> set[str]:
    """The metrics that an expression of PromQL uses.

    >>> sorted(used('rate(pivotwatch_events_total{role="pivotwatch_x"}[5m]) / pivotwatch:a:b'))
    ['pivotwatch:a:b', 'pivotwatch_events_total']
    """
    plain = re.sub(r'"[^"]*"', '""', expression)
    return set(re.findall(r"\b(?:pivotwatch|process)[_:][\w:]+", plain))


def needs(program: str) -> None:
    """Skip where a program is not installed; never in CI, which installs it (.ci/run)."""
    if shutil.which(program) is None and not os.environ.get("CI"):
        pytest.skip(f"{program} is not installed")
