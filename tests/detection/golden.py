"""One run whose alerts are known: ``python -m tests.detection.golden`` writes what it gives today.

Texts and ids are left out: wording may change, and ids follow from the fingerprint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from pivotwatch.contracts.records import Output
from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch_models.fingerprint import decision_fingerprint, state_fingerprint
from pivotwatch_models.settings import HOUR_MS, Settings
from tests.detection.stream import MODEL, SETTINGS, START, alerts, event, launch, new_model

PATH = Path(__file__).with_name("golden.json")
WORDS = ("alert_id", "dedup_key", "reasons", "urls")


def loner() -> list[dict[str, Any]]:
    """Fourteen days in which one account moves to a new model by itself, and another tries it every day."""
    events = [
        event(account, START + hour * HOUR_MS, MODEL if account == "a-0" and hour >= 216 else "m-1", "AS-L")
        for hour in range(0, 336, 2)
        for account in ("a-0", "a-1", "a-2", "a-3")
    ]
    events += [event("a-1", START + hour * HOUR_MS, MODEL, "AS-L") for hour in range(25, 336, 24)]
    return sorted(events, key=lambda e: e["ts"])


def run(events: Iterable[dict[str, Any]], settings: Settings, **options: Any) -> Iterator[Output]:
    return DetectionPipeline(settings, **options).run(map(orjson.dumps, events))


def results() -> list[dict[str, Any]]:
    """Data of every alert of three launches: with a calendar, inferred, and of one account."""
    events, releases = launch(hours=72)
    outputs = [*run(events, SETTINGS, partitions=2, releases=releases)]
    outputs += run(new_model(80), SETTINGS)
    in_days = SETTINGS.replace(bucket="1d")
    released = {"model": MODEL, "released_at": START + 24 * HOUR_MS}
    outputs += run(loner(), in_days, releases=[released])
    return [
        {name: value for name, value in alert["data"].items() if name not in WORDS}
        for alert in alerts(outputs)
    ]


def digest(found: list[dict[str, Any]]) -> str:
    """Sixteen hex digits of alerts."""
    return hashlib.sha256(orjson.dumps(found, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def summary() -> dict[str, Any]:
    """What is stored: the digest, and the fingerprints under which it came about."""
    found = results()
    return {
        "alerts": len(found),
        "digest": digest(found),
        "state_fingerprint": state_fingerprint(SETTINGS),
        "decision_fingerprint": decision_fingerprint(SETTINGS),
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(summary(), indent=2) + "\n")
