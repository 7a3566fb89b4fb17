"""Classes of networks from the user's own list, which says who rents out machines or addresses.

Each line holds a network and its class. The network is written as events write it (``AS64500``,
``203.0.113.0/24``) or as a range that contains it (``203.0.112.0/22``). ``#`` begins a comment::

    AS64500           hosting
    203.0.112.0/22    proxy
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from pivotwatch.base.errors import OutOfReach, WrongUse

NetworkClass = Callable[[str], str | None]
"""A function from a network to its class, or to None when the class is unknown."""
CLASSES = ("access", "business", "hosting", "proxy")
SUSPECT = frozenset({"hosting", "proxy"})
"""Classes that corroborate an alert: people at home or at work do not send from such networks."""

_AS = re.compile(r"(?i:AS)?(\d{1,10})")
Range = ipaddress.IPv4Network | ipaddress.IPv6Network


class NetworkClasses:
    """The classes of networks, by network.

    Examples
    --------
    >>> classes = NetworkClasses(["AS64500 hosting", "203.0.112.0/22 proxy  # rents out addresses"])
    >>> classes.of("AS64500"), classes.of("203.0.113.0/24"), classes.of("AS64501")
    ('hosting', 'proxy', None)
    """

    def __init__(self, lines: Iterable[str], where: str = "network classes") -> None:
        self._systems: dict[str, str] = {}
        self._ranges: dict[tuple[int, int], dict[int, str]] = {}
        for number, line in enumerate(lines, start=1):
            words = line.partition("#")[0].replace(",", " ").split()
            if not words:
                continue
            problem = self._add(words)
            if problem:
                raise WrongUse(f"{where}: line {number}: {problem}")

    def _add(self, words: list[str]) -> str:
        if len(words) != 2 or words[1].lower() not in CLASSES:
            return f"expected a network and one of the classes {', '.join(CLASSES)}"
        name, kind = words[0], words[1].lower()
        system = _AS.fullmatch(name)
        if system:
            self._systems[f"AS{int(system[1])}"] = kind
            return ""
        try:
            network = ipaddress.ip_network(name)
        except ValueError as error:
            return str(error)
        ranges = self._ranges.setdefault((network.version, network.prefixlen), {})
        ranges[int(network.network_address)] = kind
        return ""

    def of(self, name: str) -> str | None:
        """The class of a network. When several ranges contain it, the narrowest range decides."""
        if name in self._systems:
            return self._systems[name]
        try:
            network: Range = ipaddress.ip_network(name)
        except ValueError:
            return None
        address, bits = int(network.network_address), network.max_prefixlen
        for length in range(network.prefixlen, -1, -1):
            ranges = self._ranges.get((network.version, length))
            if ranges:
                found = ranges.get(address >> (bits - length) << (bits - length))
                if found:
                    return found
        return None

    @classmethod
    def load(cls, path: Path) -> NetworkClasses:
        """Read a list from a file.

        Raises
        ------
        OutOfReach
            When the file cannot be read.
        WrongUse
            When a line is wrong; the message names the line.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise OutOfReach(f"network_classes: {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise WrongUse(f"network_classes: {path}: not a text file") from None
        return cls(lines, str(path))


def class_of(path: Path | None) -> NetworkClass:
    """The look-up function of a list. Without a list every class is unknown."""
    return NetworkClasses.load(path).of if path else lambda _: None
