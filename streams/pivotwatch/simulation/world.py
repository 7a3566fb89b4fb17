"""Networks and accounts: tables with one row each.

A scenario changes rows of the honest population of `make_world`, or adds rows. The row of an account
determines its behaviour. A campaign is a set of rows with other values, and does not change the events of
other accounts.
"""

from __future__ import annotations

import dataclasses
import enum

import numpy as np
import numpy.typing as npt

from pivotwatch.simulation.adoption import NEVER, PACES, draw_uptake
from pivotwatch.simulation.catalogue import OLD_SHARES
from pivotwatch.simulation.rhythm import DAY, HOUR, Rhythm

Rows = npt.NDArray[np.int64]
Table = npt.NDArray[np.void]

ACCOUNT = np.dtype(
    [
        ("network", "i8"),  # home network
        ("roams", "i8", (3,)),  # other networks
        ("away", "f4"),  # probability of an hour in another network
        ("rate", "f4"),  # requests per day
        ("rhythm", "i8"),
        ("tz", "i8"),  # hours ahead of UTC
        ("shape", "f4"),  # shape of the gamma distribution of hourly activity; large is even
        ("width", "f4"),  # length of a session, as a share of the hour
        ("even", "?"),  # requests at even distances
        ("primary", "i8"),  # preferred old model
        ("primary_share", "f4"),  # share of its requests to old models that goes there
        ("alias", "f4"),  # probability of requesting the alias
        ("adopts", "i8"),
        ("share", "f4"),  # share of the new model, after adoption
        ("second", "i8"),  # from when half of its requests to the new model go to the one released beside it
        ("tries", "i8"),
        ("trial", "f4"),  # share of the new model, while trying
        ("input", "f4"),  # mean of ln(tokens)
        ("input_sd", "f4"),
        ("output", "f4"),
        ("output_sd", "f4"),
        ("tools", "f4"),  # mean number of tool calls
        ("created", "i8"),
        ("first", "i8"),  # no request before this time
        ("last", "i8"),  # no request from this time on
        ("boost_from", "i8"),
        ("boost_until", "i8"),
        ("boost", "f4"),  # factor on the rate in that time
        ("payment", "i8"),  # number of the payment instrument; -1 means unknown
        ("client", "i8"),  # number of the client that its events name; -1 means none
        ("campaign", "i8"),  # number of the campaign; -1 means honest
    ]
)


class Kind(enum.IntEnum):
    """Kinds of networks."""

    PROVIDER = 0
    COMPANY = 1
    HOSTING = 2
    PROXY = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Delay:
    """A network whose events from ``since`` to ``until`` are delivered ``least`` to ``most`` ms late."""

    network: int
    least: int
    most: int
    since: int
    until: int


@dataclasses.dataclass(slots=True)
class World:
    """The networks and accounts of a simulation.

    Attributes
    ----------
    kind, tz
        Kind and time zone of each network.
    accounts
        Table of `ACCOUNT` rows.
    honest
        Number of rows of `make_world`, which come first.
    begin, release, end
        Epoch milliseconds.
    delays
        Networks whose events are delivered late.
    """

    kind: Rows
    tz: Rows
    accounts: Table
    honest: int
    begin: int
    release: int
    end: int
    delays: list[Delay] = dataclasses.field(default_factory=list)

    def home(self, network: int) -> Rows:
        """The rows of the accounts whose home is a network."""
        return np.flatnonzero(self.accounts["network"] == network)

    def sizes(self) -> Rows:
        """The number of accounts whose home is each network."""
        return np.bincount(self.accounts["network"], minlength=len(self.kind))

    def add_networks(self, kinds: list[Kind], tz: list[int]) -> list[int]:
        """Add networks; returns their numbers."""
        first = len(self.kind)
        self.kind = np.concatenate([self.kind, np.array(kinds, dtype=np.int64)])
        self.tz = np.concatenate([self.tz, np.array(tz, dtype=np.int64)])
        return list(range(first, first + len(kinds)))

    def add_accounts(self, rows: Table) -> Rows:
        """Add accounts; returns their row numbers."""
        first = len(self.accounts)
        self.accounts = np.concatenate([self.accounts, rows])
        return np.arange(first, first + len(rows))

    def relocate(self, rng: np.random.Generator, network: int, count: int) -> Rows:
        """Make a network the home of ``count`` honest accounts of provider networks."""
        homes = self.accounts["network"][: self.honest]
        free = np.flatnonzero(self.kind[homes] == Kind.PROVIDER)
        rows = rng.choice(free, min(count, len(free) // 2), replace=False)
        self.accounts["network"][rows] = network
        return np.sort(rows)


_TZ = np.array([-8, -5, -3, 0, 1, 2, 5, 8, 9])
_TZ_SHARES = np.array([0.14, 0.2, 0.05, 0.08, 0.19, 0.08, 0.1, 0.1, 0.06])
_KIND_SHARES = np.array([0.18, 0.52, 0.18, 0.12])
# A network of a provider is far larger than one of a company.
_KIND_WEIGHT = np.array([9.0, 1.0, 1.4, 1.6])
# Rows: kinds of networks. Columns: interactive, office, evening, automated.
_RHYTHM_SHARES = np.array(
    [[0.42, 0.08, 0.42, 0.08], [0.12, 0.8, 0.02, 0.06], [0.3, 0.1, 0.1, 0.5], [0.45, 0.05, 0.4, 0.1]]
)


def make_world(
    rng: np.random.Generator,
    *,
    accounts: int,
    networks: int,
    pace: str,
    begin: int,
    release: int,
    end: int,
    mean_rate: float,
) -> World:
    """Draw the honest population.

    Parameters
    ----------
    pace
        A key of `adoption.PACES`.
    mean_rate
        Mean requests per account and day.
    """
    kind = np.sort(rng.choice(4, networks, p=_KIND_SHARES))
    kind[:1] = Kind.PROVIDER
    tz = rng.choice(_TZ, networks, p=_TZ_SHARES)
    weight = (rng.pareto(1.2, networks) + 0.15) * _KIND_WEIGHT[kind]
    weight = np.minimum(weight / weight.sum(), 0.12)
    home = rng.choice(networks, accounts, p=weight / weight.sum())
    rows = draw_accounts(rng, home, kind, tz, begin=begin, end=end, mean_rate=mean_rate)

    cautious = rows["rhythm"] == Rhythm.AUTOMATED
    testers = max(1, accounts // 500)
    uptake = draw_uptake(
        rng, PACES[pace], release, network=home, networks=networks, cautious=cautious, testers=testers
    )
    rows["adopts"], rows["share"] = uptake.adopts, uptake.share
    rows["tries"], rows["trial"] = uptake.tries, uptake.trial
    # Accounts that sign up after the release often start with the new model.
    late = (rows["first"] >= release) & (rng.random(accounts) < 0.35)
    rows["adopts"] = np.where(late, rows["first"], rows["adopts"])
    return World(kind, tz, rows, accounts, begin, release, end)


def draw_accounts(
    rng: np.random.Generator, home: Rows, kind: Rows, tz: Rows, *, begin: int, end: int, mean_rate: float
) -> Table:
    """Draw accounts with the given home networks that do not use the new model."""
    size = len(home)
    rows = np.zeros(size, dtype=ACCOUNT)
    home_kind = kind[home]
    rows["network"] = home
    rows["roams"] = rng.integers(0, len(kind), (size, 3))
    rows["away"] = np.where(rng.random(size) < 0.08, 0.3, 0.0)
    # Log-normal with mean `mean_rate`, at most a hundred times the mean.
    spread = 1.35
    rate = rng.lognormal(np.log(mean_rate) - spread**2 / 2, spread, size)
    rows["rate"] = np.minimum(rate, 100 * mean_rate)
    shares = np.cumsum(_RHYTHM_SHARES, axis=1)[home_kind]
    rows["rhythm"] = (rng.random((size, 1)) > shares[:, :3]).sum(axis=1)
    # Accounts of any time zone may use hosting or a proxy.
    far = (home_kind >= Kind.HOSTING) & (rng.random(size) < 0.7)
    rows["tz"] = np.where(far, rng.choice(_TZ, size, p=_TZ_SHARES), tz[home]) + rng.integers(-1, 2, size)
    automated = rows["rhythm"] == Rhythm.AUTOMATED
    rows["shape"] = np.where(automated, 2.5, 0.3)
    rows["width"] = np.where(automated, 1.0, rng.uniform(0.1, 0.6, size))
    rows["even"] = automated & (rng.random(size) < 0.3)
    rows["primary"] = rng.choice(len(OLD_SHARES), size, p=OLD_SHARES)
    rows["primary_share"] = rng.beta(6.0, 1.2, size)
    rows["alias"] = np.where(rng.random(size) < 0.3, 0.9, 0.0)
    rows["adopts"] = rows["tries"] = rows["second"] = NEVER
    rows["input"] = rng.normal(6.6, 1.0, size)
    rows["input_sd"] = rng.uniform(0.5, 1.3, size)
    rows["output"] = rng.normal(5.7, 0.8, size)
    rows["output_sd"] = rng.uniform(0.4, 1.1, size)
    rows["tools"] = np.where(rng.random(size) < 0.35, rng.exponential(1.5, size), 0.0)
    # 6 % of the accounts sign up during the stream, the others in the two years before.
    new = rng.random(size) < 0.06
    joined = begin + (rng.random(size) * (end - begin)).astype(np.int64)
    rows["first"] = np.where(new, joined, begin)
    age = (rng.beta(1.0, 1.6, size) * 730 * DAY).astype(np.int64)
    rows["created"] = np.where(new, joined - rng.integers(0, HOUR, size), begin - age - HOUR)
    rows["last"] = np.where(rng.random(size) < 0.04, end - (rng.random(size) * (end - begin)), end)
    rows["boost"] = 1.0
    # A company has one payment instrument. A third of the other accounts have a known one.
    own = np.where(rng.random(size) < 0.33, rng.integers(1_000_000, 2**31, size), -1)
    rows["payment"] = np.where(home_kind == Kind.COMPANY, home, own)
    rows["client"] = rows["campaign"] = -1
    return rows
