"""Checks of the Grafana dashboard, its provisioning, and the Alertmanager configuration."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import yaml

from tests.infra.files import INFRA, ROOT, needs, recorded, served, used

GRAFANA = INFRA / "grafana"


def dashboard() -> dict[str, Any]:
    return json.loads((GRAFANA / "dashboards" / "pivotwatch.json").read_text())


def expressions() -> list[str]:
    board = dashboard()
    panels = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    return panels + [note["expr"] for note in board["annotations"]["list"]]


def test_every_metric_of_the_dashboard_is_served():
    assert len(expressions()) > 15
    for expression in expressions():
        assert used(expression) <= served() | recorded(), expression


def test_every_metric_of_the_contract_is_shown_or_alerted():
    rules = (INFRA / "prometheus" / "rules" / "pivotwatch.yml").read_text()
    shown = set.union(*map(used, expressions()), used(rules))
    for name in (
        "events_total",
        "late_events_total",
        "dead_letters_total",
        "watermark_lag_seconds",
        "alerts_total",
        "open_incidents",
        "checkpoint_seconds_bucket",
    ):
        assert f"pivotwatch_{name}" in shown


def test_panels_do_not_overlap_and_have_descriptions():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or panel["description"]


def test_the_dashboard_uses_the_provisioned_data_source():
    source = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())
    uid = source["datasources"][0]["uid"]
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == panel["datasource"]["uid"] == uid
    assert yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "pivotwatch.yml").read_text())[
        "providers"
    ]


def test_amtool_accepts_the_configuration():
    needs("amtool")
    done = subprocess.run(
        ["amtool", "check-config", "infra/alertmanager/alertmanager.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
