"""The limit of open files of this process. A worker at the limit cannot accept, connect or open anything."""

from __future__ import annotations

import contextlib
import resource

WANTED = 65_536
KEPT = 256
"""Number of files that a worker needs for itself: Kafka, logs, state."""


def raise_limit(wanted: int = WANTED) -> int:
    """Raise the limit of open files to ``wanted``, or as far as this process may; return the limit.

    Examples
    --------
    >>> raise_limit(16) >= 16
    True
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= target:
        return limit()
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    return limit()


def limit() -> int:
    """Number of files that this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED if soft == resource.RLIM_INFINITY else soft


def room_for_connections(servers: int = 2) -> int:
    """Number of connections that one server of this process may hold.

    Parameters
    ----------
    servers
        Number of servers that share the limit. A worker has at most two: one for posts and one for pages.
    """
    return max(0, limit() - KEPT) // servers
