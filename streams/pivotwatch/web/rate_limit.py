"""A bound on failed log-ins: after it even the right token has to wait."""

from __future__ import annotations

import ipaddress

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

EACH = RateLimitItemPerMinute(10, 5)
ALL = RateLimitItemPerMinute(1_000, 5)
WAIT_SECONDS = 300


class RateLimit:
    """Counts failures of each address, and of all together, which also bounds its memory.

    Parameters
    ----------
    each, every
        How many failures an address may have, and all addresses, in how long.
    """

    def __init__(self, each: RateLimitItem = EACH, every: RateLimitItem = ALL) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._each, self._every = each, every

    async def allows(self, address: str) -> bool:
        """May somebody at this address try?"""
        return await self._limiter.test(self._every, "all") and await self._limiter.test(
            self._each, network(address)
        )

    async def failed(self, address: str) -> None:
        """Somebody tried in vain."""
        if await self._limiter.hit(self._every, "all"):
            await self._limiter.hit(self._each, network(address))


def network(address: str) -> str:
    """An IPv4 address, or the network that one IPv6 customer has.

    Examples
    --------
    >>> network("203.0.113.7"), network("2001:db8::1"), network("")
    ('203.0.113.7', '2001:db8::/64', 'unknown')
    """
    try:
        ip = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    except ValueError:
        return "unknown"
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))
