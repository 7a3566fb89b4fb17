"""A limit on failed logins. Above it even the right token is refused for a while."""

from __future__ import annotations

import ipaddress

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

EACH = RateLimitItemPerMinute(10, 5)
ALL = RateLimitItemPerMinute(1_000, 5)
WAIT_SECONDS = 300


class RateLimit:
    """Counts failed logins per address and of all addresses. The second limit also bounds the memory.

    Parameters
    ----------
    each, every
        Failures per time that one address, and all addresses together, may have.
    """

    def __init__(self, each: RateLimitItem = EACH, every: RateLimitItem = ALL) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._each, self._every = each, every

    async def allows(self, address: str) -> bool:
        """Whether a login from this address may be tried."""
        return await self._limiter.test(self._every, "all") and await self._limiter.test(
            self._each, network(address)
        )

    async def failed(self, address: str) -> None:
        """Count a failed login."""
        if await self._limiter.hit(self._every, "all"):
            await self._limiter.hit(self._each, network(address))


def network(address: str) -> str:
    """The IPv4 address, or the /64 of an IPv6 address, which usually belongs to one customer.

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
