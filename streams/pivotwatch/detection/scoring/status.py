"""Builds the status record of a scored bucket: traffic, watched releases and open incidents."""

from __future__ import annotations

from pivotwatch.contracts.codec import encode, fitting, moment_of
from pivotwatch.contracts.records import Output
from pivotwatch.contracts.status import LateGroup, ReleaseStatus, SkewedAccount, SkewedNetwork, Status
from pivotwatch.detection.alerting.alert_builder import rounded
from pivotwatch.detection.scoring.bucket_view import BucketView
from pivotwatch.detection.scoring.networks_state import NetworksState, WatchedRelease
from pivotwatch_models.release_calendar import Release

KEPT = 4096
"""Number of buckets whose status the compacted topic keeps."""
SHOWN = 20
"""Number of late groups, skewed networks and skewed accounts that a status names."""
INCIDENTS_SHOWN = RELEASES_SHOWN = 100
"""Number of open incidents of a release, and of watched releases, that a status names."""
NAMES_BYTES, RELEASES_BYTES = 100_000, 500_000
"""Bytes that each of these lists, and watched releases, have at most in a status."""
LATE_EVENTS, LATE_SHARE = 8, 0.05
"""Late events since the last bucket, and their share of all events, from which a group counts as late."""


def output(bucket: int, status: Status) -> Output:
    """The record of a status. Its key repeats after ``KEPT`` buckets."""
    return Output("status", str(bucket % KEPT).encode(), encode(status))


def status_of(state: NetworksState, view: BucketView, forgotten_groups: int) -> Status:
    """The status of a bucket that was scored, in which the watches forgot groups."""
    accounts, unseen = view.accounts()
    left_out = view.left_out()
    late = _late_groups(state, view)
    skewed_accounts_total, skewed_accounts = view.skewed_accounts()
    return Status(
        bucket=moment_of(view.bucket * view.width),
        bucket_ms=view.width,
        watermark=view.watermark(),
        requests=view.requests,
        accounts=accounts,
        new_accounts=unseen,
        groups=len(view.groups),
        late=left_out.late,
        invalid=left_out.invalid,
        failed=left_out.failed,
        stale_records=state.alignment.stale,
        dropped_models=left_out.dropped_models,
        forgotten_models=left_out.forgotten_models + state.calendar.forgotten,
        forgotten_groups=forgotten_groups,
        dropped_links=left_out.dropped_links,
        idle_partitions=view.idle_partitions,
        late_groups_total=len(late),
        late_groups=fitting(late, SHOWN, NAMES_BYTES),
        skewed_networks=fitting(
            (SkewedNetwork(network=name, ahead_ms=ms) for name, ms in view.skewed_networks()),
            SHOWN,
            NAMES_BYTES,
        ),
        skewed_accounts_total=skewed_accounts_total,
        skewed_accounts=fitting(
            (SkewedAccount(account=name, ahead_ms=ms) for name, ms in skewed_accounts), SHOWN, NAMES_BYTES
        ),
        releases=_releases(state),
        releases_total=len(state.watches),
    )


def _late_groups(state: NetworksState, view: BucketView) -> list[LateGroup]:
    """The groups of which many events arrived late since the last bucket, most late events first."""
    on_time = dict(zip(view.groups, view.traffic[:, 0].tolist(), strict=True))
    found = []
    for (kind, name), late in view.late_groups().items():
        events = late + on_time.get((kind, name), 0)
        if late >= LATE_EVENTS and late >= LATE_SHARE * events:
            since = state.registry.get((kind, name)).late_since * view.width
            found.append(
                LateGroup(
                    kind=kind, name=name, since=moment_of(since), late=late, share=round(late / events, 4)
                )
            )
    return sorted(found, key=lambda group: (-group.late, group.kind, group.name))


def _releases(state: NetworksState) -> list[ReleaseStatus]:
    """The watched releases in order, the newest when there are too many."""
    newest = sorted(state.watches, key=lambda release: (release.released_at, release), reverse=True)
    rows = (_release(release, state.watches[release]) for release in newest)
    shown = zip(newest, fitting(rows, RELEASES_SHOWN, RELEASES_BYTES), strict=False)
    return [row for _, row in sorted(shown, key=lambda pair: pair[0])]


def _release(release: Release, watched: WatchedRelease) -> ReleaseStatus:
    watch = watched.watch
    last = watch.history.last
    going = watched.incidents.open()
    return ReleaseStatus(
        model=release.model,
        released_at=moment_of(release.released_at),
        inferred=release.inferred,
        learning=watch.learning,
        moves_per_bucket=rounded(watch.history.first_uses_per_bucket),
        advised_bucket_ms=watch.history.advised_width(watch.settings.bucket_ms),
        share=rounded(last.traffic.share) if last else None,
        first_uses=last.first_uses if last else 0,
        at_risk=last.at_risk if last else 0,
        surge=watch.surge.last_rise,
        groups=len(watch.groups),
        incidents=[(i.alert_id, i.severity) for i in going[:INCIDENTS_SHOWN]],
        incidents_total=len(going),
    )
