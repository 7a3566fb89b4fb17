"""Finds spans of a message that report the request of a span above them.

A gateway or a client library wraps the call of another one, so two spans report one exchange. The innermost
span counts, because one outer span may wrap several calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAX_LEVELS = 32
Span = dict[str, Any]


def outer_requests(
    spans: Sequence[Any], requests: Sequence[int], is_border: Callable[[Any], bool]
) -> dict[int, int]:
    """For each request within another request of the message, the index of the outer one.

    Parameters
    ----------
    spans
        All spans of a message.
    requests
        Indices of the spans that are requests.
    is_border
        Whether a span separates requests: what a tool or an agent asks of a model is a request of its own.

    Examples
    --------
    >>> spans = [
    ...     {"traceId": "t", "spanId": "1", "parentSpanId": ""},
    ...     {"traceId": "t", "spanId": "2", "parentSpanId": "1"},
    ...     {"traceId": "t", "spanId": "3", "parentSpanId": "2"},
    ... ]
    >>> outer_requests(spans, [0, 2], lambda span: False), outer_requests(spans, [0, 2], lambda span: True)
    ({2: 0}, {})
    """
    index = {(span.get("traceId"), span.get("spanId")): place for place, span in _objects(spans)}
    wanted = set(requests)
    outer = {}
    for place in requests:
        above, level = place, 0
        while level < MAX_LEVELS:
            span, level = spans[above], level + 1
            trace, parent = span.get("traceId"), span.get("parentSpanId")
            is_named = type(trace) is str and type(parent) is str and parent
            found = index.get((trace, parent)) if is_named else None
            if found is None or found == place:
                break
            above = found
            if above in wanted:
                outer[place] = above
                break
            if is_border(spans[above]):
                break
    return outer


def innermost_first(requests: Sequence[int], outer: Mapping[int, int]) -> list[int]:
    """The requests, each before the request around it.

    Examples
    --------
    >>> innermost_first([0, 1, 2], {1: 0, 2: 1})
    [2, 1, 0]
    """

    def depth(place: int) -> int:
        level = 0
        while level < MAX_LEVELS and place in outer:
            place, level = outer[place], level + 1
        return level

    return sorted(requests, key=depth, reverse=True)


def _objects(spans: Sequence[Any]) -> list[tuple[int, Span]]:
    return [
        (place, span)
        for place, span in enumerate(spans)
        if type(span) is dict and type(span.get("traceId")) is str and type(span.get("spanId")) is str
    ]
