"""Recognises a request that is reported more than once, although the ids of the reports may differ.

The id of a response alone does not identify a request: some servers draw ids from a small range. Two spans
report the same request when they are the same span, when one is the parent of the other, or when they have
the same response id, account and trace and overlap in time. Records of other sources report the same
request when they have the same id of the call, account, time, model and numbers of tokens.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, NamedTuple, TypeVar

MAX_REQUESTS = 50_000
"""Requests that `SeenRequests` remembers at least; at most it remembers twice as many."""

Mark = TypeVar("Mark")


class Report(NamedTuple):
    """What two reports of a request are compared by: times in milliseconds, id of the call, and model."""

    started: int
    ended: int
    call: str
    model: str

    def overlaps(self, other: Report) -> bool:
        """Whether the two requests ran at the same time."""
        return self.started <= other.ended and other.started <= self.ended

    def has_other_call(self, other: Report) -> bool:
        """Whether both reports have an id of the call, and the ids differ."""
        return bool(self.call and other.call) and self.call != other.call


class Identity(NamedTuple):
    """How a request is recognised.

    Attributes
    ----------
    report
        What the request is compared by.
    same
        Keys of this very report: a record, or a span that is sent twice.
    nested
        Keys of the spans above and below that report the same request.
    shared
        Keys of reports with the same id of the call.
    own
        Keys under which later reports find this one.
    """

    report: Report
    same: tuple[Hashable, ...] = ()
    nested: tuple[Hashable, ...] = ()
    shared: tuple[Hashable, ...] = ()
    own: tuple[Hashable, ...] = ()

    def with_key(self, key: Hashable) -> Identity:
        """The identity with another key of this very report."""
        return self._replace(same=(*self.same, key), own=(*self.own, key))


def report_of(event: dict[str, Any], call: str) -> Report:
    """What an event is compared by."""
    started = event["ts"]
    return Report(started, max(event.get("ended") or started, started), call, event["model"])


def record_identity(event: dict[str, Any], call: str) -> Identity:
    """The identity of a request that a record reports."""
    report = report_of(event, call)
    if not call:
        return Identity(report)
    tokens = event.get("input_tokens"), event.get("output_tokens")
    key = ("call", call, event["account"], event["ts"], event["model"], event.get("status"), *tokens)
    return Identity(report, same=(key,), own=(key,))


def span_identity(event: dict[str, Any], call: str, span: dict[str, Any]) -> Identity:
    """The identity of a request that a span reports."""
    trace, number, parent = (_text(span, name) for name in ("traceId", "spanId", "parentSpanId"))
    report = report_of(event, call)
    if not trace or not number:
        return Identity(report)
    itself: Hashable = ("span", trace, number)
    nested: list[Hashable] = [("below", trace, number)]
    own: list[Hashable] = [itself]
    if parent:
        nested.append(("span", trace, parent))
        own.append(("below", trace, parent))
    shared: list[Hashable] = []
    if call:
        # Two spans without a parent share nothing but the name of a trace.
        response = ("response", trace, call, event["account"])
        own.append((*response, bool(parent)))
        shared = [(*response, True), *([(*response, False)] if parent else [])]
    return Identity(report, (itself,), tuple(nested), tuple(shared), tuple(own))


def are_nested_requests(inner: Report, outer: Report) -> bool:
    """Whether a span and the one above it report the same request."""
    return not (inner.has_other_call(outer) and inner.model != outer.model)


class SeenRequests(Generic[Mark]):
    """Remembers the last requests, each with a mark.

    Parameters
    ----------
    most
        Requests that are remembered at least; at most it remembers twice as many.

    Examples
    --------
    >>> seen = SeenRequests[bool]()
    >>> event = {"ts": 5, "account": "a", "model": "m-2"}
    >>> seen.add(record_identity(event, "call-1"), True)
    >>> seen.find(record_identity(event, "call-1")), seen.find(record_identity(event, "call-2"))
    (True, None)
    """

    def __init__(self, most: int = MAX_REQUESTS) -> None:
        self._most = most
        self._added = 0
        self._young: dict[int, tuple[Report, Mark]] = {}
        self._old: dict[int, tuple[Report, Mark]] = {}

    def __len__(self) -> int:
        return self._added

    def find(self, identity: Identity) -> Mark | None:
        """The mark of an earlier report of the request, or None."""
        report = identity.report
        for key in identity.same:
            known = self._get(key)
            if known is not None and not report.has_other_call(known[0]):
                return known[1]
        for key in identity.nested:
            known = self._get(key)
            if known is not None and report.overlaps(known[0]) and are_nested_requests(report, known[0]):
                return known[1]
        for key in identity.shared:
            known = self._get(key)
            if known is not None and report.overlaps(known[0]):
                return known[1]
        return None

    def add(self, identity: Identity, mark: Mark) -> None:
        """Remember a request."""
        if self._added >= self._most:
            self.rotate()
        entry = identity.report, mark
        for key in identity.own:
            self._young[hash(key)] = entry
        self._added += 1

    def rotate(self) -> None:
        """Forget the older half."""
        self._old, self._young, self._added = self._young, {}, 0

    def _get(self, key: Hashable) -> tuple[Report, Mark] | None:
        number = hash(key)
        return self._young.get(number) or self._old.get(number)


def _text(span: dict[str, Any], name: str) -> str:
    value = span.get(name)
    return value if type(value) is str else ""
