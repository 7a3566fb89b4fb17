r"""The agreed time of a partition: the event time that several accounts in several networks agree on.

No single record, account or network can move it or hold it. Each account counts once, with its latest event.
The agreed time is the smaller of two medians: over the accounts that sent events most recently, and over
their networks. An account counts for the network of its latest event alone, so nobody becomes many networks.
A source with a wrong clock moves the time only when it is the majority of both. Every decision is made in
offset order, so it does not depend on chunks.

Of :math:`N` accounts in the last closed bucket, :math:`N / 16` are asked, but at least 30 and at most 1024.
A thin partition, with :math:`N < 120`, asks :math:`N / 4`, but at least three. So the median lags by seconds
in a busy partition and by minutes in a thin one, and one source in ten cannot be the majority by chance.
From one bucket to the next :math:`N` at most doubles and at least halves.

Some sources send in batches: for a moment they are everyone who sent recently. So a *leap*, which closes more
than one bucket, needs the agreement of all :math:`N`, again at most 1024. A batch moves the time by a leap
only when its accounts are half of those that were active in the last bucket. An account that sent nothing
while others sent as many events as a bucket has is not asked: it may have gone home.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from pivotwatch_models.base.arrays import Ints
from pivotwatch_models.method import STATE

_TIME = STATE.event_time


class Quorum(NamedTuple):
    """How many must agree on the time.

    Attributes
    ----------
    least, most
        Least and largest number of accounts whose median is taken. A thin partition may have fewer than
        ``least``.
    diverse
        With this number of accounts, no single one has the majority. No fewer let the first bucket close, and
        fewer are asked later only when nobody else sent events for a long time.
    settled, settled_large
        A stream begins after this number of events, or with ``least`` accounts in ``diverse`` networks. The
        second number holds when no more can be held.
    """

    least: int
    most: int
    diverse: int
    settled: int
    settled_large: int = 1


SKEW_MS = 15 * 60_000
"""A clock that is ahead by less is not reported."""
QUORUM = Quorum(_TIME.least, _TIME.most, _TIME.diverse, _TIME.settled, _TIME.settled_large)


class Recent:
    """The latest events of the accounts that sent events most recently.

    Parameters
    ----------
    most
        Number of accounts that are remembered.

    Attributes
    ----------
    keys, times, places, networks
        Number of each account, time of its latest event in epoch milliseconds, place of that event in the
        stream, and number of its network; in the order of the places.

    Examples
    --------
    >>> recent = Recent()
    >>> recent.add(np.array([7, 8, 7]), np.array([1, 1, 2]), np.array([10, 20, 30]), start=0)
    >>> recent.keys.tolist(), recent.times.tolist(), recent.networks.tolist()
    ([8, 7], [20, 30], [1, 2])
    """

    __slots__ = ("keys", "most", "networks", "places", "times")

    def __init__(self, most: int = _TIME.most) -> None:
        self.most = most
        self.keys = self.times = self.places = self.networks = np.empty(0, dtype=np.int64)

    def add(self, keys: Ints, networks: Ints, times: Ints, start: int) -> None:
        """Add events in offset order; ``start`` is the place of the first one."""
        places = np.arange(start, start + len(keys))
        keys = np.concatenate([self.keys, keys])
        _, from_end = np.unique(keys[::-1], return_index=True)
        last = np.sort(len(keys) - 1 - from_end)[-self.most :]
        self.keys = keys[last]
        self.times = np.concatenate([self.times, times])[last]
        self.places = np.concatenate([self.places, places])[last]
        self.networks = np.concatenate([self.networks, networks])[last]

    def latest(self, asked: int, since: int = 0) -> tuple[Ints, Ints]:
        """The latest times of accounts, and of their networks, in epoch milliseconds; both sorted.

        Parameters
        ----------
        asked
            Number of the most recent accounts.
        since
            Leave out those whose last event has a place before this one.
        """
        chosen = self.places[-asked:] >= since
        times, networks = self.times[-asked:][chosen], self.networks[-asked:][chosen]
        return np.sort(times), np.sort(self._by_network(networks, times)[1])

    def of_networks(self) -> tuple[Ints, Ints]:
        """The networks of the accounts, and the latest time of each."""
        return self._by_network(self.networks, self.times)

    @staticmethod
    def _by_network(networks: Ints, times: Ints) -> tuple[Ints, Ints]:
        names, from_end = np.unique(networks[::-1], return_index=True)
        return names, times[len(times) - 1 - from_end]

    def leave_out(self, keys: Ints) -> None:
        """Forget accounts."""
        kept = ~np.isin(self.keys, keys)
        self.keys, self.times = self.keys[kept], self.times[kept]
        self.places, self.networks = self.places[kept], self.networks[kept]

    def snapshot(self, account: Callable[[int], Any], network: Callable[[int], Any]) -> list[list[Any]]:
        """State, JSON-able; ``account`` and ``network`` return the name of a number."""
        keys = [account(key) for key in self.keys.tolist()]
        return [keys, self.times.tolist(), self.places.tolist(), [network(n) for n in self.networks.tolist()]]

    def restore(
        self,
        state: Sequence[Sequence[Any]],
        account: Callable[[Any], int],
        network: Callable[[Any], int],
    ) -> None:
        """Continue exactly where `snapshot` was taken."""
        keys, times, places, networks = state
        self.keys = np.array([account(key) for key in keys], dtype=np.int64)
        self.times, self.places = np.array(times, dtype=np.int64), np.array(places, dtype=np.int64)
        self.networks = np.array([network(name) for name in networks], dtype=np.int64)


class AgreedTime:
    """The event time that the accounts and networks of a partition agree on.

    Parameters
    ----------
    quorum
        How many must agree.

    Attributes
    ----------
    accounts
        The accounts that sent events most recently.
    events
        Number of events that were added.

    Examples
    --------
    Two accounts outvote a third one, whose clock is a day ahead:

    >>> time = AgreedTime()
    >>> time.add(np.array([1, 2, 3]), np.array([1, 2, 3]), np.array([1000, 87_401_000, 2000]))
    >>> time.now()
    2000
    """

    def __init__(self, quorum: Quorum = QUORUM) -> None:
        self.quorum = quorum
        self.accounts = Recent(quorum.most)
        self.events = 0
        self._typical = self._active = 0

    def add(self, accounts: Ints, networks: Ints, times: Ints) -> None:
        """Add events in offset order: numbers of accounts and networks, and times in epoch milliseconds."""
        self.accounts.add(accounts, networks, times, self.events)
        self.events += len(times)

    def close(self, events: int, accounts: int) -> None:
        """Note how many events and accounts a closed bucket had. They set how many are asked."""
        self._typical = _moderate(events, self._typical)
        self._active = _moderate(accounts, self._active)

    @property
    def ask_after(self) -> int:
        """After so many events behind the end of a bucket the time is due to be computed.

        The last closed bucket alone decides: what is remembered depends on when the buffer was emptied.
        """
        return max(1, self._asked_of(self._active) // _TIME.asked_every)

    @property
    def active(self) -> int:
        """Number of accounts that are active in a bucket."""
        return self._active or len(self.accounts.keys)

    @property
    def asked(self) -> int:
        """Number of accounts whose median is taken."""
        return self._asked_of(self.active)

    def _asked_of(self, active: int) -> int:
        quorum = self.quorum
        thin = max(quorum.diverse, min(quorum.least, active // _TIME.thin_part))
        return min(quorum.most, max(thin, active // _TIME.part))

    def now(self) -> int | None:
        """The agreed time in epoch milliseconds; None before the first event."""
        return self._agreed(self.asked)

    def leap(self) -> int | None:
        """The time that everyone who was active in the last bucket agrees on; None before the first event."""
        return self._agreed(max(self.asked, min(self.quorum.most, self.active)))

    def _agreed(self, asked: int) -> int | None:
        # Before the first bucket has closed, everyone is asked who was ever seen.
        patience = max(_TIME.patience_events, self._typical or self.events)
        accounts, networks = self.accounts.latest(asked, self.events - patience)
        if len(accounts) < self.quorum.diverse:
            accounts, networks = self.accounts.latest(asked, self.events - _TIME.patience_alone * patience)
        return min(_median(accounts), _median(networks)) if len(accounts) else None

    def middle(self) -> tuple[int, int] | None:
        """Median times of all accounts that are remembered, and of their networks; None without any."""
        accounts, networks = self.accounts.latest(self.quorum.most)
        return (_median(accounts), _median(networks)) if len(accounts) else None

    @property
    def is_diverse(self) -> bool:
        """Whether no single account can outvote the others."""
        return len(self.accounts.keys) >= self.quorum.diverse

    @property
    def may_begin(self) -> bool:
        """Whether enough accounts and networks are known to let the stream begin."""
        enough = len(self.accounts.keys) >= self.quorum.least
        return enough and len(self.accounts.of_networks()[0]) >= self.quorum.diverse

    def skewed_accounts(self) -> list[tuple[int, int]]:
        """Accounts whose clock seems to be ahead: number and milliseconds ahead of the other accounts."""
        return self._skewed(self.accounts.keys, self.accounts.times, self._recent()[0])

    def skewed_networks(self) -> list[tuple[int, int]]:
        """Networks whose clock seems to be ahead: number and milliseconds ahead of the other networks."""
        return self._skewed(*self.accounts.of_networks(), self._recent()[1])

    def _recent(self) -> tuple[Ints, Ints]:
        return self.accounts.latest(4 * self.asked)

    def _skewed(self, keys: Ints, times: Ints, recent: Ints) -> list[tuple[int, int]]:
        """Who is ahead of the upper quartile of the most recent ones.

        The latest events of honest accounts are ahead of the median, too, the more the rarer they send. So
        being ahead means `SKEW_MS`, and three times the distance from the median to the upper quartile.
        """
        if len(recent) < self.quorum.diverse:
            return []
        now, upper = _median(recent), int(recent[len(recent) * 3 // 4])
        found = np.flatnonzero(times > upper + max(SKEW_MS, 3 * (upper - now)))
        return list(zip(keys[found].tolist(), (times[found] - now).tolist(), strict=True))

    def forget(self, accounts: Ints) -> None:
        """Forget accounts, as other accounts will get their numbers."""
        self.accounts.leave_out(accounts)

    def snapshot(self, account: Callable[[int], Any], network: Callable[[int], Any]) -> list[Any]:
        """State, JSON-able; ``account`` and ``network`` return the name of a number."""
        return [self.events, self._typical, self._active, self.accounts.snapshot(account, network)]

    def restore(
        self, state: Sequence[Any], account: Callable[[Any], int], network: Callable[[Any], int]
    ) -> None:
        """Continue exactly where `snapshot` was taken."""
        self.events, self._typical, self._active, accounts = state
        self.accounts.restore(accounts, account, network)


def _moderate(new: int, before: int) -> int:
    """A new size, within half and double of the one before: no single bucket decides what is normal."""
    return min(max(new, before // 2), 2 * before) if before else new


def _median(times: Ints) -> int:
    """The lower median of sorted times."""
    return int(times[(len(times) - 1) // 2])
