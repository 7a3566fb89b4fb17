"""The table ``[http]`` of the configuration: limits of every HTTP server of a worker."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pivotwatch.config.durations import PositiveDuration
from pivotwatch.config.tables import Table
from pivotwatch_models.durations import parse_duration


class HttpLimits(Table):
    """How many connections a server holds, and how long it waits for a client.

    Attributes
    ----------
    connections
        Connections that one server holds at once. A newcomer above it takes the place of the connection that
        has waited longest for its client; `pivotwatch.engine.http.admission` has the rule.
    connections_per_address
        The same for one address; an IPv6 /64 counts as one.
    first_byte
        From the connection to the first byte of a request, a TLS handshake included.
    header
        From the first byte of a request to the end of its header.
    body
        From the end of the header to the end of the body.
    answer
        How long a client may leave an answer unread.
    keep_alive
        How long a connection stays open between two requests. Longer than a reverse proxy keeps it (60 s in
        most), so that the proxy is the one who closes.

    Examples
    --------
    >>> limits = HttpLimits(connections=200, header="2s")
    >>> limits.connections, limits.header.total_seconds()
    (200, 2.0)
    """

    connections: Annotated[int, Field(ge=16, le=100_000)] = 1000
    connections_per_address: Annotated[int, Field(ge=4, le=100_000)] = 250
    first_byte: PositiveDuration = parse_duration("10s")
    header: PositiveDuration = parse_duration("10s")
    body: PositiveDuration = parse_duration("30s")
    answer: PositiveDuration = parse_duration("30s")
    keep_alive: PositiveDuration = parse_duration("75s")
