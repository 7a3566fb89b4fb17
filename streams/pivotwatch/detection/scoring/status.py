"""What the page shows of a scored bucket: the releases, how everyone takes them up, open incidents."""

from __future__ import annotations

from collections.abc import Mapping

from pivotwatch.contracts.codec import encode, moment_of
from pivotwatch.contracts.records import Output
from pivotwatch.contracts.status import ReleaseStatus, Status
from pivotwatch.detection.alerting.alert_builder import rounded
from pivotwatch.detection.scoring.bucket_view import View
from pivotwatch_models.incidents.lifecycle import Incidents
from pivotwatch_models.release_calendar import Release
from pivotwatch_models.release_watch import ReleaseWatch
from pivotwatch_models.settings import Settings

KEPT = 4096
"""Buckets of status that the compacted topic keeps."""


def status(
    settings: Settings,
    view: View,
    watches: Mapping[Release, ReleaseWatch],
    incidents: Mapping[Release, Incidents],
    *,
    stale: int,
    forgotten: int,
) -> Output:
    """The status record of a bucket; its key comes round again after ``KEPT`` buckets."""
    releases = [_release(release, watch, incidents[release]) for release, watch in sorted(watches.items())]
    accounts, unseen = view.accounts()
    left_out = view.left_out()
    record = Status(
        bucket=moment_of(view.bucket * settings.bucket_ms),
        bucket_ms=settings.bucket_ms,
        watermark=view.watermark(),
        requests=view.requests,
        accounts=accounts,
        new_accounts=unseen,
        groups=len(view.groups),
        late=left_out.late,
        invalid=left_out.invalid,
        failed=left_out.failed,
        stale_records=stale,
        dropped_models=left_out.dropped_models,
        forgotten_models=left_out.forgotten_models + forgotten,
        releases=releases,
    )
    return Output("status", str(view.bucket % KEPT).encode(), encode(record))


def _release(release: Release, watch: ReleaseWatch, incidents: Incidents) -> ReleaseStatus:
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
        incidents=[(i.alert_id, i.severity) for i in incidents.open()],
    )
