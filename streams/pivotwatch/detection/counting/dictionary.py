"""Small integers for the names that events repeat: models, networks, links.

An open bucket counts by integers, so a cell needs no object of its own. The numbers hold within one process.
What leaves the process carries the names.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sized

import numpy as np

from pivotwatch.contracts.absent import is_absent
from pivotwatch.contracts.codec import MAX_TEXT
from pivotwatch.contracts.events import network_of, read_links
from pivotwatch.detection.counting.account_table import AccountTable
from pivotwatch_models.base.arrays import Ints, Mask
from pivotwatch_models.base.counts import Group

LinkSet = tuple[tuple[str, str | None], ...]

MAX_RAW, MAX_RAW_BYTES = 16_384, 64_000_000
"""Bytes of links, as they stand in messages, that are remembered: of one event, and in all."""
MAX_REMEMBERED = 100_000
"""Number of names of a kind that are remembered between buckets. Those of open buckets always are."""


OTHER_MODEL = ""
"""Stands for the models that are not counted apart. No event can name it."""
SOME_ALIAS = " " * (MAX_TEXT + 1)
"""Stands for the aliases of a model that are not counted apart. It is too long for an event."""


class Dictionary:
    """Numbers of the models, networks and links of events, and of the groups that these stand for.

    Parameters
    ----------
    accounts
        Numbers accounts, groups and sets of groups.
    aliases
        Patterns of model names that the provider resolves: such a request is not a choice of the account.
    attributes
        Kinds of links that make no groups.

    Attributes
    ----------
    plain, choices
        Number of each model without a requested name, and of each (model, requested name).
    networks, addresses, links
        Number of each network, of the network of each address, and of links by their bytes. 0: none.
    link_size
        Size of all link sets that have a number (`size_of`).
    network_size
        Size of all names of networks that have a number (`size_of_name`).
    choice_size
        Size of all choices that have a number (`size_of_choice`).

    Examples
    --------
    >>> from pivotwatch_models.settings import Settings
    >>> dictionary = Dictionary(AccountTable(Settings(), shards=1), aliases=["*-latest"])
    >>> dictionary.choice("m-1", None), dictionary.choice("m-2", "m-latest"), dictionary.choice("m-1", None)
    (0, 1, 0)
    >>> dictionary.chosen_models()[1].tolist()
    [True, False]
    >>> dictionary.network("203.0.113.0/24"), dictionary.network(None, ip="203.0.113.7")
    (1, 1)
    """

    def __init__(
        self, accounts: AccountTable, aliases: Iterable[str], attributes: Iterable[str] = ()
    ) -> None:
        self.accounts = accounts
        self.aliases = tuple(aliases)
        self.attributes = frozenset(attributes)
        self.models: dict[str, int] = {}
        self.plain: dict[str, int] = {}
        self.choices: dict[tuple[str, str | None], int] = {}
        self.networks: dict[str, int] = {}
        self.addresses: dict[str | None, int] = {}
        self.links: dict[bytes, int] = {}
        self._link_numbers: dict[LinkSet, int] = {}
        self._raw_bytes = 0
        self.link_size = self.network_size = self.choice_size = 0
        self._places: dict[int, int] = {}
        self.choice_names: list[tuple[str, str | None]]
        self.network_names: list[str | None]
        self.link_sets: list[LinkSet]
        self._clear()

    def _clear(self) -> None:
        """Forget every number but 0. The dict objects stay, as the hot path keeps references to them."""
        tables = (self.plain, self.choices, self.networks, self._places, self.models)
        for table in (*tables, self.addresses, self.links, self._link_numbers):
            table.clear()
        self.addresses.update({None: 0, "": 0})
        self.links.update({b"": 0, b"null": 0})
        self._link_numbers[()] = 0
        self._raw_bytes = self.link_size = self.network_size = self.choice_size = 0
        self.choice_names, self.network_names, self.link_sets = [], [None], [()]

    def choice(self, model: str, requested: str | None) -> int:
        """Number of a model and the requested name."""
        number = self.choices.get((model, requested))
        if number is None:
            number = self.choices[model, requested] = len(self.choice_names)
            self.choice_names.append((model, requested))
            self.choice_size += size_of_choice(model, requested)
            if requested is None:
                self.plain[model] = number
        return number

    def network(self, name: str | None, ip: str | None = None) -> int:
        """Number of a network, by its name or, without a name, by an address."""
        if name:
            number = self.networks.get(name)
            if number is None:
                number = self.networks[name] = len(self.network_names)
                self.network_names.append(name)
                self.network_size += size_of_name(name)
            return number
        known = self.addresses.get(ip)
        if known is None:
            if len(self.addresses) >= MAX_REMEMBERED:
                self.addresses.clear()
                self.addresses.update({None: 0, "": 0})
            known = self.addresses[ip] = self.network(network_of(ip or ""))
        return known

    def kinds(self, raw: bytes) -> list[str]:
        """The kinds of links, given as bytes of a message. Raises the errors of `read_links`."""
        number = self.links.get(raw)
        return [kind for kind, _ in (read_links(raw) if number is None else self.link_sets[number])]

    def link(self, raw: bytes) -> int:
        """Number of links, given as bytes of a message whose kinds have been checked."""
        number = self.links.get(raw)
        if number is None:
            if len(self.links) >= 2 * MAX_REMEMBERED or self._raw_bytes > MAX_RAW_BYTES:
                self.links.clear()
                self.links.update({b"": 0, b"null": 0})
                self._raw_bytes = 0
            kept = (link for link in read_links(raw) if link[0] not in self.attributes)
            number = self.link_set(tuple(link for link in kept if not is_absent(link[1])))
            if len(raw) <= MAX_RAW:
                self.links[raw] = number
                self._raw_bytes += len(raw)
        return number

    def link_set(self, links: LinkSet) -> int:
        """Number of links, given as pairs of kind and id."""
        number = self._link_numbers.get(links)
        if number is None:
            number = self._link_numbers[links] = len(self.link_sets)
            self.link_sets.append(links)
            self.link_size += size_of(links)
        return number

    def model(self, name: str) -> int:
        """Number of a model."""
        return self.models.setdefault(name, len(self.models))

    def chosen_models(self) -> tuple[Ints, Mask]:
        """For each choice the number of its model, and whether it was the account's own, shape (choices,)."""
        model = np.array([self.model(name) for name, _ in self.choice_names], dtype=np.int64)
        own = np.array([not self.is_alias(requested) for _, requested in self.choice_names], dtype=bool)
        return model, own

    def sets(self, places: Ints) -> Ints:
        """Number of the set of groups for each place, given as network << 32 | links."""
        numbers, known = places.tolist(), self._places
        return np.array([known[n] if n in known else self._set(n) for n in numbers], dtype=np.int64)

    def forget_sets(self) -> None:
        """Forget the numbers of sets, after `AccountTable.tidy` has changed them."""
        self._places.clear()

    def _set(self, place: int) -> int:
        groups = groups_of(self.network_names[place >> 32], self.link_sets[place & 0xFFFFFFFF])
        numbers = sorted({self.accounts.group_id(group) for group in groups})
        self._places[place] = self.accounts.set_id(tuple(numbers))
        return self._places[place]

    def is_alias(self, requested: str | None) -> bool:
        """Whether the provider resolved the requested name: the account did not choose the model."""
        if requested == SOME_ALIAS:
            return True
        return requested is not None and any(fnmatch.fnmatchcase(requested, p) for p in self.aliases)

    @property
    def crowded(self) -> bool:
        """Whether there are more names than are remembered."""
        tables: tuple[Sized, ...] = (self.choice_names, self.network_names, self.link_sets, self._places)
        return max(map(len, tables)) > MAX_REMEMBERED

    def forget(self, choices: Ints, networks: Ints, links: Ints) -> tuple[Ints, Ints, Ints]:
        """Forget all names but those with the given numbers.

        Returns
        -------
        choices, networks, links
            The new number at the place of each old one; -1: forgotten.
        """
        kept_choices = [self.choice_names[i] for i in choices.tolist()]
        kept_networks = [self.network_names[i] for i in networks.tolist()]
        kept_links = [self.link_sets[i] for i in links.tolist()]
        tables = [np.full(len(old), -1) for old in (self.choice_names, self.network_names, self.link_sets)]
        self._clear()
        tables[0][choices] = [self.choice(*kept) for kept in kept_choices]
        tables[1][networks] = [self.network(kept) for kept in kept_networks]
        tables[2][links] = [self.link_set(kept) for kept in kept_links]
        return tables[0], tables[1], tables[2]


def size_of(links: LinkSet) -> int:
    """Size of links: their characters, and 100 for each value."""
    return sum(100 + len(kind) + len(name or "") for kind, name in links)


def size_of_name(name: str) -> int:
    """Size of a name: its characters, and 100."""
    return 100 + len(name)


def size_of_choice(model: str, requested: str | None) -> int:
    """Size of a choice: its characters, and 100."""
    return 100 + len(model) + len(requested or "")


def groups_of(network: str | None, links: Iterable[tuple[str, str | None]]) -> Iterator[Group]:
    """The groups of an event: its network and its links.

    Examples
    --------
    >>> list(groups_of("AS1", (("payment", "p7"), ("device", ""))))
    [('network', 'AS1'), ('payment', 'p7')]
    """
    if network:
        yield ("network", network)
    for kind, name in links:
        if name:
            yield (kind, name)
