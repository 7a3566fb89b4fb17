"""Valid examples for every decoder."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

import orjson
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch.engine.checkpoint_format import Snapshot, latest
from pivotwatch.engine.partition_task import PartitionTask
from pivotwatch.roles.networks import NetworksPartition
from pivotwatch_models.settings import HOUR_MS, Settings
from tests.detection.stream import MODEL, launch_buckets
from tests.engine import stored_state
from tests.engine.rig import live_partition
from tests.ingest import samples
from tests.reporting.examples import alert, status

START = 500_000 * HOUR_MS
NOW = datetime.fromtimestamp(START / 1000, UTC)
EVENT = {
    "id": "r",
    "ts": START,
    "account": "a",
    "model": "m-2",
    "ip": "203.0.113.7",
    "links": {"payment": "p"},
    "account_created": "2026-01-01T00:00:00Z",
    "input_tokens": 5,
    "status": 200,
}
_BUCKETS, _CALENDAR = launch_buckets()
_FROM = 12
ACTIVE = tuple(record.value or b"" for record in _BUCKETS)[_FROM:]
"""Consecutive bucket records from the middle of a launch."""
RELEASE = {"model": MODEL, "released_at": _CALENDAR[0]["released_at"]}
DECISION = {"entity": {"kind": "network", "id": "AS1"}, "verdict": "verified", "by": "kim"}
ALERT: bytes = alert(1).value
STATUS: bytes = status(5, watermark=START).value
SAMPLES = {name: orjson.dumps(document) for name, (document, _) in samples.SAMPLES.items()} | {
    "otlp_proto": TracesData(
        resource_spans=[
            ResourceSpans(
                scope_spans=[
                    ScopeSpans(
                        spans=[
                            Span(
                                start_time_unix_nano=START * 10**6,
                                attributes=[
                                    KeyValue(key=key, value=AnyValue(string_value=value))
                                    for key, value in samples.GEN_AI_SPAN.items()
                                    if isinstance(value, str)
                                ],
                            )
                        ]
                    )
                ]
            )
        ]
    ).SerializeToString()
}
LOG = b"pager/0123456789abcdef\n" + orjson.dumps(
    {"revision": 2, "severity": "high", "open": True, "alert": None, "members": 3, "written": START}
)
GROUP_SHARD = 1


class Log:
    """A changelog that drops every write."""

    async def send(self, key: bytes, value: bytes | None) -> Awaitable[object]:
        raise NotImplementedError


@functools.cache
def stored(role: str) -> Snapshot:
    """A stored state from the middle of a campaign."""
    version = {"accounts": CountingOperator, "networks": ScoringOperator}[role].version
    found = latest(stored_state.read(role, version), stored_state.identity(role))
    assert found is not None
    if role == "networks":
        found = dataclasses.replace(found, pins=orjson.dumps([["releases", 9, 5, ["Entry", "m-2", START]]]))
    return found


def live_of(role: str, snapshot: Snapshot) -> Any:
    """The live partition that a worker makes of a state."""
    kind, operator = (
        (NetworksPartition, ScoringOperator(Settings(), 1))
        if role == "networks"
        else (PartitionTask, CountingOperator(Settings(), 0, 1, shards=4))
    )
    live = live_partition(operator, kind, snapshot=snapshot)
    asyncio.run(live.restore(snapshot))
    return live
