"""A small invented launch: ordinary networks, roaming accounts, an alias, a network that switches at once."""

from __future__ import annotations

import functools

import numpy as np
import orjson

from pivotwatch.contracts.records import Line
from pivotwatch.detection.counting.event_time import Quorum
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch_models.settings import HOUR_MS, Settings

START = 1_770_001_200_000 // HOUR_MS * HOUR_MS
MODEL = "m-2"
SETTINGS = Settings(aliases=("*-latest",))
ANYBODY = Quorum(least=1, most=1, diverse=1, settled=1)
"""Whoever spoke last says what time it is: streams of few accounts, made by hand, need no agreement."""


def event(account="a", ts=START, model="m-1", network="AS1", **more):
    return {"id": f"{account}-{ts}", "ts": ts, "account": account, "network": network, "model": model} | more


def line(*events, offset=0, timestamp=None, key=None, headers=()):
    value = orjson.dumps(events[0] if len(events) == 1 else list(events))
    return Line(value, offset, timestamp, key, headers)


@functools.cache
def launch(seed=5, hours=36, accounts=140, release=10, moved=26):
    """Events in order of time, and the release calendar."""
    rng = np.random.default_rng(seed)
    home = rng.integers(0, 8, accounts)
    home[:moved] = 8
    rate = rng.uniform(0.2, 0.9, accounts)
    adopts = release + rng.exponential(120.0, accounts)
    adopts[:moved] = release + 8 + rng.uniform(0, 2.5, moved)
    events = []
    for hour in range(hours):
        for a in np.flatnonzero(rng.random(accounts) < rate).tolist():
            for _ in range(int(rng.integers(1, 6))):
                ts = START + hour * HOUR_MS + int(rng.integers(0, HOUR_MS))
                roams = rng.random() < 0.05
                network = int(rng.integers(0, 8)) if roams and a >= moved else int(home[a])
                model = MODEL if hour >= adopts[a] and rng.random() < 0.8 else "m-1"
                made = event(f"acct-{a:03}", ts, model, f"AS{network}", id=f"r{len(events)}", input_tokens=7)
                if home[a] == 8:
                    made["links"] = {"payment": f"pay-{a % 2}", "device": f"d-{a}"}
                if a % 5 == 0:
                    made["account_created"] = START - (a + 1) * 12 * HOUR_MS
                if hour == 14 and rng.random() < 0.3:
                    made |= {"requested_model": "m-latest", "model": MODEL}
                if rng.random() < 0.02:
                    made["status"] = 500
                events.append(made)
    events.sort(key=lambda e: e["ts"])
    return tuple(events), ({"model": MODEL, "released_at": START + release * HOUR_MS},)


def new_model(hour):
    """A launch of a model that is first used at ``hour`` and is not in a calendar."""
    events, _ = launch(hours=110, accounts=120, release=hour)
    return [e for e in events if e["model"] != MODEL or e["ts"] >= START + hour * HOUR_MS]


def records(events, per_message=1):
    """The events as records, one event or an array each."""
    groups = [events[i : i + per_message] for i in range(0, len(events), per_message)]
    return [line(*group, offset=i) for i, group in enumerate(groups)]


def accounts_step(settings=SETTINGS, **more):
    return CountingOperator(settings, 0, 1, **({"shards": 8, "quorum": ANYBODY} | more))


def bodies(outputs):
    """Content of the bucket records by bucket, with parts joined."""
    parts = {}
    for output in outputs:
        if output.topic == "buckets":
            head, piece = output.value.split(b"\n", 1)
            head = orjson.loads(head)
            if not head.get("final"):
                parts.setdefault(head["b"], {})[head["part"]] = piece
    return {b: orjson.loads(b"".join(pieces[i] for i in sorted(pieces))) for b, pieces in parts.items()}


def dead(outputs):
    return [output for output in outputs if output.topic == "dlq"]


@functools.cache
def launch_buckets(partitions=1, **what):
    """The bucket records of a launch, in the order of sending, and the calendar."""
    from pivotwatch.detection.dealer import Dealer

    events, releases = launch(**what)
    steps = [CountingOperator(SETTINGS, p, partitions, shards=8, quorum=ANYBODY) for p in range(partitions)]
    dealer, out = Dealer(partitions), []
    lines = [(i, orjson.dumps(e)) for i, e in enumerate(events)]
    for i in range(0, len(lines), 300):
        for p, dealt in enumerate(dealer.deal(lines[i : i + 300])):
            out += steps[p].process(dealt)
    for step in steps:
        out += step.final()
    values = [output.value for output in out if output.topic == "buckets"]
    return tuple(Line(v, offset) for offset, v in enumerate(values)), releases


def networks_step(partitions=1, releases=(), settings=SETTINGS):
    step = ScoringOperator(settings, partitions)
    for offset, entry in enumerate(releases):
        assert step.control("releases", Line(orjson.dumps(entry), offset)) == []
    return step


def alerts(outputs):
    return [orjson.loads(o.value) for o in outputs if o.topic == "alerts"]


def counted(step):
    """Open counts: (bucket, account, model, requested, network, links) → requests, input, output, tools."""
    buckets = step.buckets
    buckets.buffer.gather()
    cells, names = {}, buckets.dictionary
    for counts in (buckets.counts.saved, buckets.counts.recent):
        for bucket, of_bucket in counts.items():
            for run in of_bucket.runs:
                columns = (run.account, run.choice, run.network, run.links, *run[3:])
                for account, choice, network, links, *counts in zip(
                    *(c.tolist() for c in columns), strict=True
                ):
                    place = names.network_names[network], names.link_sets[links]
                    key = (bucket, names.accounts.names[account], *names.choice_names[choice], *place)
                    cells[key] = [x + y for x, y in zip(cells.get(key, [0] * 4), counts, strict=True)]
    return cells


def created(step):
    """The earliest creation date in the open counts, by bucket and account."""
    buckets = step.buckets
    buckets.buffer.gather()
    told = {}
    for counts in (buckets.counts.saved, buckets.counts.recent):
        for bucket, of_bucket in counts.items():
            run = of_bucket.whole()
            for account, moment in zip(run.account.tolist(), run.created.tolist(), strict=True):
                if moment >= 0:
                    key = bucket, step.accounts.names[account]
                    told[key] = min(told.get(key, moment), moment)
    return told


class Store:
    """Snapshots as a worker stores them: each updates shards, and an empty shard is removed."""

    def __init__(self):
        self.shards, self.meta = {}, None

    def take(self, step, full=False):
        for number, content in step.snapshot(full=full).items():
            if content:
                self.shards[number] = content
            else:
                self.shards.pop(number, None)
        self.meta = step.meta()

    def into(self, step):
        step.restore(self.meta, dict(self.shards))
        return step
