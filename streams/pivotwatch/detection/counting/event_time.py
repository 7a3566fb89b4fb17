r"""The agreed time of a partition: the event time that several accounts in several networks agree on.

No single record, account or network can move it. Each account counts once, with its latest event, and so
does each network. The agreed time is the smaller of two medians: over the accounts that sent events most
recently, and over the networks that did. A source with a wrong clock moves it only when it is the majority of
both. Every decision is made in offset order, so it does not depend on chunks.

Of :math:`N` accounts in the last closed bucket, :math:`N / 16` are asked, but at least 30 and at most 1024.
A thin partition, with :math:`N < 120`, asks :math:`N / 4`, but at least three. The same rule holds for
networks. So the median lags by seconds in a busy partition and by minutes in a thin one, and one source in
ten cannot be the majority by chance.

Some sources send in batches: for a moment they are everyone who sent recently. So a *leap*, which closes more
than one bucket, needs the agreement of all :math:`N`, again at most 1024. A batch moves the time by a leap
only when its accounts are half of those that were active in the last bucket.
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
        Least and largest number of accounts, and of networks, whose median is taken. A thin partition may
        have fewer than ``least``.
    diverse
        With this number of accounts and networks, no single one has the majority. No fewer let the first
        bucket close, and fewer are asked later only when nobody else sent events for a long time.
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
    """The latest event times of the accounts, or networks, that sent events most recently.

    Parameters
    ----------
    most
        Number of accounts or networks that are remembered.

    Attributes
    ----------
    keys, times, places
        Number of each account or network, its latest event time in epoch milliseconds, and the place of its
        last event in the stream; in the order of the places.

    Examples
    --------
    >>> recent = Recent()
    >>> recent.add(np.array([7, 8, 7]), np.array([10, 20, 30]), start=0)
    >>> recent.keys.tolist(), recent.times.tolist(), recent.latest(3).tolist()
    ([8, 7], [20, 30], [20, 30])
    """

    __slots__ = ("keys", "most", "places", "times")

    def __init__(self, most: int = _TIME.most) -> None:
        self.most = most
        self.keys = self.times = self.places = np.empty(0, dtype=np.int64)

    def add(self, keys: Ints, times: Ints, start: int) -> None:
        """Add events in offset order; ``start`` is the place of the first one."""
        keys = np.concatenate([self.keys, keys])
        times = np.concatenate([self.times, times])
        places = np.concatenate([self.places, np.arange(start, start + len(keys) - len(self.keys))])
        _, from_end = np.unique(keys[::-1], return_index=True)
        last = np.sort(len(keys) - 1 - from_end)[-self.most :]
        self.keys, self.times, self.places = keys[last], times[last], places[last]

    def latest(self, asked: int, since: int = 0) -> Ints:
        """The latest times of those who sent events most recently, sorted, in epoch milliseconds.

        Parameters
        ----------
        asked
            Number of the most recent accounts or networks.
        since
            Leave out those whose last event has a place before this one.
        """
        return np.sort(self.times[-asked:][self.places[-asked:] >= since])

    def leave_out(self, keys: Ints) -> None:
        """Forget accounts or networks."""
        kept = ~np.isin(self.keys, keys)
        self.keys, self.times, self.places = self.keys[kept], self.times[kept], self.places[kept]

    def snapshot(self, name: Callable[[int], Any]) -> list[list[Any]]:
        """State, JSON-able; ``name`` returns the name of a number."""
        keys = [name(key) for key in self.keys.tolist()]
        return [keys, self.times.tolist(), self.places.tolist()]

    def restore(self, state: Sequence[Sequence[Any]], number: Callable[[Any], int]) -> None:
        """Continue exactly where `snapshot` was taken."""
        keys, times, places = state
        self.keys = np.array([number(key) for key in keys], dtype=np.int64)
        self.times, self.places = np.array(times, dtype=np.int64), np.array(places, dtype=np.int64)


class AgreedTime:
    """The event time that the accounts and networks of a partition agree on.

    Parameters
    ----------
    quorum
        How many must agree.

    Attributes
    ----------
    accounts, networks
        The accounts and networks that sent events most recently.
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
        self.accounts, self.networks = Recent(quorum.most), Recent(quorum.most)
        self.events = 0
        self._typical = 0
        self._active = [0, 0]

    def add(self, accounts: Ints, networks: Ints, times: Ints) -> None:
        """Add events in offset order: numbers of accounts and networks, and times in epoch milliseconds."""
        self.accounts.add(accounts, times, self.events)
        self.networks.add(networks, times, self.events)
        self.events += len(times)

    def close(self, events: int, accounts: int, networks: int) -> None:
        """Note how many events, accounts and networks a closed bucket had. They set how many are asked."""
        self._typical = max(events, self._typical // 2)
        found = zip((accounts, networks), self._active, strict=True)
        self._active = [max(new, before // 2) for new, before in found]

    @property
    def asked(self) -> tuple[int, int]:
        """Number of accounts, and of networks, whose median is taken."""
        accounts, networks = (self._asked_of(active) for active in self.active)
        return accounts, networks

    @property
    def ask_after(self) -> int:
        """After so many events behind the end of a bucket the time is due to be computed.

        The last closed bucket alone decides: what is remembered depends on when the buffer was emptied.
        """
        return max(1, self._asked_of(self._active[0]) // _TIME.asked_every)

    @property
    def active(self) -> tuple[int, int]:
        """Number of accounts, and of networks, that are active in a bucket."""
        accounts, networks = self._active
        return accounts or len(self.accounts.keys), networks or len(self.networks.keys)

    def _asked_of(self, active: int) -> int:
        quorum = self.quorum
        thin = max(quorum.diverse, min(quorum.least, active // _TIME.thin_part))
        return min(quorum.most, max(thin, active // _TIME.part))

    def now(self) -> int | None:
        """The agreed time in epoch milliseconds; None before the first event."""
        return self._agreed(self.asked)

    def leap(self) -> int | None:
        """The time that everyone who was active in the last bucket agrees on; None before the first event."""
        accounts, networks = (
            max(asked, min(self.quorum.most, active))
            for asked, active in zip(self.asked, self.active, strict=True)
        )
        return self._agreed((accounts, networks))

    def _agreed(self, asked: tuple[int, int]) -> int | None:
        patience = max(_TIME.patience_events, _TIME.patience * self._typical)
        since = self.events - patience
        if len(self.accounts.latest(asked[0], since)) < self.quorum.diverse:
            since = self.events - _TIME.patience_alone * patience
        accounts, networks = self.accounts.latest(asked[0], since), self.networks.latest(asked[1], since)
        return min(_median(accounts), _median(networks)) if len(accounts) else None

    def middle(self) -> tuple[int, int] | None:
        """Median times of all accounts and all networks that are remembered; None without any."""
        if not self.events:
            return None
        return _median(np.sort(self.accounts.times)), _median(np.sort(self.networks.times))

    @property
    def is_diverse(self) -> bool:
        """Whether no single account can outvote the others."""
        return len(self.accounts.keys) >= self.quorum.diverse

    @property
    def may_begin(self) -> bool:
        """Whether enough accounts and networks are known to let the stream begin."""
        return len(self.accounts.keys) >= self.quorum.least and len(self.networks.keys) >= self.quorum.diverse

    def skewed_accounts(self) -> list[tuple[int, int]]:
        """Accounts whose clock seems to be ahead: number and milliseconds ahead of the other accounts."""
        return self._skewed(self.accounts, self.asked[0])

    def skewed_networks(self) -> list[tuple[int, int]]:
        """Networks whose clock seems to be ahead: number and milliseconds ahead of the other networks."""
        return self._skewed(self.networks, self.asked[1])

    def _skewed(self, recent: Recent, asked: int) -> list[tuple[int, int]]:
        """Who is ahead of the upper quartile of the most recent ones.

        The latest events of honest accounts are ahead of the median, too, the more the rarer they send. So
        being ahead means `SKEW_MS`, and three times the distance from the median to the upper quartile.
        """
        times = np.sort(recent.times[-4 * asked :])
        if len(times) < self.quorum.diverse:
            return []
        now, upper = _median(times), int(times[len(times) * 3 // 4])
        found = np.flatnonzero(recent.times > upper + max(SKEW_MS, 3 * (upper - now)))
        return list(zip(recent.keys[found].tolist(), (recent.times[found] - now).tolist(), strict=True))

    def forget(self, accounts: Ints) -> None:
        """Forget accounts, as other accounts will get their numbers."""
        self.accounts.leave_out(accounts)

    def snapshot(self, account: Callable[[int], Any], network: Callable[[int], Any]) -> list[Any]:
        """State, JSON-able; ``account`` and ``network`` return the name of a number."""
        counts = [self.events, self._typical, self._active]
        return [*counts, self.accounts.snapshot(account), self.networks.snapshot(network)]

    def restore(
        self, state: Sequence[Any], account: Callable[[Any], int], network: Callable[[Any], int]
    ) -> None:
        """Continue exactly where `snapshot` was taken."""
        self.events, self._typical, self._active, accounts, networks = state
        self.accounts.restore(accounts, account)
        self.networks.restore(networks, network)


def _median(times: Ints) -> int:
    """The lower median of sorted times."""
    return int(times[(len(times) - 1) // 2])
