"""The detector: events in pieces, snapshots in between, and what it refuses."""

from __future__ import annotations

import dataclasses
import functools
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch import Alert, Detector, Event, Release, Settings, replay
from pivotwatch_models.settings import HOUR_MS
from tests.detection.stream import SETTINGS, START, event, launch

EVENTS, RELEASES = launch()


@functools.cache
def disordered() -> tuple[dict[str, object], ...]:
    """The events of a launch, some of them late, some twelve hours late, some far ahead of the others."""
    random = Random(3)
    events = sorted(EVENTS, key=lambda each: each["ts"] + random.choice((0, 0, 0, 1, 12)) * HOUR_MS)
    ahead = [event(f"ahead-{i}", START + (300 + i) * HOUR_MS) for i in range(5)]
    for place, each in zip(range(500, len(events), 1500), ahead, strict=False):
        events.insert(place, each)
    return tuple(events)


@functools.cache
def expected(partitions: int, *, in_order: bool = True) -> list[Alert]:
    events = EVENTS if in_order else disordered()
    return list(replay(events, RELEASES, settings=SETTINGS, partitions=partitions))


def fed(
    cuts: list[int], stored_at: set[int], partitions: int, events: tuple[dict[str, object], ...] = EVENTS
) -> list[Alert]:
    """The alerts when the events come in pieces, and the detector is replaced by its state at some cuts."""
    detector = Detector(SETTINGS, RELEASES, partitions=partitions)
    alerts = []
    for since, until in zip([0, *cuts], [*cuts, len(events)], strict=True):
        alerts += detector.feed(events[since:until])
        if until in stored_at:
            detector = Detector.restore(detector.snapshot())
    return alerts + detector.finish()


@pytest.mark.parametrize("partitions", [1, 3])
def test_pieces_and_snapshots_leave_no_trace(partitions: int) -> None:
    cuts = list(range(0, len(EVENTS), len(EVENTS) // 9))
    assert len(expected(partitions)) >= 3
    assert fed(cuts, set(cuts[1::2]), partitions) == expected(partitions)


def test_late_events_and_a_fast_clock_survive_a_snapshot() -> None:
    events = disordered()
    cuts = list(range(0, len(events), len(events) // 9))
    late = replay(events, RELEASES, settings=SETTINGS).run()
    assert late.late > 100
    assert any("ahead" in bad.example for bad in late.rejected)
    assert len(expected(3, in_order=False)) >= 3
    assert fed(cuts, set(cuts), 3, events) == expected(3, in_order=False)


@pytest.mark.slow
@settings(max_examples=15)
@given(st.data(), st.sampled_from([1, 3]))
def test_any_pieces_and_any_snapshots_leave_no_trace(data: st.DataObject, partitions: int) -> None:
    in_order = data.draw(st.booleans())
    events = EVENTS if in_order else disordered()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(events)), max_size=20)))
    stored_at = data.draw(st.sets(st.sampled_from(cuts))) if cuts else set()
    assert fed(cuts, stored_at, partitions, events) == expected(partitions, in_order=in_order)


def test_a_snapshot_leaves_the_detector_as_it_was() -> None:
    half = len(EVENTS) // 2
    detector = Detector(SETTINGS, RELEASES)
    alerts = detector.feed(EVENTS[:half])
    first = detector.snapshot()
    assert detector.snapshot() == first
    later = detector.feed(EVENTS[half:]) + detector.finish()
    assert alerts + later == expected(1)
    again = Detector.restore(first)
    assert again.feed(EVENTS[half:]) + again.finish() == later


def test_the_state_brings_settings_and_partitions() -> None:
    own = Settings(bucket="30m", theta=2.5, aliases=["a-*"])
    detector = Detector.restore(Detector(own, partitions=3).snapshot())
    assert detector.settings == own
    assert detector.snapshot() == Detector(own, partitions=3).snapshot()


def test_the_class_of_a_network_is_in_the_evidence_after_a_restore_too() -> None:
    def class_of(network: str) -> str | None:
        return "proxy" if network == "AS8" else None

    detector = Detector(SETTINGS, RELEASES, network_class=class_of)
    detector = Detector.restore(detector.snapshot(), network_class=class_of)
    alerts = detector.feed(EVENTS) + detector.finish()
    assert "proxy" in {alert.data.evidence.corroboration.network_class for alert in alerts}


def test_objects_mappings_and_releases_in_any_form_give_the_same_alerts() -> None:
    objects = [Event(**each) for each in EVENTS]
    (entry,) = RELEASES
    detector = Detector(SETTINGS, [Release(entry["model"], entry["released_at"])])
    assert detector.feed(objects) + detector.finish() == expected(1)


def test_after_the_end_nothing_is_taken() -> None:
    detector = Detector()
    detector.feed([event()])
    detector.finish()
    assert detector.finish() == []
    for finished in (detector, Detector.restore(detector.snapshot())):
        with pytest.raises(ValueError, match="is finished"):
            finished.feed([event()])


def test_bad_events_are_counted_by_reason_and_leave_no_trace() -> None:
    detector = Detector(SETTINGS, RELEASES)
    alerts = detector.feed([{"id": "r", "ts": 1}, *EVENTS, event(account=7), event(account=8), "nothing"])
    assert alerts + detector.finish() == expected(1)
    number = len(EVENTS) + 2
    assert [(bad.count, bad.reason, bad.place) for bad in detector.rejected] == [
        (2, "account: expected `str`, got `int`", f"event {number}"),
        (1, "account: required, but missing", "event 1"),
        (1, "expected `object`, got `str`", f"event {number + 2}"),
    ]
    assert '"account":7' in detector.rejected[0].example


@pytest.mark.parametrize(
    "odd",
    [
        event(input_tokens=1 << 70),
        event(model="\ud800"),
        event(links={"payment": {1, 2}}),
        event(ts=float("nan")),
        [],
        None,
        functools.reduce(lambda inner, _: [inner], range(2000), []),
    ],
    ids=["number", "surrogate", "set", "nan", "empty", "none", "deep"],
)
def test_what_cannot_be_written_as_json_is_rejected_and_does_not_stop_the_others(odd: object) -> None:
    detector = Detector()
    detector.feed([event(), odd, event(account="b")])  # type: ignore[list-item]
    assert [bad.place for bad in detector.rejected] in ([], ["event 2"])
    assert sum(bad.count for bad in detector.rejected) == (0 if odd == [] else 1)


def test_strict_raises_with_the_place() -> None:
    detector = Detector(strict=True)
    with pytest.raises(ValueError, match="event 2: account: expected `str`, got `int`"):
        detector.feed([event(), event(account=7)])


@pytest.mark.parametrize(
    "entry", [{"model": "m-2"}, {"model": "m-2", "released_at": "soon"}, {"model": "", "released_at": 5}]
)
def test_a_release_that_cannot_be_read_is_refused(entry: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="entry 2: "):
        Detector(releases=[Release("m-2", 1_770_000_000_000), entry])


def test_a_decision_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^decisions: entry 1: verdict: expected one of"):
        Detector(decisions=[{"entity": {"kind": "network", "id": "AS8"}, "verdict": "guilty"}])


def test_a_network_that_people_have_verified_raises_no_alert() -> None:
    decision = {"entity": {"kind": "network", "id": "AS8"}, "verdict": "verified", "by": "kim"}
    detector = Detector(SETTINGS, RELEASES, decisions=[decision])
    alerts = detector.feed(EVENTS) + detector.finish()
    assert "AS8" in {alert.data.entity.id for alert in expected(1)}
    assert "AS8" not in {alert.data.entity.id for alert in alerts}


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"no state at all"])
def test_what_is_no_state_is_refused(damage: bytes) -> None:
    with pytest.raises(ValueError, match="not a state of a detector"):
        Detector.restore(damage)


@pytest.mark.parametrize("change", [{"version": 99}, {"fingerprint": "0" * 16}, {"settings": {"tau": 1}}])
def test_a_state_of_another_version_is_refused(change: dict[str, object]) -> None:
    state = msgspec.msgpack.decode(Detector().snapshot())
    with pytest.raises(ValueError, match="another version of pivotwatch: feed the events again"):
        Detector.restore(msgspec.msgpack.encode(state | change))


def test_a_cut_state_is_refused() -> None:
    state = Detector().snapshot()
    with pytest.raises(ValueError, match="damaged"):
        Detector.restore(state[:-1])


def test_settings_and_releases_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().theta = 2.0  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Release("m", 5).model = "n"  # type: ignore[misc]


@pytest.mark.parametrize("partitions", [0, -1])
def test_there_is_at_least_one_partition(partitions: int) -> None:
    with pytest.raises(ValueError, match="partitions: expected at least 1"):
        Detector(partitions=partitions)


def test_wrong_types_are_refused_with_what_is_expected() -> None:
    with pytest.raises(TypeError, match=r"settings: expected Settings\(…\), got dict"):
        Detector({"bucket": "1h"})  # type: ignore[arg-type]  # that is the point
    with pytest.raises(TypeError, match="expected several events, got one dict: put it into a list"):
        Detector().feed({"id": "r", "ts": 1, "account": "a", "model": "m"})  # type: ignore[arg-type]
