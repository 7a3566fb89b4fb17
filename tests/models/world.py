"""Invented counts of one bucket: sets of groups, accounts at risk, and accounts with an event."""

from __future__ import annotations

import numpy as np

from pivotwatch_models.base.counts import ModelCounts, Mover, Traffic
from pivotwatch_models.groups.report_rule import apply_e_bh
from pivotwatch_models.incidents.lifecycle import Incidents, Surroundings
from pivotwatch_models.population.cohorts import ALWAYS_ACTIVE, COHORTS
from pivotwatch_models.release_calendar import Release
from pivotwatch_models.release_watch import ReleaseWatch
from pivotwatch_models.settings import HOUR_MS, Settings

MODEL = "m-2"
A, B, C, PAY = ("network", "A"), ("network", "B"), ("network", "C"), ("payment", "P")
OTHERS = 20


class World:
    """One release in a calm population, in which named accounts can be made to move.

    Parameters
    ----------
    sets
        Name of a set to its groups; each holds ``size`` accounts at risk.
    rest
        Accounts of the 20 networks beside them, two of which move in every bucket.
    """

    def __init__(self, sets=None, size=50, rest=2000, settings=None, released=100):
        self.settings = settings or Settings()
        self.others = [f"rest-{i:02}" for i in range(OTHERS)]
        self.sets = {name: (("network", name),) for name in self.others} | (sets or {"a": (A,)})
        self.size = {name: rest // OTHERS if name in self.others else size for name in self.sets}
        release = Release(MODEL, released * HOUR_MS)
        self.theta = lambda _: self.settings.theta
        self.watch = ReleaseWatch(release, self.settings, lambda g: self.theta(g))
        self.incidents = Incidents(self.watch, self.settings)
        self.bucket = released
        self.members = {}
        self.verdicts = {}
        self.late = set()
        self.reported = []
        self.transitions = []

    def counts(self, moves=(), requests=10, blocks=()):
        """Counts in which all accounts are active; ``moves`` are (set, account, young)."""
        groups = sorted({g for own in self.sets.values() for g in own})
        rank = {g: i for i, g in enumerate(groups)}
        names = list(self.sets)
        pairs = np.array([(i, rank[g]) for i, n in enumerate(names) for g in self.sets[n]])
        risk = [np.zeros((len(names), COHORTS), dtype=np.int64) for _ in range(2)]
        events = [np.zeros((len(names), COHORTS), dtype=np.int64) for _ in range(2)]
        for i, name in enumerate(names):
            for kind in range(2):
                risk[kind][i, ALWAYS_ACTIVE] = self.size[name]
                if name in self.others:
                    events[kind][i, ALWAYS_ACTIVE] = (i - self.bucket) % (OTHERS // 2) == 0
        movers, to_model = [], dict.fromkeys(groups, 0)
        for name, account, young in moves:
            i = names.index(name)
            for kind in range(2):
                events[kind][i, ALWAYS_ACTIVE] += 1
            movers.append(Mover(account, self.sets[name], (True, True), young))
            for g in self.sets[name]:
                to_model[g] += requests
        movers.sort(key=lambda m: m.account)
        traffic = [Traffic(1000, to_model[g], to_model[g]) for g in groups]
        total = Traffic(20_000, 40, 40)
        return ModelCounts(
            groups,
            pairs[:, 0],
            pairs[:, 1],
            (risk[0], risk[1]),
            (events[0], events[1]),
            movers,
            traffic,
            total,
            sorted(blocks, key=lambda block: block.account),
        )

    def step(self, moves=(), findings=(), requests=10, empty=False, blocks=()):
        """Score one bucket; return (reason, entity, state, revision) of each alert."""
        counts = None
        if not empty:
            counts = self.counts([m if len(m) == 3 else (*m, False) for m in moves], requests, blocks)
            self.watch.score(self.bucket, counts)
            apply_e_bh([self.watch.report_rule], self.bucket)
        around = Surroundings(
            lambda g: self.members.get(g, 1000),
            self.verdicts.get,
            lambda g, since: g in self.late,
        )
        reported = self.incidents.step(self.bucket, [counts] if counts else [], findings, around)
        self.bucket += 1
        return self.note(reported)

    def note(self, reported):
        self.transitions += reported
        now = [(t.reason, t.incident.entity, t.incident.state, t.incident.revision) for t in reported]
        self.reported += now
        return now

    def calm(self, buckets):
        """Score buckets in which only accounts of the rest have events."""
        return [reported for _ in range(buckets) for reported in self.step()]

    def burst(self, name="a", accounts=range(20), young=False, **kwargs):
        """Let accounts of a set have an event in one bucket."""
        return self.step([(name, f"{name}-{i}", young) for i in accounts], **kwargs)

    def incident(self, entity=A):
        return self.incidents.by_entity[entity]

    def restart(self):
        """Restore everything from its snapshot."""
        import orjson

        state = self.watch.snapshot()
        groups = {g: self.watch.snapshot_group(g) for g in self.watch.groups}
        incidents = self.incidents.snapshot()
        state, incidents = orjson.loads(orjson.dumps([state, incidents]))
        self.watch = ReleaseWatch(Release(*state["release"]), self.settings, lambda g: self.theta(g))
        self.watch.restore(state)
        # Shards of groups are restored in another order than that in which the groups appeared.
        for group in sorted(groups, reverse=True):
            self.watch.restore_group(group, orjson.loads(orjson.dumps(groups[group])))
        self.incidents = Incidents(self.watch, self.settings)
        self.incidents.restore(incidents)
