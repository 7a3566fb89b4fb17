"""Lists the metrics that pivotwatch serves, and the metrics that an expression uses."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from pivotwatch.delivery.metrics import DeliveryMetrics
from pivotwatch.engine.metrics import Metrics
from pivotwatch.ingest.metrics import IngestMetrics
from pivotwatch.roles.accounts import COUNTERS
from pivotwatch.roles.networks import NetworksMetrics
from tests.engine.rig import Nobody

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
RULES = INFRA / "prometheus" / "rules" / "pivotwatch.yml"


def served() -> set[str]:
    """Names of all samples that a worker serves."""
    names, nobody = set(), Nobody()
    workers = (
        Metrics("accounts", nobody, counters=COUNTERS),
        NetworksMetrics(nobody),
        DeliveryMetrics(nobody),
        IngestMetrics(nobody),
    )
    for name, kind in [served for metrics in workers for served in metrics.names().items()]:
        names |= (
            {name + ending for ending in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
        )
    return names


def recorded() -> set[str]:
    """Names that the recording rules define."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


def used(expression: str) -> set[str]:
    """The metrics that a PromQL expression uses.

    >>> sorted(used('rate(pivotwatch_events_total{role="pivotwatch_x"}[5m]) / pivotwatch:a:b'))
    ['pivotwatch:a:b', 'pivotwatch_events_total']
    """
    plain = re.sub(r'"[^"]*"', '""', expression)
    return set(re.findall(r"\b(?:pivotwatch|process)[_:][\w:]+", plain))


def needs(program: str) -> None:
    """Skip the test when a program is not installed, but not in CI, which installs it (.ci/run)."""
    if shutil.which(program) is None and not os.environ.get("CI"):
        pytest.skip(f"{program} is not installed")
