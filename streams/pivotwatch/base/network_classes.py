"""Classes of networks, from a list of one's own: who rents out machines or addresses.

A line names a network as events name it (``AS64500``, ``203.0.113.0/24``) or a range that holds it
(``203.0.112.0/22``), and its class; ``#`` begins a comment::

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
"""Given a network: its class, or None when that is not known."""
CLASSES = ("access", "business", "hosting", "proxy")
SUSPECT = frozenset({"hosting", "proxy"})
"""Classes that second an alert: people at home or at work do not send from there."""

_AS = re.compile(r"(?i:AS)?(\d{1,10})")
Range = ipaddress.IPv4Network | ipaddress.IPv6Network


class NetworkClasses:
    """Looks up the class of a network.

    Examples
    --------
    >>> classes = NetworkClasses(["AS64500 hosting", "203.0.112.0/22 proxy  # a seller of addresses"])
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
            return f"expected a network and one of {', '.join(CLASSES)}"
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
        """The class of a network; of several ranges that hold it the narrowest says it."""
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
        """Read a list.

        Raises
        ------
        OutOfReach
            When it cannot be read.
        WrongUse
            With the line that is wrong.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise OutOfReach(f"network_classes: {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise WrongUse(f"network_classes: {path}: not a text file") from None
        return cls(lines, str(path))


def class_of(path: Path | None) -> NetworkClass:
    """The look-up of a list; without one no class is known."""
    return NetworkClasses.load(path).of if path else lambda _: None
