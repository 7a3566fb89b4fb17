"""The candidates of a partition: the models that it follows, with the state of every account for each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pivotwatch.contracts.bucket_content import Finding, ModelBody, encoded
from pivotwatch.detection.counting.account_table import AccountTable
from pivotwatch.detection.counting.bucket_activity import BucketActivity
from pivotwatch.detection.counting.model_tracker import ModelTracker
from pivotwatch_models.accounts.share_models import AccountModels, Changes, PageHinkley
from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.method import DECISION, STATE
from pivotwatch_models.settings import Settings


class Candidates:
    """Candidate models of one partition, each with the first use, switch and split of every account.

    Parameters
    ----------
    settings
        Parameters of the method.
    accounts
        The accounts of the partition.

    Attributes
    ----------
    tracker
        The model names that the partition knows. It decides which of them are candidates.
    models
        The state of every account, by candidate.
    """

    def __init__(self, settings: Settings, accounts: AccountTable) -> None:
        self._settings, self._accounts = settings, accounts
        self.tracker = ModelTracker(settings.buckets(STATE.membership.keep_ms))
        self.models: dict[str, AccountModels] = {}

    def follow(self) -> None:
        """Keep state for the models that the tracker follows, and for no other."""
        models = self.models
        self.models = {name: models.get(name) or self._new() for name in self.tracker.followed()}

    def expire(self, bucket: int) -> None:
        """Forget models that are no longer candidates when ``bucket`` closes.

        A model that is forgotten and used again in the same bucket begins with no state.
        """
        self.tracker.expire(bucket)
        self.follow()

    def close(self, activity: BucketActivity) -> list[ModelBody]:
        """Update every account with a closed bucket; returns what the bucket says about each candidate."""
        self.tracker.take(activity.bucket, activity.use)
        self.follow()
        return [self._update(model, activity) for model in sorted(self.models)]

    def close_late(self, activity: BucketActivity) -> list[ModelBody]:
        """Note the first uses among late events; returns what the late events say about each candidate."""
        return [self._update_late(model, activity) for model in sorted(self.models)]

    def forget(self, rows: Ints) -> None:
        """Forget accounts."""
        for models in self.models.values():
            models.forget(rows)

    def snapshot(self, rows: Ints) -> tuple[list[tuple[str, int]], list[bytes]]:
        """The state of some accounts.

        Returns
        -------
        followed
            Each candidate with the bucket from which it is followed: a model that is followed again later
            must not take over the state of its earlier time.
        states
            The state for each of them.
        """
        followed = [(model, self.tracker.names[model].since) for model in sorted(self.models)]
        return followed, [models.snapshot(rows) for _, models in sorted(self.models.items())]

    def restore(self, rows: Ints, states: Mapping[tuple[str, int | None], bytes]) -> None:
        """Put back what `snapshot` returned. A state whose candidate is not followed now is left out.

        Parameters
        ----------
        rows
            Rows of the accounts.
        states
            The state for each candidate and the bucket from which it was followed (None: any).
        """
        for (model, since), state in states.items():
            if model in self.models and since in (None, self.tracker.names[model].since):
                self.models[model].restore(rows, state)

    def _new(self) -> AccountModels:
        return AccountModels(PageHinkley.calibrated(self._settings.bucket_ms))

    def _update(self, model: str, activity: BucketActivity) -> ModelBody:
        models, n, k = self.models[model], activity.n, activity.chosen(model)
        changes = models.update(activity.bucket, activity.rows, n, k, (int(n.sum()), int(k.sum())))
        first_done, switch_done = (activity.cohorts(~mask) for mask in changes.at_risk)
        first, switch = (activity.cohorts(mask) for mask in changes.events)
        return ModelBody(
            model=model,
            first=self.tracker.names[model].first,
            total=activity.total(model),
            traffic=encoded(activity.traffic(model)),
            done=(encoded(first_done), encoded(switch_done)),
            events=(encoded(first), encoded(switch)),
            movers=encoded(activity.movers(changes.events)),
            findings=self._findings(activity, models, changes, k),
            blocks=encoded(activity.blocks(model, changes.blocks)),
        )

    def _update_late(self, model: str, activity: BucketActivity) -> ModelBody:
        """Report first uses alone. For switches every account counts as not at risk."""
        at_risk, used = self.models[model].update_late(activity.rows, activity.n, activity.chosen(model))
        nobody = np.zeros(len(used), dtype=bool)
        return ModelBody(
            model=model,
            first=min(self.tracker.names[model].first, activity.bucket),
            total=activity.total(model),
            traffic=encoded(activity.traffic(model)),
            done=(encoded(activity.cohorts(~at_risk)), encoded(activity.cohorts(~nobody))),
            events=(encoded(activity.cohorts(used)), encoded([])),
            movers=encoded(activity.movers((used, nobody))),
            findings=[],
            blocks=encoded([]),
        )

    def _findings(
        self, activity: BucketActivity, models: AccountModels, changes: Changes, k: Ints
    ) -> list[Finding]:
        """Accounts that Page-Hinkley found within a week of their move, with ``min_events`` requests."""
        settings, rows = self._settings, activity.rows
        requests = self._accounts.columns["requests"][rows] + activity.n
        week = settings.buckets(DECISION.account_findings.sudden_ms)
        sudden = activity.bucket - models.moving_since(rows) < week
        found = np.flatnonzero(changes.drift & sudden & (requests >= settings.min_events))
        since, usual = models.moving_since(rows[found]), models.usual_residual(rows[found])
        return sorted(
            (
                self._accounts.names[row],
                activity.set_index(i),
                begun,
                int(activity.n[i]),
                int(k[i]),
                round(1000 * residual),
            )
            for i, row, begun, residual in zip(
                found.tolist(), rows[found].tolist(), since.tolist(), usual.tolist(), strict=True
            )
        )
