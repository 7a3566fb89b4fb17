"""What small runs send, by topic: incidents that open, grow, merge, end and are decided on; dead letters."""

from __future__ import annotations

import asyncio
import base64
import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import orjson

from pivotwatch.contracts.bucket_record import decode
from pivotwatch.contracts.codec import as_plain, encode, moment_of
from pivotwatch.contracts.controls import Decision, Release, decision_record
from pivotwatch.contracts.dead_letters import PREFIX, TARGET
from pivotwatch.contracts.entity import Entity
from pivotwatch.contracts.events import EXAMPLE, BadEvent
from pivotwatch.contracts.records import Line, Output
from pivotwatch.contracts.sessions import Session
from pivotwatch.delivery.errors import Rejected
from pivotwatch.delivery.trial_alert import make_alert
from pivotwatch.detection.counting.event_time import QUORUM, Quorum
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch.ingest import rejects
from pivotwatch.ingest.decoded import BadDocument
from pivotwatch_models.settings import DAY_MS, HOUR_MS, Settings
from tests.delivery.rig import Recorder, Rig
from tests.detection.golden import loner
from tests.detection.stream import ANYBODY, MODEL, SETTINGS, START, event, launch, new_model, records

HOURS = 60
CAMPAIGNS = (
    # Two groups that move apart from each other, then accounts that are in both.
    ("network", 26, 18, "AS8", None),
    ("payment", 20, 18, None, "pay-x"),
    ("both", 18, 22, "AS8", "pay-x"),
)
ODD = Entity("network", "AS8")
DECISIONS = {
    10: Decision(alert_id="0123456789abcdef", verdict="verified", by="kim"),
    30: Decision(entity=ODD, verdict="confirmed", by="kim", at=moment_of(START), note="two keys"),
    40: Decision(entity=ODD, verdict="benign", by="lee", at=moment_of(START)),
}
"""Bucket to the decision that comes before it."""
BAD = [
    Line(None, 0, key=b"k"),
    Line(b"x" * 950_000, 1, key=b"k"),
    Line(orjson.dumps([event(id="good"), {"id": "bad"}]), 2, headers=(("trace", b"1"),)),
]


def campaign() -> Iterator[dict[str, Any]]:
    """A launch in which everybody moves for good, and a campaign sends part of its traffic."""
    rng = np.random.default_rng(7)
    adopted = set()
    for one in launch(moved=0, hours=HOURS)[0]:
        if one["model"] == MODEL:
            adopted.add(one["account"])
        model = MODEL if one["account"] in adopted else one["model"]
        tokens = rng.lognormal(6, 1, 2).astype(int).tolist()
        yield one | {
            "model": model,
            "input_tokens": tokens[0],
            "output_tokens": tokens[1],
            "tools": len(adopted) % 2,
        }
    for name, accounts, begin, network, payment in CAMPAIGNS:
        for account in range(accounts):
            for hour in range(HOURS):
                moved = begin + account % 2 <= hour < 44
                for number in range(int(rng.integers(6, 10))):
                    yield event(
                        f"{name}-{account:02}",
                        START + hour * HOUR_MS + int(rng.integers(0, HOUR_MS)),
                        MODEL if moved and rng.random() < 0.6 else "m-1",
                        network or f"AS{account % 8}",
                        id=f"{name}-{account}-{hour}-{number}",
                        account_created=START - (1 if account % 2 else 400) * DAY_MS,
                        input_tokens=500,
                        output_tokens=900,
                        links={"payment": payment} if payment else None,
                    )


def with_late(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events in order of time, some of the campaign four hours late."""
    ordered = sorted(events, key=lambda one: one["ts"])
    at = next(place for place, one in enumerate(ordered) if one["ts"] > START + 26 * HOUR_MS)
    late = [
        one | {"id": f"{one['id']}-late", "ts": one["ts"] - 4 * HOUR_MS}
        for one in ordered[at : at + 400]
        if one["network"] == "AS8"
    ]
    return ordered[:at] + late + ordered[at:]


def with_a_clock_ahead() -> list[dict[str, Any]]:
    """A launch in which the clock of one network is 40 minutes ahead."""
    ahead = 40 * 60_000
    return [e | {"ts": e["ts"] + ahead} if e["network"] == "AS3" else e for e in launch(hours=14)[0]]


def run(
    settings: Settings, events: Iterable[dict[str, Any]], *entries: Release, quorum: Quorum = ANYBODY
) -> Iterator[Output]:
    """Everything that the steps send; decisions come while an incident goes on."""
    counting = CountingOperator(settings, 0, 1, quorum=quorum)
    scoring = ScoringOperator(settings, 1, lambda name: "hosting" if name == ODD.id else None)
    for offset, entry in enumerate(entries):
        yield Output("releases", entry.model.encode(), encode(entry))
        yield from scoring.control("releases", Line(encode(entry), offset))
    sent = counting.process([*BAD, *records([*events])])
    sent += [*counting.idle(counting.buckets.watermark.first_open or 0), *counting.final()]
    yield from sent
    buckets = [output for output in sent if output.topic == "buckets"]
    for number, output in enumerate(buckets):
        if number in DECISIONS:
            key, value, headers = decision_record(DECISIONS[number])
            yield Output("decisions", key, value or b"", tuple(headers))
            yield from scoring.control("decisions", Line(value, number, key=key))
        yield from scoring.process([Line(output.value, number)])


def undelivered() -> list[Output]:
    """Dead letters of an alert that a target refuses, and of one that nobody can read."""
    rig = Rig(one=Recorder(Rejected("status 400")))

    async def deliver() -> None:
        rig.start()
        rig.take(encode(make_alert("open", 1, START)), b"{}")
        await rig.finished()

    asyncio.run(deliver())
    return rig.dead


def foreign() -> list[Output]:
    """A dead letter of ingest."""
    bad = BadDocument(3, BadEvent("ts: expected a time"), {"prompt": "hello"})
    return [rejects.dead_letter(bad, "redacted", "litellm", Line(b"{}", 7), ("logs", 0))]


@functools.cache
def outputs() -> tuple[Output, ...]:
    """Everything that is sent: by a campaign, at a release that nobody announced, of a lone account."""
    released = Release(model=MODEL, released_at=launch()[1][0]["released_at"])
    in_days = SETTINGS.replace(bucket="1d")
    next_day = Release(model=MODEL, released_at=START + DAY_MS)
    marked = Output("alerts", b"", encode(make_alert("open", 1, START)))
    return (
        *run(SETTINGS, with_late(campaign()), released),
        *run(SETTINGS, new_model(80)),
        *run(in_days, loner(), next_day),
        *run(SETTINGS, with_a_clock_ahead(), released, quorum=QUORUM),
        *undelivered(),
        *foreign(),
        marked,
    )


@functools.cache
def documents() -> dict[str, list[Any]]:
    """By name of the published schema, what it describes."""
    found: dict[str, list[Any]] = defaultdict(list)
    found["session"] = [as_plain(SESSION)]
    found["event"] = [*launch()[0], *with_late(campaign()), EXAMPLE]
    for output in outputs():
        if output.topic in ("dlq", "deliveries_dlq"):
            found["dead-letter"].append(_dead_letter(output))
        elif output.topic == "buckets":
            header, content = decode(output.value)
            found["bucket"].append({"header": as_plain(header), "content": orjson.loads(content)})
        else:
            found[NAMES[output.topic]].append(orjson.loads(output.value))
    return found


SESSION = Session(
    name="kim",
    role="operator",
    method="token",
    begun=moment_of(START),
    ends=moment_of(START + HOUR_MS),
    tag="0f",
)
NAMES = {"alerts": "alert", "status": "status", "decisions": "decision", "releases": "release"}


def _dead_letter(output: Output) -> dict[str, Any]:
    """The headers of its own, and key and value as the schema has them."""
    return {
        "key": None if output.key is None else base64.b64encode(output.key).decode(),
        "value": base64.b64encode(output.value).decode(),
        "headers": {
            name: text.decode() for name, text in output.headers if name.startswith((PREFIX, TARGET))
        },
    }
