"""An invented replay as input of the report."""

from __future__ import annotations

import orjson

from pivotwatch.contracts.records import Output
from pivotwatch.reporting.collector import Collector
from tests.contracts.examples import alert_bytes

HOUR = "2026-02-05T{:02}:00:00Z"
HOSTILE = '"><script>alert(1)</script><b>&\x00\u202e'


def status(hour, share=0.1, accounts=200, **more):
    release = {
        "model": "m-2",
        "released_at": HOUR.format(3),
        "inferred": False,
        "learning": False,
        "moves_per_bucket": 1.5,
        "advised_bucket_ms": None,
        "share": share,
        "first_uses": hour,
        "at_risk": 150,
        "surge": None,
        "groups": 7,
        "incidents": [],
    }
    fields = {
        "bucket": HOUR.format(hour),
        "bucket_ms": 3_600_000,
        "watermark": 0,
        "requests": 1000,
        "accounts": accounts,
        "new_accounts": 5,
        "groups": 7,
        "late": 0,
        "invalid": 0,
        "failed": 0,
        "releases": [release],
    }
    return Output("status", b"", orjson.dumps(fields | more))


def alert(number=0, **data):
    """The example alert, with another id."""
    event = orjson.loads(alert_bytes(**data))
    name = f"{number:016x}"
    event["id"] = f"{name}.{event['data']['revision']}"
    event["data"]["alert_id"] = name
    return Output("alerts", b"", orjson.dumps(event))


def collected(*outputs, hours=range(2, 20)):
    gathered = Collector()
    for output in (*(status(hour) for hour in hours), *outputs):
        gathered.take(output)
    return gathered
