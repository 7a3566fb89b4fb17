"""The campaigns: who they are, where they hide and how they move.

Each function puts one campaign on the stage.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from pivotwatch.simulation.adoption import PACES, take_up
from pivotwatch.simulation.crew import Campaign, draw_crew, within
from pivotwatch.simulation.rhythm import HOUR
from pivotwatch.simulation.stage import Stage
from pivotwatch.simulation.world import Kind

# Payment instruments of campaigns have numbers that no honest account has.
_PAYMENTS = 2**31
# What `catalogue.choose` lets fail has to be sent on top for a stated number of exchanges.
_SUCCESS = 0.996


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """The manner of a campaign.

    Attributes
    ----------
    name, type, note
        See `crew.Campaign`.
    accounts, rate, share, hours
        As `stage.Parameters` has them for campaigns; those win.
    networks
        How many networks of its own choice it goes through.
    kinds
        Kinds of these networks, in turn.
    honest
        Honest accounts in these networks, as a share of all their accounts.
    exchanges
        Successful requests over the whole stream; instead of ``rate``.
    """

    name: str
    type: str
    note: str
    accounts: int
    rate: float = 60.0
    share: float = 0.5
    hours: float = 24.0
    networks: int = 1
    kinds: Sequence[Kind] = (Kind.PROXY,)
    honest: float = 0.1
    exchanges: int | None = None
    window_h: tuple[int, int] = (-1, 72)


def run_plan(stage: Stage, plan: Plan) -> Campaign:
    """A campaign in networks of its own choice, among honest accounts of them."""
    world, rng = stage.world, stage.rng
    size, rate, share, hours = _knobs(stage, plan)
    count = stage.size(plan.networks, 1) if plan.networks > 1 else 1
    count = min(count, size)
    kinds = [plan.kinds[n % len(plan.kinds)] for n in range(count)]
    networks = world.add_networks(kinds, rng.choice([-5, 1, 8], count).tolist())
    home = np.array(networks)[np.sort(np.arange(size) % count)]
    guests = round(size * plan.honest / (1 - plan.honest))
    for number, network in enumerate(networks):
        world.move_in(rng, network, guests // count + (number < guests % count))
    moves = within(rng, size, world.release, hours)
    crew = draw_crew(rng, world, home, number=len(stage.campaigns), rate=rate, moves_at=moves, share=share)
    rows = world.add_accounts(crew)
    entities = [("network", network) for network in networks]
    campaign = Campaign(plan.name, plan.type, rows, entities, plan.note, window_h=plan.window_h)
    stage.campaigns.append(campaign)
    return campaign


def fresh_accounts(stage: Stage) -> None:
    """C5: accounts signed up in three batches just before the release, with five payment instruments."""
    plan = Plan("c5", "fresh", "accounts created 14 to 50 hours before the release", 250, hours=10.0)
    campaign = run_plan(stage, plan)
    rng, world, rows = stage.rng, stage.world, campaign.rows
    batch = rng.integers(0, 3, len(rows))
    created = world.release - np.array([50, 31, 14])[batch] * HOUR + rng.integers(0, HOUR, len(rows))
    world.accounts["created"][rows] = created
    world.accounts["first"][rows] = created + rng.integers(0, 12 * HOUR, len(rows))
    payments = _PAYMENTS + len(stage.campaigns) * 100 + rng.integers(0, 5, len(rows))
    world.accounts["payment"][rows] = payments
    campaign.related.extend(("payment", int(number)) for number in np.unique(payments))
    campaign.related.extend(("signup", int(hour) * HOUR) for hour in np.unique(created // HOUR))


def burst_without_shift(stage: Stage) -> None:
    """C6: extraction traffic that grows tenfold for half a day and takes up the model like everybody."""
    plan = Plan("c6", "burst-no-shift", "ten times the requests for 12 hours, no move", 300, rate=30.0)
    campaign = run_plan(stage, plan)
    world, rows = stage.world, campaign.rows
    accounts = world.accounts
    homes = accounts["network"][rows]
    ordinary = np.zeros(len(rows), dtype=np.bool_)
    uptake = take_up(
        stage.rng,
        PACES[stage.pace],
        world.release,
        network=homes,
        networks=len(world.kind),
        cautious=ordinary,
        testers=0,
    )
    accounts["adopts"][rows], accounts["share"][rows] = uptake.adopts, uptake.share
    accounts["tries"][rows], accounts["trial"][rows] = uptake.tries, uptake.trial
    accounts["boost_from"][rows] = stage.after(20)
    accounts["boost_until"][rows] = stage.after(32)
    accounts["boost"][rows] = 10.0
    stage.campaigns[-1] = dataclasses.replace(campaign, moves=False)


def spread_over_existing(stage: Stage) -> None:
    """A hydra without a key: accounts in everybody's networks, nothing in common but the time."""
    plan = Plan(
        "hydra-keyless",
        "hydra-keyless",
        "900 accounts spread over the networks of everybody, joined by nothing but time",
        900,
        rate=40.0,
    )
    world, rng = stage.world, stage.rng
    size, rate, share, hours = _knobs(stage, plan)
    sizes = world.sizes()
    home = np.sort(rng.choice(len(sizes), size, p=sizes / sizes.sum()))
    moves = within(rng, size, world.release, hours)
    crew = draw_crew(rng, world, home, number=len(stage.campaigns), rate=rate, moves_at=moves, share=share)
    crew["tz"] = world.tz[home]
    rows = world.add_accounts(crew)
    stage.campaigns.append(Campaign(plan.name, plan.type, rows, [], plan.note))


def _knobs(stage: Stage, plan: Plan) -> tuple[int, float, float, float]:
    """Accounts, rate, share and hours: the caller's where given, else the plan's."""
    given = stage.parameters
    size = given.campaign_accounts or stage.size(plan.accounts)
    rate = plan.rate
    if plan.exchanges is not None:
        total = plan.exchanges * min(1.0, given.scale) / _SUCCESS
        rate = total / size / stage.span_days
    share = plan.share if given.campaign_share is None else given.campaign_share
    hours = plan.hours if given.campaign_hours is None else given.campaign_hours
    return size, given.campaign_rate or rate, share, hours


C1 = Plan("c1", "network", "one network moves half of its traffic within a day", 300)
C2 = Plan(
    "c2",
    "slow",
    "accounts with three requests an hour, moving over four days",
    240,
    rate=72.0,
    hours=96.0,
    window_h=(-1, 168),
)
UNHURRIED = Plan(
    "unhurried",
    "unhurried",
    "120 accounts that take the model up over three days, no faster than everybody",
    120,
    hours=72.0,
    window_h=(-1, 144),
)
C4 = Plan(
    "c4",
    "hydra",
    "60 networks with 15 accounts each, joined only in time",
    900,
    networks=60,
    kinds=(Kind.HOSTING, Kind.PROXY, Kind.PROVIDER),
    rate=50.0,
    honest=0.35,
)
PUBLIC_150K = Plan(
    "public-150k",
    "public",
    "150 thousand exchanges in two proxy networks",
    400,
    networks=2,
    exchanges=150_000,
    honest=0.3,
)
PUBLIC_3M4 = Plan(
    "public-3m4",
    "public",
    "3.4 million exchanges through proxies and hosting, moving over two days",
    4_600,
    networks=24,
    kinds=(Kind.PROXY, Kind.HOSTING),
    exchanges=3_400_000,
    hours=48.0,
    honest=0.25,
)
PUBLIC_13M = Plan(
    "public-13m",
    "public",
    "13 million exchanges; nearly half of the traffic moves within a day of the release",
    19_000,
    networks=80,
    kinds=(Kind.PROXY, Kind.HOSTING, Kind.PROXY),
    exchanges=13_000_000,
    share=0.47,
    honest=0.2,
)
DEMO = Plan(
    "demo",
    "hidden",
    "a thousand accounts and half as many honest ones in three proxy and hosting networks",
    1_000,
    networks=3,
    kinds=(Kind.PROXY, Kind.HOSTING),
    rate=30.0,
    hours=8.0,
    honest=0.35,
)


def hidden_in_proxy(fraction: float) -> Plan:
    """C3: the campaign is this fraction of the accounts of a proxy network of 400."""
    percent = round(100 * fraction)
    note = f"{percent} % of the accounts of a proxy network"
    return Plan(f"c3-{percent}", "hidden", note, round(400 * fraction), honest=1 - fraction)
