"""What is fuzzed: for each decoder a function of bytes that must never raise, and examples to begin with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import orjson

from models.settings import HOUR_MS, Settings
from streams.sources.decoder import Decoder
from streams.sources.mapping import SourceMapping, load_file
from streams.steps.accounts import AccountsStep
from streams.steps.contract import Line
from streams.steps.networks import NetworksStep
from streams.steps.record import encode

START = 500_000 * HOUR_MS
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
RELEASE = {"model": "m-2", "released_at": "2026-02-05T18:00:00Z"}
DECISION = {"entity": {"kind": "network", "id": "AS1"}, "verdict": "verified", "by": "kim"}
SOURCES = ("native", "litellm", "envoy", "kong", "apisix", "otlp_json", "otlp_proto")


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One decoder: takes bytes, raises nothing; ``seeds`` are good or nearly good."""

    run: Callable[[bytes], None]
    seeds: Sequence[bytes]


def _requests(data: bytes) -> None:
    """Bad is said of each, the good is counted, and the bucket closes."""
    step = AccountsStep(Settings(), 0, 1)
    outputs = step.process([Line(data, key=data[:8], timestamp=START)])
    outputs += step.process([Line(orjson.dumps(EVENT))])
    outputs += step.final()
    letters = [output for output in outputs if output.topic == "dlq"]
    assert len(letters) == sum(_number(output.value) for output in outputs if output.topic == "buckets")
    step.snapshot(full=True)


def _number(value: bytes) -> int:
    body = value.partition(b"\n")[2]
    return int(orjson.loads(body).get("invalid", 0)) if body else 0


def _control(topic: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        step = NetworksStep(Settings(), 1)
        step.control(topic, Line(data, key=data[:4]))
        step.process([Line(encode(0, 1, 1, {}, width=HOUR_MS, first=True)[0].value)])
        step.repin(step.pins())
        step.snapshot(full=True)

    return run


def _source(name: str) -> Callable[[bytes], None]:
    decoder = Decoder(SourceMapping(name, load_file(name)))

    def run(data: bytes) -> None:
        decoded = decoder.decode(data)
        for _, event in decoded.events:
            assert math.isfinite(event["ts"])

    return run


def targets() -> dict[str, Target]:
    """All of them by name."""
    event = orjson.dumps(EVENT)
    found = {
        "requests": Target(_requests, [event, b"[%s,%s]" % (event, event), b'[{"id":"r"}, 7]']),
        "releases": Target(_control("releases"), [orjson.dumps(RELEASE), b""]),
        "decisions": Target(_control("decisions"), [orjson.dumps(DECISION), b""]),
    }
    for name in SOURCES:
        found[f"source {name}"] = Target(_source(name), [event, b"[%s]" % event, b"{}\n{}"])
    return found
