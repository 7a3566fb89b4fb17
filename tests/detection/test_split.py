"""From events to alerts by the split alone: a campaign that is not fast, and a company."""

from __future__ import annotations

import functools

import numpy as np
import orjson
import pytest

from pivotwatch.contracts.alerts import parse_alert
from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch_models.settings import HOUR_MS
from tests.detection.stream import MODEL, SETTINGS, START, alerts, event

RELEASE = 50
ODD = "AS9"


@functools.cache
def launch(share, rig):
    """Everyone switches within hours of the release, with nearly all requests except in one network.

    The accounts of that network send ``share`` of their requests, around the clock or in working hours;
    requests have one size if the accounts never rest.
    """
    rng = np.random.default_rng(3)
    odd, rest = 50, 260
    lines = []
    for hour in range(RELEASE + 30):
        for a in range(odd + rest):
            is_odd = a < odd
            if is_odd and rig and not 8 <= hour % 24 < 18:
                continue
            moved = hour >= RELEASE + 1 + a % 6
            part = share if is_odd else (0.5 if a % 20 == 0 else 0.97)
            for _ in range(int(rng.poisson(4 if is_odd else 3))):
                size = 7.0 if is_odd and not rig else rng.normal(7.0, 1.0)
                more = {"input_tokens": int(np.exp(size)), "output_tokens": int(np.exp(size + 0.5))}
                model = MODEL if moved and rng.random() < part else "m-1"
                network = ODD if is_odd else f"AS{a % 7}"
                ts = START + hour * HOUR_MS + int(rng.integers(0, HOUR_MS))
                lines.append(event(f"acct-{a:03}", ts, model, network, id=f"r{len(lines)}", **more))
    return [orjson.dumps(e) for e in sorted(lines, key=lambda e: e["ts"])]


@functools.cache
def told(share, rig=False, partitions=1):
    releases = [{"model": MODEL, "released_at": START + RELEASE * HOUR_MS}]
    lines = launch(share, rig)
    outputs = list(DetectionPipeline(SETTINGS, partitions=partitions, releases=releases).run(lines))
    return [a for a in alerts(outputs) if a["data"]["entity"]["kind"] != "account"]


@pytest.mark.slow
def test_a_constant_split_is_found_at_normal_speed():
    found = told(0.5)
    assert {a["data"]["entity"]["id"] for a in found} == {ODD}
    last = found[-1]["data"]
    evidence = last["evidence"]
    assert evidence["log_e_split"] > evidence["threshold"] > (evidence["log_e_pace"] or 0.0)
    assert last["members_total"] >= 25
    assert evidence["pattern"]["name"] == "extraction"
    assert {evidence["pattern"][sign]["sign"] for sign in ("split", "sizes", "hours")} == {"extraction"}
    assert last["severity"] == "high"
    assert any("evidence is not the speed" in sentence for sentence in last["reasons"])
    assert any(sentence.startswith("Extraction pattern: ") for sentence in last["reasons"])
    assert parse_alert(orjson.dumps(found[-1]))


@pytest.mark.slow
def test_a_company_that_sends_nearly_everything_is_not_alerted():
    assert told(0.96, rig=True) == []


def test_the_number_of_partitions_does_not_change_results():
    three = [
        a["data"] | {"evidence": a["data"]["evidence"] | {"findings": 0}} for a in told(0.5, partitions=3)
    ]
    assert three == [a["data"] | {"evidence": a["data"]["evidence"] | {"findings": 0}} for a in told(0.5)]
