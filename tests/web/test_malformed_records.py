"""Malformed records are ignored or shown in part, and every page keeps working."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.reporting.examples import alert, status
from tests.web.site import Record, site

VALUES = (
    None,
    "",
    0,
    -1,
    10**18,
    1e300,
    "garbage",
    [],
    {},
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
)
ID = f"{1:016x}"
PAGES = ("/", "/incidents?state=all&kind=all", f"/incidents/{ID}")
ANSWERS = ("/api/v1/incidents?state=all", f"/api/v1/incidents/{ID}", "/api/v1/releases")
DECISION = {"alert_id": ID, "verdict": "benign", "by": "kim", "at": "2026-02-05T03:00:00Z", "note": "n"}
RECORDS = {
    "alerts": orjson.loads(alert(1).value),
    "decisions": DECISION,
    "status": orjson.loads(status(5, watermark=1_770_300_000_000).value),
}
AT = {
    "alerts": [("data", "onset"), ("data", "released_at"), ("data", "evidence", "hazard_ratio")]
    + [("data", "evidence", "series", name) for name in ("start", "bucket_ms")]
    + [("data", "evidence", "series", name, at) for name in ("at", "until", "share", "low") for at in (0, 2)],
    "decisions": [(name,) for name in DECISION],
    "status": [(name,) for name in ("bucket", "bucket_ms", "watermark", "late", "releases")]
    + [("releases", 0, name) for name in RECORDS["status"]["releases"][0]],
}


def changed(record: Any, place: tuple[Any, ...], value: Any) -> bytes:
    """The record with one value replaced."""
    fresh = copy.deepcopy(record)
    inner = fresh
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return orjson.dumps(fresh)


def records(topic: str) -> Iterator[bytes]:
    for place in AT[topic]:
        for value in VALUES:
            yield changed(RECORDS[topic], place, value)


@pytest.mark.parametrize("topic", RECORDS)
def test_a_malformed_field_breaks_no_page(topic: str) -> None:
    async def inside() -> None:
        async with site(open_as="operator") as made:
            read_model = made.app.shell.task.reader.read_model
            for value in records(topic):
                read_model.__init__()
                made.put_status(4)
                if topic == "decisions":
                    made.put_alert(1)
                made.app.shell.task.reader.take((topic, 0), Record(1, None, value, [], 0))
                for path in PAGES + ANSWERS:
                    there = ID not in path or ID in read_model.incidents
                    assert (await made.get(path)).status == (200 if there else 404), (path, value)

    asyncio.run(inside())
