"""Builds the status record of a scored bucket: traffic, watched releases and open incidents."""

from __future__ import annotations

from pivotwatch.contracts.codec import encode, moment_of
from pivotwatch.contracts.records import Output
from pivotwatch.contracts.status import ReleaseStatus, Status
from pivotwatch.detection.alerting.alert_builder import rounded
from pivotwatch.detection.scoring.bucket_view import BucketView
from pivotwatch.detection.scoring.networks_state import NetworksState, WatchedRelease
from pivotwatch_models.release_calendar import Release

KEPT = 4096
"""Number of buckets whose status the compacted topic keeps."""


def status(state: NetworksState, view: BucketView) -> Output:
    """The status record of a bucket. Its key repeats after ``KEPT`` buckets."""
    accounts, unseen = view.accounts()
    left_out = view.left_out()
    record = Status(
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
        releases=[_release(release, watched) for release, watched in sorted(state.watches.items())],
    )
    return Output("status", str(view.bucket % KEPT).encode(), encode(record))


def _release(release: Release, watched: WatchedRelease) -> ReleaseStatus:
    watch = watched.watch
    last = watch.history.last
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
        incidents=[(i.alert_id, i.severity) for i in watched.incidents.open()],
    )
