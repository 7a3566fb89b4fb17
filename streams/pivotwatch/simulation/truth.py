"""What really happened: counted from the events, written beside them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from pivotwatch.simulation.catalogue import MODELS, NEW, NEW_INDEX
from pivotwatch.simulation.crew import Campaign
from pivotwatch.simulation.encode import Encoder
from pivotwatch.simulation.rhythm import DAY, HOUR, iso
from pivotwatch.simulation.stage import Honest, Stage
from pivotwatch.simulation.traffic import Batch

_BEFORE, _DURING, _AFTER = range(3)
LABELS = (
    "known by construction: every account whose entity is in neither campaigns nor hard_negatives nor "
    "rollouts behaves honestly and moves, if at all, with the population"
)


class Tally:
    """Counts while the events go by.

    Parameters
    ----------
    stage
        Knows the campaigns.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._crews = len(stage.campaigns)
        self._crew_of = np.ascontiguousarray(stage.world.accounts["crew"])
        # When everything of a campaign has moved; the population is cut at a day.
        settled = [DAY] * (self._crews + 1)
        for number, campaign in enumerate(stage.campaigns):
            if campaign.moves:
                moved = stage.world.accounts["adopts"][campaign.rows].max()
                settled[number] = int(moved) - stage.world.release
        self._settled = stage.world.release + np.array(settled)
        # Crew (the last row is everybody else) × before, during, after × other or new model.
        self.requests = np.zeros((self._crews + 1, 3, 2), dtype=np.int64)
        self.models = np.zeros(len(MODELS), dtype=np.int64)
        self.failed = 0
        self.events = 0
        self._seen_accounts = np.zeros(len(stage.world.accounts), dtype=np.bool_)
        self._seen_networks = np.zeros(len(stage.world.kind), dtype=np.bool_)

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        self.events += len(batch)
        self._seen_accounts[batch.account] = True
        self._seen_networks[batch.network] = True
        good = ~batch.failed
        self.failed += len(batch) - int(good.sum())
        crew = self._crew_of[batch.account][good]
        ts, model = batch.ts[good], batch.model[good]
        self.models += np.bincount(model, minlength=len(MODELS))
        period = (ts >= self._stage.world.release).astype(np.int64) + (ts >= self._settled[crew])
        key = ((crew % (self._crews + 1)) * 3 + period) * 2 + (model == NEW_INDEX)
        self.requests += np.bincount(key, minlength=self.requests.size).reshape(self.requests.shape)

    @property
    def accounts(self) -> int:
        """Accounts with at least one event."""
        return int(self._seen_accounts.sum())

    @property
    def networks(self) -> int:
        """Networks with at least one event."""
        return int(self._seen_networks.sum())

    def totals(self) -> dict[str, Any]:
        """Counts over the whole stream."""
        return {
            "events": self.events,
            "failed": self.failed,
            "accounts": self.accounts,
            "networks": self.networks,
            "exchanges": {name: int(n) for name, n in zip(MODELS, self.models, strict=True) if n},
        }

    def shares(self, crew: int) -> dict[str, float | int]:
        """Share of the new model before the release and after the move, of a campaign and of the others."""
        own, rest = self.requests[crew], self.requests[-1]
        return {
            "share_pre": _share(own[_BEFORE]),
            "share_post": _share(own[_AFTER]),
            "pop_pre": _share(rest[_BEFORE]),
            "pop_post": _share(rest[_AFTER]),
            "n_pre": int(own[_BEFORE].sum()),
            "n_post": int(own[_AFTER].sum()),
        }


def make_truth(name: str, expectation: str, stage: Stage, encoder: Encoder, tally: Tally) -> dict[str, Any]:
    """The content of the truth file (format: see the package's docstring)."""
    moving = [c for c in stage.campaigns if c.moves]
    honest = [_honest(one, encoder) for one in stage.honest]
    idle = [_no_shift(c, stage, encoder) for c in stage.campaigns if not c.moves]
    rollouts = [one for one in honest if one["type"] == "rollout"]
    days = stage.span_days
    parameters = dataclasses.asdict(stage.parameters)
    seed = parameters.pop("seed")
    return {
        "format": 1,
        "name": name,
        "origin": "simulated",
        "labels": LABELS,
        "expectation": expectation,
        "seed": seed,
        "parameters": parameters,
        "releases": release_entries(stage),
        "population_events": stage.population_events,
        "campaigns": [
            _campaign(number, campaign, stage, encoder, tally)
            for number, campaign in enumerate(stage.campaigns)
            if campaign.moves
        ],
        "organic": [],
        "unscored": [],
        "rollouts": rollouts,
        "hard_negatives": [one for one in honest if one["type"] != "rollout"] + idle,
        "pass": {
            "min_recall": {"*": 1.0 if moving and expectation == "alert" else 0.0},
            "max_false_legit": len(rollouts),
            "max_false_statistical": 0,
        },
        "network_days": round(tally.networks * days),
        "account_days": round(tally.accounts * days),
        "totals": tally.totals(),
    }


def release_entries(stage: Stage) -> list[dict[str, str]]:
    """The release calendar."""
    return [{"model": NEW, "released_at": iso(stage.world.release)}]


def _campaign(
    number: int, campaign: Campaign, stage: Stage, encoder: Encoder, tally: Tally
) -> dict[str, Any]:
    accounts = stage.world.accounts[campaign.rows]
    requests = tally.requests[number]
    onset = int(accounts["adopts"].min())
    return {
        "id": campaign.name,
        "type": campaign.type,
        "model": NEW,
        "onset": iso(onset),
        "window_h": list(campaign.window_h),
        "entities": [_entity(kind, value, encoder) for kind, value in campaign.entities],
        "related": [_entity(kind, value, encoder) for kind, value in campaign.related],
        "note": {
            "text": campaign.note,
            "lag_days": round((onset - stage.world.release) / DAY, 3),
            "moved_by": iso(int(accounts["adopts"].max())),
            **tally.shares(number),
        },
        "info_ok": False,
        "members": [encoder.account_ids[row] for row in campaign.rows.tolist()],
        "exchanges": int(requests.sum()),
        "exchanges_to_model": int(requests[:, 1].sum()),
    }


def _no_shift(campaign: Campaign, stage: Stage, encoder: Encoder) -> dict[str, Any]:
    """A campaign that does not move, as something that must stay silent."""
    (kind, number), *_ = campaign.entities
    entity = _entity(kind, number, encoder)
    onset = int(stage.world.accounts["boost_from"][campaign.rows].min())
    return _window(campaign.type, entity, onset, 72, campaign.note)


def _honest(one: Honest, encoder: Encoder) -> dict[str, Any]:
    entity = _entity(one.kind, one.number, encoder)
    return _window(one.type, entity, one.onset, max(48, round(one.hours)), one.why)


def _window(kind: str, entity: list[str], onset: int, hours: int, why: str) -> dict[str, Any]:
    return {
        "type": kind,
        "kind": entity[0],
        "id": entity[1],
        "model": NEW,
        "onset": iso(onset),
        "window_h": [-24, hours],
        "why": why,
    }


def _entity(kind: str, value: int, encoder: Encoder) -> list[str]:
    """An entity as alerts name it: its kind and id."""
    if kind == "network":
        return [kind, encoder.network_id(value)]
    if kind == "payment":
        return [kind, encoder.payment_id(value)]
    return [kind, iso(value // HOUR * HOUR)[:13]]


def _share(pair: npt.NDArray[np.int64]) -> float:
    total = int(pair.sum())
    return round(int(pair[1]) / total, 4) if total else 0.0
