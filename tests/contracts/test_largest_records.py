"""The largest possible record of every kind stays under 900 kB: names of every allowed length and content."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest

from pivotwatch.contracts.alerts import parse_alert
from pivotwatch.contracts.bucket_content import Body, encoded
from pivotwatch.contracts.bucket_record import encode as bucket_records
from pivotwatch.contracts.codec import encode, moment_of
from pivotwatch.contracts.controls import Decision, decision_record
from pivotwatch.contracts.dead_letters import MAX_AROUND, undecodable
from pivotwatch.contracts.entity import Entity
from pivotwatch.contracts.events import MAX_COUNT, BadEvent, check_event
from pivotwatch.contracts.records import Line
from pivotwatch.contracts.sessions import Session
from pivotwatch.contracts.status import parse_status
from pivotwatch.delivery.notification_log import NotificationLog
from pivotwatch.delivery.notification_policy import Notification
from pivotwatch.detection.alerting.alert_builder import AlertBuilder
from pivotwatch.detection.scoring.bucket_view import LeftOut
from pivotwatch.detection.scoring.networks_state import NetworksState
from pivotwatch.detection.scoring.status import status_of
from pivotwatch.formats import cloudevents, ocsf, stix
from pivotwatch.formats.message import json_message
from pivotwatch.ingest.arrays import ArrayBuilder
from pivotwatch.web.decision_form import MOST_NOTE, read_request
from pivotwatch_models.base.counts import Traffic
from pivotwatch_models.groups.group_state import GroupState
from pivotwatch_models.groups.timeline import Row
from pivotwatch_models.incidents.evidence import Evidence
from pivotwatch_models.incidents.incident import Finding, Incident
from pivotwatch_models.incidents.pattern import Pattern
from pivotwatch_models.incidents.transition import Reported, Transition
from pivotwatch_models.release_calendar import Release
from pivotwatch_models.release_watch import ReleaseWatch
from pivotwatch_models.settings import HOUR_MS, Settings
from tests.detection.stream import START

LIMIT = 900_000
HOUR = START // HOUR_MS
SIGNS = {"tags": "\U0010ffff", "private use": "\ue000", "control": "\x01", "letters": "a", "Latin": "ÿ"}
MOST = 2**53


def name(sign: str, number: int = 0) -> str:
    """The longest name that an event may have; different for each number."""
    return str(number) + sign * (512 - len(str(number)))


def incident(sign: str, release: Release, groups: int, members: int) -> Incident:
    """An incident of many groups, members and findings."""
    named = [(name(sign), name(sign, number)) for number in range(groups)]
    found = Incident(release.model, release.released_at, False, named[0], HOUR, HOUR)
    found.groups = named
    found.members = {name(sign, number): (HOUR, False) for number in range(members)}
    found.evidence = {g: Evidence(log_r=20.0 + i % 7, theta=2.0) for i, g in enumerate(named)}
    found.traffic = {g: Traffic(*[10**12] * 9) for g in named}
    found.findings = {a: Finding(a, (), HOUR, 10, 9, 0.5, 0.1) for a in list(found.members)[:3_000]}
    found.pattern = Pattern(MOST, part=0.03, whole=0.97, others_part=0.3, size_ratio=0.9, quiet_share=0.02)
    return found


def largest_alert(sign: str) -> bytes:
    release = Release(name(sign), HOUR * HOUR_MS)
    watch = ReleaseWatch(release, Settings(), lambda _: None)
    found = incident(sign, release, groups=2_400, members=100_000)
    found.revision = MOST
    found.merged_into = found.groups[1]
    leading = max(found.evidence, key=lambda group: found.evidence[group].log_r)
    watch.watched.update(HOUR, leading, (5, 1.0, 5, 1.0))
    state: GroupState = watch.groups[leading]
    state.timeline.incident_open = True
    for bucket in range(HOUR, HOUR + 400):
        state.timeline.add(Row(bucket, bucket + 1, 10**12, 10**12, 10**9, 12345.6789), moving=True)
    transition = Transition(found, "merged", Reported("low", 1, 1.0))
    builder = AlertBuilder(Settings(), lambda _: "hosting")
    return builder.output(HOUR + 400, transition, watch).value


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)
def test_an_alert_is_bounded_in_every_form(sign: str) -> None:
    raw = largest_alert(sign)
    assert len(raw) < LIMIT
    alert = parse_alert(raw)
    data = alert.data
    assert data.groups_total == 2_400 > len(data.groups) > 10
    assert data.members_total == 100_000 > len(data.members) > 10
    assert data.evidence.findings_total == 3_000 > len(data.evidence.findings) > 10
    assert data.groups[0] == data.entity
    scores = {number: 20 + number % 7 for number in range(2_400)}
    shown = [int(cut_number(group.id, sign)) for group in data.groups[1:]]
    assert min(scores[number] for number in shown) == 26
    assert shown == sorted(shown)
    for form in (ocsf.render(alert), orjson.loads(stix.render(alert, with_accounts=True).serialize())):
        assert len(orjson.dumps(form)) < LIMIT
    written = json_message(data.alert_id, ocsf.render(alert, f"https://{'p' * 2_000}.example", new=True))
    for message in (written, cloudevents.render(alert, raw)):  # What a target of kind Kafka gets.
        around = sum(len(key.encode()) + len(value.encode()) + 10 for key, value in message.headers.items())
        assert len(message.key.encode()) + len(message.body) + around < LIMIT
    log = Log()
    notification = Notification(2, data.severity, True, alert, data.members_total)
    asyncio.run(NotificationLog(log, {}).record(("t" * 64, data.alert_id), notification, START))
    assert len(log.value) < LIMIT


def cut_number(text: str, sign: str) -> str:
    return text.partition(sign)[0]


class Log:
    """Keeps the last value."""

    value = b""

    async def send(self, key: bytes, value: bytes | None) -> Awaitable[object]:
        self.value = value or b""
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)
def test_a_status_is_bounded(sign: str) -> None:
    state = NetworksState(Settings(), 1)
    for number in range(150):
        release = Release(name(sign, number), (HOUR + number) * HOUR_MS)
        watched = state.begin_watch(release)
        for other in range(120):
            one = Incident(release.model, release.released_at, False, ("k", f"g{other}"), HOUR, HOUR)
            watched.incidents.by_entity[one.entity] = one
    late = {(name(sign, number), name(sign, number)): 10**9 for number in range(300)}
    for group in late:
        state.registry.get(group).late_since = HOUR
    view: Any = SimpleNamespace(
        bucket=HOUR,
        width=HOUR_MS,
        requests=MOST,
        groups=[],
        traffic=np.zeros((0, 4), dtype=np.int64),
        idle_partitions=0,
        accounts=lambda: (MOST, MOST),
        left_out=lambda: LeftOut(MOST, MOST, MOST, MOST, MOST, MOST),
        late_groups=lambda: late,
        skewed_networks=lambda: [(name(sign, number), MOST) for number in range(300)],
        skewed_accounts=lambda: (MOST, [(name(sign, number), MOST) for number in range(300)]),
        watermark=lambda: START,
    )
    raw = encode(status_of(state, view, forgotten_groups=MOST))
    assert len(raw) < LIMIT
    status = parse_status(raw)
    assert status.releases_total == 150 > len(status.releases) > 10
    assert all(one.incidents_total == 120 > len(one.incidents) for one in status.releases)
    assert status.late_groups_total == 300
    assert max(one.released_at for one in status.releases) == moment_of((HOUR + 149) * HOUR_MS)


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)
def test_every_part_of_a_bucket_record_is_bounded(sign: str) -> None:
    body = Body(groups=encoded([[name(sign), name(sign, number)] for number in range(2_400)]))
    parts = bucket_records(0, HOUR, HOUR, body, width=HOUR_MS)
    assert len(parts) > 2
    assert max(len(part.value) for part in parts) < LIMIT


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)
def test_records_of_people_are_bounded(sign: str) -> None:
    entity = Entity(name(sign), name(sign, 1))
    at = datetime(2026, 2, 5, tzinfo=UTC)
    decision = read_request("0" * 16, [entity], "verified", None, sign * MOST_NOTE)
    assert isinstance(decision, Decision)
    key, value, headers = decision_record(decision)
    assert len(key) + len(value or b"") + sum(len(content) for _, content in headers) < LIMIT
    session = Session(
        name=name(sign), role="viewer", method="oidc", begun=at, ends=at + timedelta(1), tag=name(sign)
    )
    assert len(encode(session)) < LIMIT


@pytest.mark.parametrize("around", [0, MAX_AROUND, 900_000])
def test_a_dead_letter_fits_the_broker(around: int) -> None:
    record = Line(b"\xff" * 1_040_000, 0, START, b"k" * around, (("h" * 100, b"v" * around),))
    letter = undecodable(record, record.value, None, BadEvent("\U0010ffff" * 5_000), ("requests", 0))
    size = sum(len(one[0]) + len(one[1]) for one in letter.headers)
    assert len(letter.value) + size + len(letter.key or b"") <= LIMIT


def test_arrays_of_ingest_count_the_places_of_their_events() -> None:
    places = [(number * 2**45, number) for number in range(60_000)]
    event: Any = {"id": "1", "ts": START, "account": "a", "model": "m"}
    arrays = [*ArrayBuilder(1).arrays([(place, event) for place in places], ("spans", 0))]
    assert len(arrays) > 4
    for array in arrays:
        assert len(array.value) + sum(len(one) + len(two) for one, two in array.headers) < LIMIT


def test_sums_of_the_largest_counts_fit_a_bucket_record() -> None:
    assert MAX_COUNT * 90_000_000 < 2**53
    with pytest.raises(BadEvent, match="output_tokens"):
        check_event({"id": "1", "ts": START, "account": "a", "model": "m", "output_tokens": MAX_COUNT + 1})
