"""Network addresses: which reach this machine alone, and which count as one client."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_address(text: str | None) -> IPAddress | None:
    """Parse an address as a socket gives it; an IPv4 address that came over IPv6 is an IPv4 address.

    Examples
    --------
    >>> parse_address("::ffff:203.0.113.7"), parse_address("fe80::1%eth0"), parse_address("page.example")
    (IPv4Address('203.0.113.7'), IPv6Address('fe80::1'), None)
    """
    try:
        address = ipaddress.ip_address((text or "").strip("[]").split("%", maxsplit=1)[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def client_network(text: str | None) -> str:
    """The part of an address that one client has: all of IPv4, the first 64 bits of IPv6.

    Examples
    --------
    >>> client_network("203.0.113.7"), client_network("2001:db8::1"), client_network(None)
    ('203.0.113.7', '2001:db8::/64', 'unknown')
    """
    address = parse_address(text)
    if address is None:
        return "unknown"
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


def is_within(text: str | None, networks: Iterable[IPNetwork]) -> bool:
    """Whether an address lies in one of the networks.

    Examples
    --------
    >>> is_within("10.0.0.5", [ipaddress.ip_network("10.0.0.0/8")])
    True
    """
    address = parse_address(text)
    return address is not None and any(address in network for network in networks)


def is_loopback(host: str) -> bool:
    """Whether an address or name reaches this machine alone.

    Examples
    --------
    >>> (
    ...     is_loopback("127.0.0.1"),
    ...     is_loopback("localhost"),
    ...     is_loopback("0.0.0.0"),
    ...     is_loopback("page.example"),
    ... )
    (True, True, False, False)
    """
    address = parse_address(host)
    return host == "localhost" if address is None else address.is_loopback
