"""Keeps what is known beyond a single release up to date: the records of groups and the release calendar."""

from __future__ import annotations

from pivotwatch.detection.scoring.bucket_view import BucketView
from pivotwatch.detection.scoring.networks_state import NetworksState
from pivotwatch_models.method import STATE


def update_groups(state: NetworksState, view: BucketView) -> None:
    """Take members, lateness and requests of the groups from a bucket.

    A group that its last member left is forgotten, unless a watch has learned something about it.
    """
    for group, accounts in view.joined().items():
        state.registry.join(group, accounts)
        state.changed.add(group)
    for group, accounts in view.left().items():
        state.registry.leave(group, accounts)
        state.changed.add(group)
        if not state.is_in_a_watch(group):
            state.registry.forget(group)
    _note_late_groups(state, view)
    for group, requests in zip(view.groups, view.traffic[:, 0].tolist(), strict=True):
        state.registry.get(group).hours.add(view.bucket * view.width, view.width, requests)
    state.changed |= set(view.groups)


def _note_late_groups(state: NetworksState, view: BucketView) -> None:
    pause = state.settings.buckets(STATE.lateness.counted_ms)
    for group in view.late_groups():
        record = state.registry.get(group)
        if record.late_at < view.bucket - pause:
            record.late_since = view.bucket
        record.late_at = view.bucket
        state.changed.add(group)


def update_calendar(state: NetworksState, view: BucketView) -> None:
    """Note which models were seen and how many accounts began with them.

    A release that follows from this is watched from the next bucket on.
    """
    start = view.bucket * view.width
    for model, first in sorted(view.models.items()):
        state.calendar.sight(model, first * view.width, start)
        if state.calendar.counts_first_uses(model, start):
            accounts, networks = view.first_uses(model)
            state.calendar.first_uses(model, start, accounts, networks)
    state.calendar.forget(start, state.settings.watch_ms)
