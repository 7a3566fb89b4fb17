"""The truth about a simulated stream: campaigns, honest look-alikes and counts of events."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from pivotwatch.simulation.campaign_accounts import Campaign
from pivotwatch.simulation.catalogue import BESIDE, MODELS, NEW_INDEX
from pivotwatch.simulation.encode import Encoder
from pivotwatch.simulation.rhythm import DAY, HOUR, iso
from pivotwatch.simulation.scenario_setup import Lookalike, Setup
from pivotwatch.simulation.traffic import Batch

_BEFORE, _DURING, _AFTER = range(3)
LABELS = (
    "known by construction: every account whose entity is not in campaigns, hard_negatives or rollouts "
    "is honest and switches, if it does, with the population"
)


class StreamCounts:
    """Counts of the events of a stream.

    Parameters
    ----------
    setup
        The setup of the simulation.

    Attributes
    ----------
    requests
        Successful requests by campaign (the last row is for all other accounts) × before the release,
        during the switch, after it × old models, new model.
    models, failed, events
        Successful requests by model, and numbers of failed requests and of all events.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._campaigns = len(setup.campaigns)
        self._campaign_of = np.ascontiguousarray(setup.world.accounts["campaign"])
        # When all accounts of a campaign have switched. For other accounts it is a day after the release.
        settled = [DAY] * (self._campaigns + 1)
        for number, campaign in enumerate(setup.campaigns):
            if campaign.moves:
                moved = setup.world.accounts["adopts"][campaign.rows].max()
                settled[number] = int(moved) - setup.world.release
        self._settled = setup.world.release + np.array(settled)
        self.requests = np.zeros((self._campaigns + 1, 3, 2), dtype=np.int64)
        self.models = np.zeros(len(MODELS), dtype=np.int64)
        self.failed = 0
        self.events = 0
        self._seen_accounts = np.zeros(len(setup.world.accounts), dtype=np.bool_)
        self._seen_networks = np.zeros(len(setup.world.kind), dtype=np.bool_)

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        self.events += len(batch)
        self._seen_accounts[batch.account] = True
        self._seen_networks[batch.network] = True
        good = ~batch.failed
        self.failed += len(batch) - int(good.sum())
        campaign = self._campaign_of[batch.account][good]
        ts, model = batch.ts[good], batch.model[good]
        self.models += np.bincount(model, minlength=len(MODELS))
        period = (ts >= self._setup.world.release).astype(np.int64) + (ts >= self._settled[campaign])
        key = ((campaign % (self._campaigns + 1)) * 3 + period) * 2 + (model == self._setup.timeline.target)
        self.requests += np.bincount(key, minlength=self.requests.size).reshape(self.requests.shape)

    @property
    def accounts(self) -> int:
        """Number of accounts with at least one event."""
        return int(self._seen_accounts.sum())

    @property
    def networks(self) -> int:
        """Number of networks with at least one event."""
        return int(self._seen_networks.sum())

    def totals(self) -> dict[str, Any]:
        """The counts of the whole stream."""
        return {
            "events": self.events,
            "failed": self.failed,
            "accounts": self.accounts,
            "networks": self.networks,
            "exchanges": {name: int(n) for name, n in zip(MODELS, self.models, strict=True) if n},
        }

    def shares(self, campaign: int) -> dict[str, float | int]:
        """Shares of the new model before the release and after the switch, of a campaign and of others."""
        own, rest = self.requests[campaign], self.requests[-1]
        return {
            "share_pre": _share(own[_BEFORE]),
            "share_post": _share(own[_AFTER]),
            "pop_pre": _share(rest[_BEFORE]),
            "pop_post": _share(rest[_AFTER]),
            "n_pre": int(own[_BEFORE].sum()),
            "n_post": int(own[_AFTER].sum()),
        }


def make_truth(
    name: str, expectation: str, setup: Setup, encoder: Encoder, counts: StreamCounts
) -> dict[str, Any]:
    """The content of the truth file; the docstring of the package describes it."""
    moving = [c for c in setup.campaigns if c.moves]
    honest = [_honest(one, setup, encoder) for one in setup.lookalikes]
    idle = [_no_shift(c, setup, encoder) for c in setup.campaigns if not c.moves]
    rollouts = [one for one in honest if one["type"] == "rollout"]
    days = setup.span_days
    parameters = dataclasses.asdict(setup.parameters)
    seed = parameters.pop("seed")
    return {
        "format": 1,
        "name": name,
        "origin": "simulated",
        "labels": LABELS,
        "expectation": expectation,
        "seed": seed,
        "parameters": parameters,
        "releases": release_entries(setup),
        "population_events": setup.population_events,
        "campaigns": [
            _campaign(number, campaign, setup, encoder, counts)
            for number, campaign in enumerate(setup.campaigns)
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
        "network_days": round(counts.networks * days),
        "account_days": round(counts.accounts * days),
        "totals": counts.totals(),
    }


def release_entries(setup: Setup) -> list[dict[str, str]]:
    """The release calendar: empty when the model that accounts adopt is an old one."""
    timeline = setup.timeline
    entries = []
    if timeline.target == NEW_INDEX:
        entries.append({"model": model_of(setup), "released_at": iso(timeline.release)})
    if timeline.beside is not None:
        entries.append({"model": BESIDE, "released_at": iso(timeline.beside)})
    return entries


def model_of(setup: Setup) -> str:
    """The model that accounts adopt."""
    return MODELS[setup.timeline.target]


def _campaign(
    number: int, campaign: Campaign, setup: Setup, encoder: Encoder, counts: StreamCounts
) -> dict[str, Any]:
    accounts = setup.world.accounts[campaign.rows]
    requests = counts.requests[number]
    onset = int(accounts["adopts"].min())
    return {
        "id": campaign.name,
        "type": campaign.type,
        "model": model_of(setup),
        "onset": iso(onset),
        "window_h": list(campaign.window_h),
        "entities": [_entity(kind, value, encoder) for kind, value in campaign.entities],
        "related": [_entity(kind, value, encoder) for kind, value in campaign.related],
        "note": {
            "text": campaign.note,
            "lag_days": round((onset - setup.world.release) / DAY, 3),
            "moved_by": iso(int(accounts["adopts"].max())),
            **counts.shares(number),
        },
        "info_ok": False,
        "members": [encoder.account_ids[row] for row in campaign.rows.tolist()],
        "exchanges": int(requests.sum()),
        "exchanges_to_model": int(requests[:, 1].sum()),
    }


def _no_shift(campaign: Campaign, setup: Setup, encoder: Encoder) -> dict[str, Any]:
    """A campaign that does not switch, as a hard negative."""
    (kind, number), *_ = campaign.entities
    entity = _entity(kind, number, encoder)
    onset = int(setup.world.accounts["boost_from"][campaign.rows].min())
    return _window(campaign.type, entity, model_of(setup), onset, hours=72, why=campaign.note)


def _honest(one: Lookalike, setup: Setup, encoder: Encoder) -> dict[str, Any]:
    entity = _entity(one.kind, one.number, encoder)
    return _window(one.type, entity, model_of(setup), one.onset, hours=max(48, round(one.hours)), why=one.why)


def _window(kind: str, entity: list[str], model: str, onset: int, *, hours: int, why: str) -> dict[str, Any]:
    return {
        "type": kind,
        "kind": entity[0],
        "id": entity[1],
        "model": model,
        "onset": iso(onset),
        "window_h": [-24, hours],
        "why": why,
    }


def _entity(kind: str, value: int, encoder: Encoder) -> list[str]:
    """The kind and id of an entity, as in alerts."""
    if kind == "network":
        return [kind, encoder.network_id(value)]
    if kind == "payment":
        return [kind, encoder.payment_id(value)]
    return [kind, iso(value // HOUR * HOUR)[:13]]


def _share(pair: npt.NDArray[np.int64]) -> float:
    total = int(pair.sum())
    return round(int(pair[1]) / total, 4) if total else 0.0
