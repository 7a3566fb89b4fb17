"""The sentences of an alert: what is said when, and that they agree with the figures."""

from __future__ import annotations

import pytest

from pivotwatch.contracts.alerts import Evidence
from pivotwatch.detection.alerting.explanation import AGAINST, reasons, speaks_against
from pivotwatch_models.incidents.incident import Incident
from pivotwatch_models.incidents.pattern import Pattern
from pivotwatch_models.settings import HOUR_MS, Settings

RELEASED = 491_707
FIGURES = {
    "first_uses_seen": 6,
    "first_uses_expected": 1.0,
    "switches_seen": 1,
    "switches_expected": 0.9,
    "hazard_ratio": 2.9167,
    "observed_share": 0.33,
    "baseline_share": None,
    "population_share": 0.25,
    "synchrony": 0.61,
    "population_synchrony": 0.12,
    "log_e_value": 20.0,
    "log_e_pace": 20.0,
    "log_e_split": None,
    "threshold": 15.4,
    "theta": 2.4,
    "data_lag": False,
    "learning": False,
}


def told(onset=2, pattern=None, reason="opened", **figures):
    incident = Incident(
        "m-2", RELEASED * HOUR_MS, False, ("network", "AS1"), RELEASED + onset, RELEASED + onset
    )
    incident.members = {f"a-{i}": (RELEASED + onset, False) for i in range(7)}
    incident.groups = [incident.entity]
    incident.pattern = pattern or Pattern()
    return reasons(incident, Evidence(**(FIGURES | figures)), reason, Settings())


def test_it_says_what_happened_when_and_what_everyone_else_did():
    first, share, *_ = told()
    assert first == (
        "7 accounts of network AS1 moved to m-2 since 2026-02-03 21:00 UTC, 2 hours after its release: 6 "
        "first uses and 1 switch where the pace of everyone else predicts 1.9 together (2.9 times as many)."
    )
    assert share == "Since the onset 33% of its requests chose the model; of everyone else's it was 25%."
    assert ", before 4%;" in told(baseline_share=0.04)[1]


@pytest.mark.parametrize(
    ("onset", "when"),
    [(0, "at its release"), (1, "1 hour after"), (71, "71 hours after"), (96, "4 days after")],
)
def test_the_time_since_the_release_is_told_as_a_person_would(onset, when):
    assert when in told(onset)[0]


@pytest.mark.parametrize(
    ("value", "one_in"),
    [(15.4, "100,000 "), (20.0, "9,900,000 "), (280.0, "1,000,000,000,000 ")],
)
def test_how_improbable_it_is_follows_from_the_budget(value, one_in):
    (sentence,) = [s for s in told(log_e_value=value, log_e_pace=value) if "ln e-value" in s]
    assert f"less than one in {one_in}" in sentence
    assert "at most 2.4 times as fast" in sentence


def test_of_a_split_it_does_not_speak_of_the_pace():
    (sentence,) = [s for s in told(log_e_split=21.0) if "ln e-value" in s]
    assert "as fast" not in sentence
    assert "not the pace but the split" in sentence


def test_below_the_threshold_it_names_e_bh():
    (sentence,) = [s for s in told(log_e_value=13.0, log_e_pace=13.0) if "ln e-value" in s]
    assert "e-BH" in sentence
    assert "less than one" not in sentence


@pytest.mark.parametrize(
    ("own", "others", "happened", "against"),
    [
        (0.61, 0.12, True, False),
        (0.2, 0.25, False, True),
        (0.284, 0.281, False, True),  # shown as 28 % and 28 %
        (1.0, 1.0, False, False),  # the release is three hours old: of everyone the same is true
        (None, None, False, False),
    ],
)
def test_moving_together_speaks_for_or_against_it_or_says_nothing(own, others, happened, against):
    found = told(synchrony=own, population_synchrony=others)
    assert any("moved within 3 hours" in s and not speaks_against(s) for s in found) == happened
    assert any("did not move closer together" in s and speaks_against(s) for s in found) == against


def test_what_speaks_against_it_is_known_as_such():
    company = Pattern(40, part=0.03, whole=0.97, others_part=0.3, size_ratio=0.9, quiet_share=0.02)
    found = told(pattern=company, data_lag=True, learning=True)
    assert [s for s in found if speaks_against(s)] == found[-4:]
    assert found[-4].startswith("Company roll-out pattern: ")
    assert found[-3:] == [AGAINST["intent"], AGAINST["lag"], AGAINST["learning"]]
