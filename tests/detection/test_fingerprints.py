"""Which settings may change under a stored state, and what becomes of ids then."""

from __future__ import annotations

from typing import Any

from pivotwatch_models.settings import Settings
from tests.detection.stream import (
    SETTINGS,
    Store,
    accounts_step,
    alerts,
    launch,
    launch_buckets,
    networks_step,
    records,
)

BUCKETS, RELEASES = launch_buckets()
STRICT = SETTINGS.replace(alert_budget=1e-9)


def ids(outputs: Any) -> set[str]:
    return {alert["data"]["alert_id"] for alert in alerts(outputs)}


def test_the_counting_state_is_the_same_whatever_findings_are_reported() -> None:
    states = []
    for least in (8, 1, 100):
        step = accounts_step(SETTINGS.replace(min_events=least))
        step.process(records(launch()[0]))
        states.append((step.meta(), step.snapshot(full=True)))
    assert states[0] == states[1] == states[2]


def test_the_evidence_of_groups_is_the_same_whatever_the_alert_budget() -> None:
    """Up to the first crossing: an incident that is resolved starts the evidence of its group again."""
    states = []
    for settings in (SETTINGS, STRICT):
        step = networks_step(1, RELEASES, settings)
        step.process(BUCKETS[:18])
        (watch,) = [watched.watch for watched in step.state.watches.values()]
        states.append((watch.snapshot(), {group: watch.snapshot_group(group) for group in watch.groups}))
    assert states[0] == states[1]
    assert len(states[0][1]) > 5


def test_a_recount_under_other_settings_gives_other_ids() -> None:
    all_ids = [
        ids(networks_step(1, RELEASES, settings).process(BUCKETS))
        for settings in (SETTINGS, STRICT, SETTINGS.replace(min_members=7))
    ]
    assert all(all_ids)
    assert sum(map(len, all_ids)) == len(set.union(*all_ids))
    assert ids(networks_step(1, RELEASES).process(BUCKETS)) == all_ids[0]


def continued(first: Settings, then: Settings, at: int) -> tuple[list[Any], list[Any]]:
    """Outputs before and after a restart with other settings on the same state."""
    store, step = Store(), networks_step(1, RELEASES, first)
    before = step.process(BUCKETS[:at])
    store.take(step, full=True)
    return before, store.into(networks_step(1, (), then)).process(BUCKETS[at:])


def test_an_incident_that_goes_on_keeps_its_id_when_a_setting_changes() -> None:
    before, after = continued(SETTINGS, STRICT, 24)
    assert ids(before)
    assert ids(after) <= ids(before)
    both = [alert["id"] for outputs in (before, after) for alert in alerts(outputs)]
    assert len(both) == len(set(both))


def test_a_new_threshold_applies_to_the_stored_evidence_from_the_next_bucket() -> None:
    loose = SETTINGS.replace(alert_budget=0.5)
    before, after = continued(SETTINGS, loose, 18)
    assert not alerts(before)
    first = next(output for output in after if output.topic == "status")
    assert alerts(after)[0]["data"]["transition"] == "opened"
    assert after.index(first) > 0, "the alert comes with the first bucket after the restart"
    assert ids(after) <= ids(networks_step(1, RELEASES, loose).process(BUCKETS))
