"""Runs one scenario with one seed through the real operators, and compares the alerts with the truth.

`run` returns plain numbers, so that they can be passed between processes and stored as JSON.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import orjson

from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch.simulation import Simulation, generate
from pivotwatch.simulation.traffic import Traffic
from pivotwatch_models.population.always_active import POPULATION
from pivotwatch_models.settings import Settings

HOUR = 3_600_000
ALARM = math.log(24 / 1e-5)
"""The odds at which the clairvoyant detector raises an alarm."""

Named = tuple[str, str]
FIRST = b"m-1-next"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """The result for one campaign. Times are hours since its onset; None means not found.

    Attributes
    ----------
    delay
        Time to the close of the bucket with its first alert: on one of its groups, on the population,
        or on a group most of whose listed accounts belong to it.
    delays
        The same for each of its alerted networks, sorted.
    networks
        Number of its networks.
    leaked
        Share of its exchanges with the model that came before the first alert.
    precision
        Share of the accounts listed in its alerts that belong to it.
    recall
        Accounts counted in its alerts (`members_total`) times the precision, divided by all its accounts.
    clairvoyant
        Delay of the clairvoyant detector; see `Observer`.
    """

    campaign: str
    delay: float | None
    delays: list[float]
    networks: int
    leaked: float
    precision: float
    recall: float
    clairvoyant: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """The result of one run.

    Attributes
    ----------
    false, rollouts
        Alerts on honest groups: by chance, and on companies that really switched at once.
    right
        Alerts on campaigns.
    accounts_noted
        Number of single accounts reported for information.
    honest_high
        Alerts on honest groups, roll-outs included, of severity high or critical.
    """

    scenario: str
    seed: int
    events: int
    accounts: int
    account_days: int
    network_days: int
    findings: list[Finding]
    false: list[str]
    rollouts: int
    right: int
    accounts_noted: int
    honest_high: int = 0


class Observer:
    r"""Counts what a clairvoyant detector needs, and the exchanges of campaigns per hour.

    The clairvoyant knows who belongs to the campaign and how many times faster than honest accounts its
    accounts move on the whole (:math:`\lambda = \sum S / \sum E`, in hindsight). Per hour it holds the first
    uses :math:`S` of the members against :math:`E`: members active that had not used the model, times the
    share of the honest ones in the same place that first used it in that hour. It raises when
    :math:`\sum S \ln\lambda - (\lambda - 1) E` reaches the detector's odds, ln(24 / 10⁻⁵).
    """

    def __init__(self, simulation: Simulation) -> None:
        self.begin, setup = simulation.setup.world.begin, simulation.setup
        self.release = setup.world.release
        self.crew = setup.world.accounts["campaign"]
        self.used = np.zeros(len(self.crew), dtype=bool)
        self.new = setup.timeline.target
        hours, crews = simulation.hours + 1, len(setup.campaigns) + 1
        self.risk, self.first = np.zeros((hours, crews)), np.zeros((hours, crews))
        self.exchanges = np.zeros((hours, crews))
        self.events = 0

    def lines(self, simulation: Simulation) -> Iterator[bytes]:
        """Yield the lines of a simulation and count them."""
        for part in simulation.slices():
            self._add(part.batch)
            self.events += len(part)
            yield from part.lines

    def _add(self, batch: Any) -> None:
        good = ~batch.failed
        rows, hour = batch.account[good], (batch.ts[good] - self.begin) // HOUR
        to_new = batch.model[good] == self.new
        for h in np.unique(hour).tolist():
            here = hour == h
            active = np.unique(rows[here])
            at_risk = active[~self.used[active]]
            users = np.unique(rows[here & to_new])
            begins = users[~self.used[users]]
            self.used[users] = True
            self._count(self.risk[h], at_risk)
            self._count(self.first[h], begins)
            self._count(self.exchanges[h], rows[here & to_new])

    def _count(self, row: Any, accounts: Any) -> None:
        row += np.bincount(self.crew[accounts] % len(row), minlength=len(row))

    def clairvoyant(self, number: int, onset: int, until: int) -> float | None:
        """Hours from the onset to the alarm of the clairvoyant detector."""
        first, last = (onset - self.begin) // HOUR, min((until - self.begin) // HOUR + 1, len(self.risk))
        honest = self.first[:, -1] / np.maximum(self.risk[:, -1], 1)
        expected = np.maximum((self.risk[:, number] * honest)[first:last], 1e-9)
        seen = self.first[first:last, number]
        ratio = seen.sum() / expected.sum()
        if ratio <= 1:
            return None
        evidence = np.cumsum(seen * math.log(ratio) - (ratio - 1) * expected)
        raised = np.flatnonzero(evidence >= ALARM)
        if not len(raised):
            return None
        return float((self.begin + (first + int(raised[0]) + 1) * HOUR - onset) / HOUR)

    def leaked(self, number: int, until: float) -> float:
        """Share of a campaign's exchanges with the model before a time."""
        column = self.exchanges[:, number]
        hours = int(min(max(0, (until - self.begin) // HOUR), len(column)))
        return float(column[:hours].sum() / max(1, column.sum()))


def run(scenario: str, seed: int, accounts: int | None, **parameters: Any) -> Trial:
    """Run one scenario."""
    simulation = generate(scenario, seed=seed, accounts=accounts, **parameters)
    observer = Observer(simulation)
    pipeline = DetectionPipeline(Settings(), releases=simulation.releases)
    outputs = pipeline.run(observer.lines(simulation))
    alerts = [orjson.loads(output.value)["data"] for output in outputs if output.topic == "alerts"]
    return judged(simulation, observer, alerts)


def run_learnt(scenario: str, seed: int, accounts: int | None) -> Trial:
    """Run a scenario after an earlier release of `FIRST`, which the campaign adopted like everyone.

    The stream of the earlier release comes before, of the same accounts; its watch is over, and has taught
    each group its θ₀, when that of the scenario begins.
    """
    simulation = generate(scenario, seed=seed, accounts=accounts)
    observer = Observer(simulation)
    world = simulation.setup.world
    earlier = generate(scenario, seed=seed, accounts=accounts, begin=world.begin - (world.end - world.begin))
    _live_ordinarily(earlier)
    first = earlier.releases[0] | {"model": FIRST.decode()}
    settings = Settings(watch="7d")
    pipeline = DetectionPipeline(settings, releases=[first, *simulation.releases])
    outputs = pipeline.run(itertools.chain(_renamed(earlier), observer.lines(simulation)))
    alerts = [orjson.loads(output.value)["data"] for output in outputs if output.topic == "alerts"]
    return judged(simulation, observer, alerts)


def _live_ordinarily(simulation: Simulation) -> None:
    """Let the accounts of campaigns adopt the model as honest ones do."""
    accounts = simulation.setup.world.accounts
    crew = np.flatnonzero(accounts["campaign"] >= 0)
    models = np.random.default_rng(simulation.setup.parameters.seed).choice(
        simulation.setup.world.honest, len(crew)
    )
    for column in ("adopts", "share", "tries", "trial"):
        accounts[column][crew] = accounts[column][models]
    simulation._traffic = Traffic(  # it has copied the columns
        simulation.setup.world, simulation.setup.timeline, simulation.setup.parameters.seed
    )


def _renamed(simulation: Simulation) -> Iterator[bytes]:
    for part in simulation.slices():
        for line in part.lines:
            yield line.replace(b'"m-2"', b'"' + FIRST + b'"')


def judged(simulation: Simulation, observer: Observer, alerts: list[dict[str, Any]]) -> Trial:
    """Compare alerts with the truth."""
    truth = simulation.truth
    groups = [one for one in alerts if one["entity"]["kind"] != "account"]
    told = [(one, _named(one)) for one in groups]
    moving = [n for n, c in enumerate(simulation.setup.campaigns) if c.moves]
    findings, ours = [], set()
    for number, campaign in zip(moving, truth["campaigns"], strict=True):
        related = {tuple(e) for e in campaign["entities"] + campaign["related"]}
        members = set(campaign["members"])
        onset = _ms(campaign["onset"])
        # Accounts without a common group are reported as population: correct while there is a campaign.
        # A group outside the plan is correct when most listed accounts are the campaign's, as a sign-up hour.
        on_it = [
            one
            for one, named in told
            if one["model"] == campaign["model"]
            and (named & related or one["entity"]["kind"] == POPULATION or is_of(one, members))
            and _ms(one["detected_at"]) > onset
        ]
        ours |= {one["alert_id"] for one in on_it}
        findings.append(_finding(number, campaign, on_it, observer))
    rollouts = {(one["kind"], one["id"]) for one in truth["rollouts"]}
    rolled = {one["alert_id"] for one, named in told if named & rollouts} - ours
    honest = {one["alert_id"]: "/".join(one["entity"].values()) for one in groups}
    return Trial(
        scenario=simulation.scenario.name,
        seed=truth["seed"],
        events=observer.events,
        accounts=truth["totals"]["accounts"],
        account_days=truth["account_days"],
        network_days=truth["network_days"],
        findings=findings,
        false=sorted(name for i, name in honest.items() if i not in ours | rolled),
        rollouts=len(rolled),
        right=len(ours),
        honest_high=len(
            {
                one["alert_id"]
                for one in groups
                if one["alert_id"] not in ours and one["severity"] in ("high", "critical")
            }
        ),
        accounts_noted=len({one["alert_id"] for one in alerts if one["entity"]["kind"] == "account"}),
    )


def _finding(number: int, campaign: dict[str, Any], alerts: list[Any], observer: Observer) -> Finding:
    onset, members = _ms(campaign["onset"]), set(campaign["members"])
    times: dict[Named, float] = {}
    counted: dict[str, int] = {}
    for one in alerts:
        for name in _named(one):
            times.setdefault(name, (_ms(one["detected_at"]) - onset) / HOUR)
        counted[one["alert_id"]] = max(one["members_total"], counted.get(one["alert_id"], 0))
    listed = {account for one in alerts for account in one["members"]}
    precision = len(listed & members) / len(listed) if listed else 0.0
    delays = sorted(times[name] for e in campaign["entities"] if (name := (e[0], e[1])) in times)
    delay = min(times.values()) if times else None
    total = min(len(members), sum(counted.values()) * precision)
    return Finding(
        campaign=campaign["id"],
        delay=delay,
        delays=delays,
        networks=len(campaign["entities"]),
        leaked=1.0 if delay is None else observer.leaked(number, onset + delay * HOUR),
        precision=precision,
        recall=total / len(members),
        clairvoyant=observer.clairvoyant(number, onset, _ms(campaign["note"]["moved_by"])),
    )


def is_of(alert: dict[str, Any], members: set[str]) -> bool:
    """Whether most accounts listed in the alert belong to these members."""
    listed = set(alert["members"])
    return 2 * len(listed & members) > len(listed)


def _named(alert: dict[str, Any]) -> set[Named]:
    return {(one["kind"], one["id"]) for one in (alert["entity"], *alert["groups"])}


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
