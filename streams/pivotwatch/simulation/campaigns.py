"""The campaigns: their accounts, their networks and their switch to the new model.

Each function adds one campaign to a setup.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pivotwatch.simulation.adoption import PACES, draw_uptake
from pivotwatch.simulation.campaign_accounts import Campaign, draw_campaign_accounts, random_times
from pivotwatch.simulation.rhythm import HOUR
from pivotwatch.simulation.scenario_setup import Setup
from pivotwatch.simulation.world import Kind

# Numbers of payment instruments from here on belong to campaigns.
_PAYMENTS = 2**31
# Share of requests that succeed (`catalogue.choose`), to reach a stated number of exchanges.
_SUCCESS = 0.996


@dataclasses.dataclass(frozen=True, slots=True)
class CampaignPlan:
    """The plan of a campaign.

    Attributes
    ----------
    name, type, note
        See `campaign_accounts.Campaign`.
    accounts, rate, share, hours
        Number of accounts, requests per account and day, share of the requests that move to the new model,
        and hours in which they do. The ``campaign_…`` fields of `parameters.Parameters` override them.
    networks
        Number of networks of the campaign.
    kinds
        Kinds of these networks, in turn.
    honest
        Share of honest accounts in these networks.
    exchanges
        Number of successful requests in the whole stream; replaces ``rate``.
    window_h
        See `campaign_accounts.Campaign`.
    starts
        Hours after the release at which the first accounts move.
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
    starts: float = 0.0


def run_plan(setup: Setup, plan: CampaignPlan) -> Campaign:
    """Add a campaign in its own networks, with honest accounts among its accounts."""
    world, rng = setup.world, setup.rng
    size = _values(setup, plan).accounts
    count = setup.size(plan.networks, 1) if plan.networks > 1 else 1
    count = min(count, size)
    kinds = [plan.kinds[n % len(plan.kinds)] for n in range(count)]
    networks = world.add_networks(kinds, rng.choice([-5, 1, 8], count).tolist())
    home = np.array(networks)[np.sort(np.arange(size) % count)]
    honest = round(size * plan.honest / (1 - plan.honest))
    for number, network in enumerate(networks):
        world.relocate(rng, network, honest // count + (number < honest % count))
    return _add_campaign(setup, plan, home, [("network", network) for network in networks])


def _add_campaign(
    setup: Setup,
    plan: CampaignPlan,
    home: npt.NDArray[np.int64],
    entities: list[tuple[str, int]],
    tz: npt.NDArray[np.int64] | None = None,
) -> Campaign:
    """Add the accounts of a campaign.

    Parameters
    ----------
    home
        Home network of each account.
    entities
        See `campaign_accounts.Campaign`.
    tz
        Time zone of each account; None means UTC.
    """
    world, rng, values = setup.world, setup.rng, _values(setup, plan)
    moves = random_times(rng, len(home), setup.after(plan.starts), values.hours)
    accounts = draw_campaign_accounts(
        rng,
        world,
        home,
        number=len(setup.campaigns),
        rate=values.rate,
        moves_at=moves,
        share=values.share,
    )
    if tz is not None:
        accounts["tz"] = tz
    rows = world.add_accounts(accounts)
    campaign = Campaign(plan.name, plan.type, rows, entities, plan.note, window_h=plan.window_h)
    setup.campaigns.append(campaign)
    return campaign


def fresh_accounts(setup: Setup) -> None:
    """Add c5: accounts that sign up in three batches before the release, with five payment instruments."""
    plan = CampaignPlan("c5", "fresh", "accounts created 14 to 50 hours before the release", 250, hours=10.0)
    campaign = run_plan(setup, plan)
    rng, world, rows = setup.rng, setup.world, campaign.rows
    batch = rng.integers(0, 3, len(rows))
    created = world.release - np.array([50, 31, 14])[batch] * HOUR + rng.integers(0, HOUR, len(rows))
    world.accounts["created"][rows] = created
    world.accounts["first"][rows] = created + rng.integers(0, 12 * HOUR, len(rows))
    payments = _PAYMENTS + len(setup.campaigns) * 100 + rng.integers(0, 5, len(rows))
    world.accounts["payment"][rows] = payments
    campaign.related.extend(("payment", int(number)) for number in np.unique(payments))
    campaign.related.extend(("signup", int(hour) * HOUR) for hour in np.unique(created // HOUR))


def burst_without_shift(setup: Setup) -> None:
    """Add c6: extraction that grows tenfold for half a day and adopts the model no faster than others."""
    plan = CampaignPlan(
        "c6", "burst-no-shift", "ten times the requests for 12 hours, no switch", 300, rate=30.0
    )
    campaign = run_plan(setup, plan)
    world, rows = setup.world, campaign.rows
    accounts = world.accounts
    homes = accounts["network"][rows]
    ordinary = np.zeros(len(rows), dtype=np.bool_)
    uptake = draw_uptake(
        setup.rng,
        PACES[setup.pace],
        world.release,
        network=homes,
        networks=len(world.kind),
        cautious=ordinary,
        testers=0,
    )
    accounts["adopts"][rows], accounts["share"][rows] = uptake.adopts, uptake.share
    accounts["tries"][rows], accounts["trial"][rows] = uptake.tries, uptake.trial
    accounts["boost_from"][rows] = setup.after(20)
    accounts["boost_until"][rows] = setup.after(32)
    accounts["boost"][rows] = 10.0
    setup.campaigns[-1] = dataclasses.replace(campaign, moves=False)


def spread_over_existing(setup: Setup) -> None:
    """Add a hydra without a key: accounts in the networks of honest accounts, joined only by time."""
    plan = CampaignPlan(
        "hydra-keyless",
        "hydra-keyless",
        "900 accounts spread over the networks of honest accounts, joined only by time",
        900,
        rate=40.0,
    )
    world, sizes = setup.world, setup.world.sizes()
    size = _values(setup, plan).accounts
    home = np.sort(setup.rng.choice(len(sizes), size, p=sizes / sizes.sum()))
    _add_campaign(setup, plan, home, [], tz=world.tz[home])


class _Values(NamedTuple):
    """Values of a campaign; see `CampaignPlan`."""

    accounts: int
    rate: float
    share: float
    hours: float


def _values(setup: Setup, plan: CampaignPlan) -> _Values:
    """The values of a plan, overridden by the parameters of the simulation."""
    given = setup.parameters
    accounts = given.campaign_accounts or setup.size(plan.accounts)
    rate = plan.rate
    if plan.exchanges is not None:
        total = plan.exchanges * min(1.0, given.scale) / _SUCCESS
        rate = total / accounts / setup.span_days
    share = plan.share if given.campaign_share is None else given.campaign_share
    hours = plan.hours if given.campaign_hours is None else given.campaign_hours
    return _Values(accounts, given.campaign_rate or rate, share, hours)


C1 = CampaignPlan(
    "c1", "network", "one network moves half of its requests to the new model within a day", 300
)
C2 = CampaignPlan(
    "c2",
    "slow",
    "accounts with three requests per hour that switch over four days",
    240,
    rate=72.0,
    hours=96.0,
    window_h=(-1, 168),
)
UNHURRIED = CampaignPlan(
    "unhurried",
    "unhurried",
    "120 accounts that switch over three days, no faster than honest accounts",
    120,
    hours=72.0,
    window_h=(-1, 144),
)
C4 = CampaignPlan(
    "c4",
    "hydra",
    "60 networks with 15 accounts each, joined only by time",
    900,
    networks=60,
    kinds=(Kind.HOSTING, Kind.PROXY, Kind.PROVIDER),
    rate=50.0,
    honest=0.35,
)
PUBLIC_150K = CampaignPlan(
    "public-150k",
    "public",
    "150 thousand exchanges in two proxy networks",
    400,
    networks=2,
    exchanges=150_000,
    honest=0.3,
)
PUBLIC_3M4 = CampaignPlan(
    "public-3m4",
    "public",
    "3.4 million exchanges through proxy and hosting networks; accounts switch over two days",
    4_600,
    networks=24,
    kinds=(Kind.PROXY, Kind.HOSTING),
    exchanges=3_400_000,
    hours=48.0,
    honest=0.25,
)
PUBLIC_13M = CampaignPlan(
    "public-13m",
    "public",
    "13 million exchanges; nearly half of the requests move within a day of the release",
    19_000,
    networks=80,
    kinds=(Kind.PROXY, Kind.HOSTING, Kind.PROXY),
    exchanges=13_000_000,
    share=0.47,
    honest=0.2,
)
DEMO = CampaignPlan(
    "demo",
    "hidden",
    "1,000 accounts, with half as many honest accounts, in three proxy and hosting networks",
    1_000,
    networks=3,
    kinds=(Kind.PROXY, Kind.HOSTING),
    rate=30.0,
    hours=8.0,
    honest=0.35,
)


def hidden_in_proxy(fraction: float) -> CampaignPlan:
    """The plan of c3: the campaign has this fraction of the 400 accounts of a proxy network."""
    percent = round(100 * fraction)
    note = f"{percent} % of the accounts of a proxy network"
    return CampaignPlan(f"c3-{percent}", "hidden", note, round(400 * fraction), honest=1 - fraction)
