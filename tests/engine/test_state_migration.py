"""Stored states of every earlier version are continued, and those of newer programs are refused."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import orjson
import pytest

from pivotwatch.contracts.records import Line
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.counting.state import NAMES
from pivotwatch.detection.scoring import migrations
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch.engine import checkpoint_format
from pivotwatch.engine.checkpoint_format import Identity, Manifest, StateRefused, latest
from pivotwatch_models.fingerprint import earlier_state_fingerprints, state_fingerprint
from pivotwatch_models.incidents.incident import Incident
from pivotwatch_models.settings import HOUR_MS, Settings
from tests.detection.stream import ANYBODY
from tests.engine import stored_state
from tests.engine.stored_state import OFFSET, SETTINGS, identity

VERSIONS = ((1, 2), (2, 3), (2, 4), (3, 5))
"""Versions of the states of accounts and networks; networks from version 2."""


def new(role: str) -> Any:
    if role == "accounts":
        return CountingOperator(SETTINGS, 0, 1, shards=4, quorum=ANYBODY)
    return ScoringOperator(SETTINGS, 1)


def loaded(role: str, version: int) -> Any:
    snapshot = latest(stored_state.read(role, version), identity(role))
    assert snapshot
    assert snapshot.offset == OFFSET
    step = new(role)
    step.restore(snapshot.meta, snapshot.shards)
    return step


@pytest.mark.parametrize(("of_accounts", "of_networks"), VERSIONS)
def test_a_stored_state_is_continued(of_accounts: int, of_networks: int) -> None:
    accounts, networks = loaded("accounts", of_accounts), loaded("networks", of_networks)
    assert len(accounts.accounts.rows) > 50
    assert networks.state.calendar
    ts = accounts.buckets.watermark.first_open * HOUR_MS
    event = {"id": "r", "ts": ts, "account": "acct-new", "network": "AS1", "model": "m-2"}
    outputs = accounts.process([Line(orjson.dumps(event))]) + accounts.final()
    scored = networks.process([Line(output.value) for output in outputs])
    assert {output.topic for output in scored} >= {"status"}
    assert networks.finished


def test_the_form_of_a_version_does_not_change() -> None:
    """Fails when the form of the state changes without a new version."""
    for role in ("accounts", "networks"):
        version = new(role).version
        step = loaded(role, version)
        again = stored_state.store(role, step)
        before = stored_state.read(role, version)
        assert again.keys() == before.keys()
        assert [key for key in before if again[key] != before[key]] == []


def test_escaped_names_of_earlier_programs_are_read() -> None:
    """Earlier programs escaped all characters in shard headers that are not ASCII."""
    event = {"id": "r", "ts": 1_770_001_200_000, "account": "ä€𝒳", "network": "AS\u2028", "model": "m"}
    step = new("accounts")
    step.process([Line(orjson.dumps(event)), Line(orjson.dumps({**event, "ts": event["ts"] + 2 * HOUR_MS}))])
    meta, shards = step.meta(), step.snapshot(full=True)
    packed = {number: state for number, state in shards.items() if state and number != NAMES}
    escaped = {number: with_escapes(state) for number, state in packed.items()}
    assert escaped != packed
    assert step.accounts.rows.keys() == {"ä€𝒳"}
    again = new("accounts")
    again.restore(meta, shards | escaped)
    assert again.snapshot(full=True) == shards


def with_escapes(state: bytes) -> bytes:
    """The output of `pivotwatch_models.base.columns.pack`, with its header in ASCII."""
    end = 4 + int.from_bytes(state[:4], "little")
    header = json.dumps(json.loads(state[4:end]), separators=(",", ":")).encode()
    return len(header).to_bytes(4, "little") + header + state[end:]


@pytest.mark.parametrize("version", [2, 3, 4])
def test_all_shards_of_a_migrated_state_are_written_again(version: int) -> None:
    """Otherwise shards of the older form would remain under a manifest of the newer version."""
    old = loaded("networks", version)
    step = new("networks")
    step.restore(old.meta(), {number: part for number, part in old.snapshot().items() if part != b"[]"})
    assert step.snapshot(full=True) == old.snapshot(full=True)
    assert sum(len(watched.watch.groups) for watched in step.state.watches.values()) > 3


@pytest.mark.parametrize("role", ["accounts", "networks"])
def test_the_state_of_a_newer_program_is_refused(role: str) -> None:
    snapshot = latest(stored_state.read(role, 1), identity(role))
    assert snapshot
    meta = orjson.dumps({**orjson.loads(snapshot.meta), "version": 99})
    with pytest.raises(StateRefused, match=f"the state of {role} was written in version 99.*newer program"):
        new(role).restore(meta, snapshot.shards)


def test_a_state_without_migration_is_refused() -> None:
    with pytest.raises(
        StateRefused, match=r"the state of networks was written in version 1.*no longer reads"
    ):
        loaded("networks", 1)


def test_names_of_an_older_state_are_kept_and_followed() -> None:
    """Version 1 stored them in the manifest, without the bucket of their last use."""
    step, snapshot = loaded("accounts", 1), latest(stored_state.read("accounts", 1), identity("accounts"))
    assert snapshot
    before = orjson.loads(snapshot.meta)
    assert {name: known.first for name, known in step.candidates.tracker.names.items()} == before[
        "first_seen"
    ]
    assert step.candidates.tracker.followed() == before["candidates"] == sorted(step.candidates.models)
    for model in step.candidates.models.values():
        assert model.columns["n"].any()  # the history of every account is there
    last = {known.last for known in step.candidates.tracker.names.values()}
    assert last == {step.buckets.watermark.first_open - 1}


def test_an_older_manifest_is_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = stored_state.read("accounts", 1)
    raw = stored[next(key for key in stored if key.endswith(b"/marker"))]
    line, _, rest = raw.partition(b"\n")
    head = orjson.loads(line)
    fence = head.pop("fence")
    older = orjson.dumps({**head, "version": 0}) + b"\n" + rest
    with pytest.raises(StateRefused, match="no longer reads"):
        Manifest.decode(older)
    monkeypatch.setitem(checkpoint_format.MIGRATIONS, 0, lambda old: {**old, "fence": fence})
    assert Manifest.decode(older) == Manifest.decode(raw)


# Fingerprints


def made_with(role: str, version: int) -> str:
    """The fingerprint in a stored manifest."""
    manifests = [
        Manifest.decode(raw) for key, raw in stored_state.read(role, version).items() if b"/marker" in key
    ]
    return manifests[0].identity.settings


def under(role: str, settings: Settings) -> Identity:
    return Identity(role, 1, state_fingerprint(settings), earlier_state_fingerprints(settings))


@pytest.mark.parametrize(("role", "version"), [("accounts", 1), ("accounts", 2), ("networks", 4)])
def test_a_state_with_the_earlier_fingerprint_is_continued(role: str, version: int) -> None:
    stored = stored_state.read(role, version)
    assert made_with(role, version) == earlier_state_fingerprints(SETTINGS)[0] != state_fingerprint(SETTINGS)
    assert latest(stored, under(role, SETTINGS))
    for other in (
        SETTINGS.replace(theta=2.0),
        SETTINGS.replace(min_members=5),
    ):  # the earlier fingerprint covered all settings
        with pytest.raises(StateRefused, match="restore the earlier settings"):
            latest(stored, under(role, other))


@pytest.mark.parametrize("role", ["accounts", "networks"])
def test_settings_that_only_decide_alerts_may_change_under_a_state(role: str) -> None:
    stored = stored_state.read(role, new(role).version)
    assert made_with(role, new(role).version) == state_fingerprint(SETTINGS)
    assert latest(stored, under(role, SETTINGS.replace(min_members=5, min_events=3, alert_budget=1e-3)))
    for other in (SETTINGS.replace(theta=2.0), SETTINGS.replace(watch="1h"), SETTINGS.replace(aliases=())):
        with pytest.raises(StateRefused, match="restore the earlier settings"):
            latest(stored, under(role, other))


def test_earlier_incidents_keep_their_ids() -> None:
    """Up to version 4 an id had no fingerprint; an open incident must keep its id."""
    fields = Incident("m-2", 7, False, ("network", "AS1"), onset=3, opened=5, decided_by="0f").snapshot()
    del fields["decided_by"]
    fields["told_log_r"], fields["told_members"] = (
        fields.pop("reported_score"),
        fields.pop("reported_members"),
    )
    watch: dict[str, Any] = {"clocks": [], "beginners": [], "steady": None, "splits": [[], []]}
    state = migrations.global_state({"watches": [[watch, [fields]]]}, version=4)
    incident = Incident.restored(state["watches"][0][1][0])
    text = "\x1f".join((incident.model, *incident.entity, str(incident.released_at)))
    assert incident.alert_id == hashlib.sha256(text.encode()).hexdigest()[:16]
