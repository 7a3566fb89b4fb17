"""The results of the method change only together with a fingerprint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.detection import golden

STORED: dict[str, Any] = json.loads(golden.PATH.read_text())


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    return golden.results()


def test_other_results_have_another_fingerprint(results: list[dict[str, Any]]) -> None:
    now = golden.summary()
    assert (
        now["digest"] == STORED["digest"] or now["decision_fingerprint"] != STORED["decision_fingerprint"]
    ), (
        "the results of the method changed, but no constant and no version did: raise DecisionMethod.version "
        "in pivotwatch_models.method, or StateMethod.version if stored numbers mean something else now"
    )
    assert now == STORED, "write the results of today: python -m tests.detection.golden"
    assert now["digest"] == golden.digest(results)


def test_the_run_shows_what_the_method_finds(results: list[dict[str, Any]]) -> None:
    """A run without alerts could not tell one method from another."""
    assert {alert["transition"] for alert in results} >= {"opened", "evidence-grew", "merged"}
    assert {alert["entity"]["kind"] for alert in results} >= {"network", "account"}
    assert any(alert["release_inferred"] for alert in results)


def test_a_figure_changes_the_digest(results: list[dict[str, Any]]) -> None:
    figure = results[0]["evidence"]["log_e_value"]
    other = [{**results[0], "evidence": {**results[0]["evidence"], "log_e_value": (figure or 0) + 1e-4}}]
    assert golden.digest(other + results[1:]) != golden.digest(results)
