"""The fuzz targets: for each decoder a function of bytes that must never raise, and example inputs."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import msgspec
import orjson

from pivotwatch.base.errors import WrongUse
from pivotwatch.cli.dlq import _as_json, _delivery_line, _first_bytes
from pivotwatch.config.config import load
from pivotwatch.contracts.alerts import parse_alert
from pivotwatch.contracts.bucket_content import Body
from pivotwatch.contracts.bucket_record import Header, decode, encode
from pivotwatch.contracts.dead_letters import parse_dead_letter
from pivotwatch.contracts.records import Line
from pivotwatch.delivery.notification_log import NotificationLog
from pivotwatch.delivery.notification_policy import decide
from pivotwatch.detection.counting.deduplication import ORIGIN, PLACES, origin_headers
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch.engine.checkpoint_format import Epoch, Identity, Manifest, Snapshot, StateRefused, latest
from pivotwatch.formats import alertmanager, chat, ocsf, pagerduty, slack, text
from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.http_auth import Authenticator, Unauthorized
from pivotwatch.ingest.mapping import SourceMapping, load_file
from pivotwatch.ingest.rejects import dead_letter
from pivotwatch.tools.sample_checks import Sample, SampleRecord, check_calendar, check_events
from pivotwatch.web import event_cursor
from pivotwatch.web.read_model import ReadModel
from pivotwatch.web.sessions import Sessions
from pivotwatch.web.view_models import ViewModels
from pivotwatch_models.settings import HOUR_MS, Settings
from tests.detection.stream import ANYBODY
from tests.fuzz.examples import (
    ACTIVE,
    ALERT,
    DECISION,
    EVENT,
    GROUP_SHARD,
    LOG,
    NOW,
    RELEASE,
    SAMPLES,
    START,
    STATUS,
    Log,
    live_of,
    stored,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One decoder: a function of bytes that must not raise, and valid or nearly valid ``seeds``."""

    run: Callable[[bytes], None]
    seeds: Sequence[bytes]


def _number(value: bytes) -> int:
    body = value.partition(b"\n")[2]
    return int(orjson.loads(body).get("invalid", 0)) if body else 0


def _requests(data: bytes) -> None:
    """Every bad event becomes a dead letter, good events are counted, and the bucket closes."""
    step = CountingOperator(Settings(), 0, 1, quorum=ANYBODY)
    outputs = step.process([Line(data, key=data[:8], timestamp=START)])
    outputs += step.process([Line(orjson.dumps(EVENT))])
    outputs += step.final()
    letters = [output for output in outputs if output.topic == "dlq"]
    assert len(letters) == sum(_number(output.value) for output in outputs if output.topic == "buckets")
    step.snapshot(full=True)


def _origin(data: bytes) -> None:
    """Foreign headers: no record is refused, and valid headers are read as before."""
    step = CountingOperator(Settings(), 0, 1, quorum=ANYBODY)
    origin, _, places = data.partition(b"\n")
    array = orjson.dumps([EVENT])
    for number, headers in enumerate(
        (((ORIGIN, origin), (PLACES, places)), origin_headers("mine", 0, [(2, 0)]), ((ORIGIN, origin),))
    ):
        assert not step.process([Line(array, number, headers=headers)])
    assert step.reader.origins.applied["mine", 0] >= (2, 0)
    orjson.dumps(step.reader.origins.snapshot())


def _networks(*records: bytes) -> None:
    step = ScoringOperator(Settings(), 1)
    step.control("releases", Line(orjson.dumps(RELEASE)))
    assert all(output.topic != "dlq" for output in step.process([Line(one) for one in ACTIVE[:3]]))
    for record in records:
        before = step.state.alignment.next
        (*outputs,) = step.process([Line(record)])
        assert all(output.topic != "dlq" for output in outputs) or step.state.alignment.next == before
    step.process([Line(record) for record in ACTIVE[3:5]])
    step.snapshot(full=True)


def _bucket(data: bytes) -> None:
    """A bucket record. Its bucket number is limited: the operator processes skipped buckets one by one."""
    head = data.partition(b"\n")[0]
    try:
        newer = orjson.loads(head)["v"] > 1
        far = orjson.loads(head)["b"] > NEXT.b + 50
    except (orjson.JSONDecodeError, TypeError, KeyError):
        newer = far = False
    if not (newer or far):
        _networks(data)


NEXT, _ = decode(ACTIVE[3])


def _content(data: bytes) -> None:
    """The content of the next bucket record, with a valid header."""
    head = Header(1, 0, NEXT.since, NEXT.b, 0, 1, HOUR_MS, zlib.crc32(data))
    _networks(msgspec.json.encode(head) + b"\n" + data)


def _control(topic: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        step = ScoringOperator(Settings(), 1)
        step.control(topic, Line(data, key=data[:4]))
        step.control(topic, Line(None, 1, key=data))
        step.process([Line(encode(0, 1, 1, Body(), width=HOUR_MS, first=True)[0].value)])
        step.repin(step.pins())
        step.snapshot(full=True)
        list(check_calendar([data], {"m-2"}, NOW))

    return run


def _source(name: str) -> Callable[[bytes], None]:
    decoder = Decoder(SourceMapping(name, load_file(name)))

    def run(data: bytes) -> None:
        decoded = decoder.decode(data)
        for _, event in decoded.events:  # the counting operator must read what the source passes on
            assert not CountingOperator(Settings(), 0, 1, quorum=ANYBODY).process([Line(orjson.dumps(event))])
        for bad in decoded.bad:
            for redaction in ("redacted", "full", "empty"):
                dead_letter(bad, redaction, name, Line(data), ("log", 0))  # type: ignore[arg-type]

    return run


def _post(data: bytes) -> None:
    """Headers and body of an HTTP request."""
    signature, _, body = data.partition(b"\n")
    text_ = signature.decode("utf-8", "surrogateescape")
    headers = {"webhook-id": text_, "webhook-timestamp": text_[:10], "webhook-signature": text_}
    for guard, told in (
        (Authenticator(None, b"whsec_c2VjcmV0"), headers),
        (Authenticator(b"a token of tests", None), {"Authorization": text_}),
    ):
        try:
            guard.check(told, body)
        except Unauthorized:
            continue
    _POSTED.decode(body, most=3)


_POSTED = Decoder(SourceMapping("litellm", load_file("litellm")))


def _alert(data: bytes) -> None:
    """An alert as delivery reads it: every valid alert can be rendered for every target."""
    try:
        alert = parse_alert(data)
    except WrongUse:
        return
    decide(alert, None, wanted=True, by_severity=True, updates="all")
    alertmanager.firing(alert)
    alertmanager.labels(alert)
    chat.render(alert)
    ocsf.render(alert)
    pagerduty.render(alert, "key")
    slack.render(alert)
    text.plain(alert)


def _page(take: Callable[[ReadModel, bytes], object]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        read_model = ReadModel()
        read_model.take_alert(ALERT)
        read_model.take_status(STATUS, 0)
        take(read_model, data)
        orjson.dumps(ViewModels(load(), read_model, lambda: START).now(), default=str)
        views = ViewModels(load(), read_model, lambda: START)
        for incident in read_model.shown():
            views.incident(incident)
            read_model.about(incident)
        views.table("all", "all", 0)

    return run


def _position(data: bytes) -> None:
    position = event_cursor.read(data.decode("latin-1"))
    assert position is None or event_cursor.read(event_cursor.write(position)) == position


def _dead_letter(data: bytes) -> None:
    """A record of the dead-letter topic, from any writer."""
    name, _, value = data.partition(b"\n")
    own = {"stage": b"decode", "class": b"BadEvent", "message": b"not JSON"}
    for key in ("topic", "partition", "offset", "stage", "message", "length", "position", "null"):
        headers = [(f"pivotwatch.errors.{one}", text) for one, text in (own | {key: name}).items()]
        headers += [(name.decode("latin-1"), value), ("none", None)]
        record = SimpleNamespace(partition=0, offset=1, timestamp=0, key=name, value=value, headers=headers)
        try:
            found = parse_dead_letter(record)
        except WrongUse:
            continue
        assert found.obstacle or found.about.topic
        orjson.dumps(_as_json(found))
        _delivery_line(found)
        _first_bytes(found.value)
        assert found.origin


def _manifest(data: bytes) -> None:
    """A manifest in a changelog: it is read, or refused with a message."""
    try:
        Manifest.decode(data)
        latest({b"1.x/marker": data}, Identity("accounts", 1, "f"))
    except StateRefused:
        return


def _state(role: str, part: int | str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        snapshot = stored(role)
        if isinstance(part, str):
            snapshot = dataclasses.replace(snapshot, **{part: data})
        else:
            snapshot = dataclasses.replace(snapshot, shards={**snapshot.shards, part: data})
        try:
            live_of(role, snapshot)
        except StateRefused:
            return

    return run


def _seeds(role: str, part: int | str) -> list[bytes]:
    snapshot = stored(role)
    return [getattr(snapshot, part) if isinstance(part, str) else snapshot.shards[part]]


def _session(data: bytes) -> None:
    key, _, value = data.partition(b"\n")
    sessions = Sessions()
    sessions.take(0, key, value)
    sessions.every()


def _notification_log(data: bytes) -> None:
    key, _, value = data.partition(b"\n")
    try:
        NotificationLog(Log(), {key: value})
    except StateRefused:
        return


def _sample(data: bytes) -> None:
    """Records of a topic as `doctor` checks them."""
    check_events(Sample([SampleRecord(0, b"k", data, NOW)]), NOW)


SESSION = {
    "name": "kim",
    "role": "operator",
    "method": "token",
    "begun": "2026-02-05T18:00:00Z",
    "ends": "2099-02-05T18:00:00Z",
    "tag": "0f",
}


def targets() -> dict[str, Target]:
    """All targets by name."""
    event = orjson.dumps(EVENT)
    found = {
        "requests": Target(_requests, [event, b"[%s,%s]" % (event, event), b'[{"id":"r"}, 7]']),
        "origin": Target(_origin, [b"\n".join(v for _, v in origin_headers("t", 0, [(0, 0), (1, 2)]))]),
        "buckets": Target(_bucket, [ACTIVE[3], ACTIVE[4]]),
        "content of a bucket": Target(_content, [ACTIVE[3].partition(b"\n")[2]]),
        "releases": Target(_control("releases"), [orjson.dumps(RELEASE), b""]),
        "decisions": Target(_control("decisions"), [orjson.dumps(DECISION), b""]),
        "post": Target(_post, [b"v1,c2ln\n" + SAMPLES["litellm"]]),
        "alert": Target(_alert, [ALERT]),
        "alert on the page": Target(_page(ReadModel.take_alert), [ALERT]),
        "session": Target(_session, [b"session:x\n" + orjson.dumps(SESSION), b"person:x\n"]),
        "status on the page": Target(_page(lambda b, d: b.take_status(d, 0)), [STATUS]),
        "decision on the page": Target(
            _page(lambda b, d: b.take_decision(0, d[:8], d, [("pivotwatch.by", d), ("pivotwatch.at", d)])),
            [orjson.dumps(DECISION)],
        ),
        "position": Target(_position, [b"a0-12.s0-8"]),
        "dead letter": Target(_dead_letter, [b"requests\n{}"]),
        "manifest": Target(_manifest, [_example_manifest()]),
        "delivery log": Target(_notification_log, [LOG]),
        "sample": Target(_sample, [event]),
    }
    for role, part in STATES:
        found[f"state of {role}, {part}"] = Target(_state(role, part), _seeds(role, part))
    for name in SAMPLES:
        found[f"source {name}"] = Target(_source(name), [SAMPLES[name], b"[%s]" % SAMPLES[name], b"{}\n{}"])
    return found


STATES: tuple[tuple[str, int | str], ...] = (
    ("accounts", "meta"),
    ("accounts", 0),
    ("accounts", 4),
    ("networks", "meta"),
    ("networks", "pins"),
    ("networks", 64),
    ("networks", GROUP_SHARD),
)
"""Parts of a state: metadata, a shard of accounts, a segment of open buckets, pins, global state, groups."""


def _example_manifest() -> bytes:
    identity, epoch = Identity("accounts", 1, "f"), Epoch(3, "x")
    return Manifest(identity, epoch, Snapshot(7, b"{}", {}, controls={"releases": 2}), {}).encode()
