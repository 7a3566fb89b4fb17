"""Whether a browser sends a request on behalf of another site.

Browsers say so; other programs send none of these headers, and need not.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

OWN_SITE = ("same-origin", "none")


def has_foreign_site(headers: Mapping[str, str]) -> bool:
    """Whether ``Sec-Fetch-Site`` names another site.

    Examples
    --------
    >>> has_foreign_site({}), has_foreign_site({"Sec-Fetch-Site": "cross-site"})
    (False, True)
    """
    return headers.get("Sec-Fetch-Site", "none") not in OWN_SITE


def has_foreign_origin(headers: Mapping[str, str]) -> bool:
    """Whether ``Origin`` is another host or port than ``Host``; ``null`` is another, too.

    Examples
    --------
    >>> own = {"Host": "127.0.0.1:8700"}
    >>> has_foreign_origin(own), has_foreign_origin(own | {"Origin": "http://127.0.0.1:8700"})
    (False, False)
    >>> (
    ...     has_foreign_origin(own | {"Origin": "https://evil.example"}),
    ...     has_foreign_origin(own | {"Origin": "null"}),
    ... )
    (True, True)
    """
    origin = headers.get("Origin")
    if origin is None:
        return False
    try:
        netloc = urlsplit(origin).netloc
    except ValueError:
        return True
    return not netloc or netloc.lower() != headers.get("Host", "").lower()


def named_host(headers: Mapping[str, str]) -> str:
    """The name by which a client calls the server, without the port; empty when there is none.

    A name of another site that leads to this machine is an attempt to read or write through a browser here.

    Examples
    --------
    >>> (
    ...     named_host({"Host": "127.0.0.1:8700"}),
    ...     named_host({"Host": "[::1]:8700"}),
    ...     named_host({"Host": "[::1"}),
    ... )
    ('127.0.0.1', '::1', '')
    """
    try:
        return urlsplit(f"//{headers.get('Host', '')}").hostname or ""
    except ValueError:
        return ""
