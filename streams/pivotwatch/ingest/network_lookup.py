"""Finds the network of a request: the address of the client behind proxies, and the network of the address.

The network is the autonomous system of the address (``AS64500``) when a database in MaxMind format is
configured and contains the address, else the /24 (IPv4) or /48 (IPv6) prefix. Events never contain the
address itself.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

from pivotwatch.base.addresses import IPAddress, parse_address
from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.contracts.events import network_of

MAX_CACHED = 200_000
_ASN_FIELDS = ("autonomous_system_number", "asn")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def parse_client(text: str) -> IPAddress | None:
    """Parse an address of a log, with or without port, brackets or zone. IPv4 inside IPv6 becomes IPv4.

    Examples
    --------
    >>> parse_client("203.0.113.7:64484"), parse_client("[2001:db8::1]:443")
    (IPv4Address('203.0.113.7'), IPv6Address('2001:db8::1'))
    >>> parse_client("::ffff:203.0.113.7"), parse_client("unknown")
    (IPv4Address('203.0.113.7'), None)
    """
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    address = parse_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def client_of(ip: str | None, forwarded: str | None, trusted_hops: int) -> str | None:
    """The address of the client.

    Parameters
    ----------
    ip
        The address in the log, or a list of addresses with commas.
    forwarded
        The value of ``X-Forwarded-For``: each proxy has appended the address that it got the request from.
    trusted_hops
        Number of the user's own proxies that append to the list. The list is read from the right; the
        client or strangers wrote the entries further left.

    Examples
    --------
    >>> client_of("10.0.0.2", "198.51.100.99, 203.0.113.7", 1)
    '203.0.113.7'
    >>> client_of("10.0.0.2", "198.51.100.99, 203.0.113.7, 10.0.0.9", 2)
    '203.0.113.7'
    >>> client_of("203.0.113.7", "198.51.100.99", 0)
    '203.0.113.7'
    >>> client_of("203.0.113.7, 10.0.0.5", None, 0)
    '203.0.113.7'
    """
    listed = forwarded if forwarded and trusted_hops else ip
    if listed is None or "," not in listed:
        return listed or ip
    chain = [part.strip() for part in listed.split(",") if part.strip()]
    place = len(chain) - max(trusted_hops, 1)
    # Without a known number of proxies, a private address at the end is one of them.
    while not trusted_hops and place > 0 and not is_public(parse_client(chain[place])):
        place -= 1
    return chain[max(place, 0)] if chain else None


class NetworkLookup:
    """Finds the networks of addresses, with a cache.

    Parameters
    ----------
    database
        A database in MaxMind format with numbers of autonomous systems.
    trusted_hops
        See `client_of`.

    Examples
    --------
    >>> NetworkLookup().find("2001:db8:1:2::3", None), NetworkLookup().find("192.168.1.38", None)
    ('2001:db8:1::/48', None)
    """

    def __init__(self, database: Path | None = None, trusted_hops: int = 0) -> None:
        self._reader = _open_database(database) if database else None
        self._hops = trusted_hops
        self._cache: dict[str, str | None] = {}

    def find(self, ip: str | None, forwarded: str | None) -> str | None:
        """The network of a client, or None when its address is private or cannot be parsed."""
        client = client_of(ip, forwarded, self._hops)
        if client is None:
            return None
        cache = self._cache
        if client not in cache:
            if len(cache) >= MAX_CACHED:
                cache.clear()
            cache[client] = self._look_up(client)
        return cache[client]

    def _look_up(self, client: str) -> str | None:
        address = parse_client(client)
        if address is None or not is_public(address):
            return None
        if self._reader is not None:
            try:
                found: Any = self._reader.get(address)
            except ValueError:  # An IPv6 address and a database of IPv4.
                found = None
            if isinstance(found, dict):
                number = next((found[name] for name in _ASN_FIELDS if name in found), None)
                if isinstance(number, int | str) and str(number).removeprefix("AS").isdigit():
                    return f"AS{str(number).removeprefix('AS')}"
        return network_of(str(address))


_DOCUMENTATION = tuple(
    map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"))
)


def is_public(address: IPAddress | None) -> bool:
    """Whether an address is known and public. The documentation ranges, which examples use, count."""
    if address is None:
        return False
    return address.is_global or any(
        address in network for network in _DOCUMENTATION if network.version == address.version
    )


def _open_database(path: Path) -> Any:
    try:
        import maxminddb
    except ImportError:
        raise WrongUse("asn_database needs a package: pip install 'pivotwatch[asn]'") from None
    try:
        return maxminddb.open_database(path)
    except OSError as error:
        raise OutOfReach(f"asn_database: {path}: {error.strerror or error}") from None
    except maxminddb.InvalidDatabaseError:
        raise WrongUse(f"asn_database: {path}: not a database in MaxMind format") from None
