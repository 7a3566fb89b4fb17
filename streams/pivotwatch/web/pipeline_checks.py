"""The health of the pipeline as the page shows it, from the topic ``status``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from pivotwatch.base.display import counted, day_and_time, iso_time, percent
from pivotwatch.base.outside_text import visible
from pivotwatch.config.config import Config
from pivotwatch.contracts.status import LateGroup, Status
from pivotwatch.web.read_model import ReadModel
from pivotwatch_models.durations import millis

NAMED = 3
"""Number of late groups, networks and accounts that a line names."""


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One line of the pipeline's health.

    Attributes
    ----------
    moment
        A time (ISO 8601) that the page shows as an age.
    """

    name: str
    text: str
    good: bool
    moment: str = ""


def checks(config: Config, read_model: ReadModel, now: float) -> Iterator[Check]:
    """The lines, none before the first status; ``now`` in epoch milliseconds."""
    last = read_model.last
    if last is None:
        return
    status = last.status
    due = last.written_at + 2 * status.bucket_ms + 2 * millis(config.idle_after)
    on_time, through = now < due, f"{day_and_time(last.end)} UTC"
    scored = f"scored through {through}"
    if not on_time:
        scored = f"scored only through {through}: check that events arrive and that every worker runs"
    yield Check("networks", scored, on_time, iso_time(last.written_at))
    if on_time:
        yield Check("accounts", "every partition has counted this bucket", good=True)
    yield from _of_status(status)
    if read_model.unreadable:
        yield Check("page", f"{counted(read_model.unreadable, 'record')} could not be read", good=False)


def _of_status(status: Status) -> Iterator[Check]:
    counters = (
        (status.stale_records, "record", "for buckets that were already scored", True),
        (status.dropped_models, "model", "not followed: too many new models at once", False),
        (status.forgotten_models, "model name", "forgotten: too many names", False),
        (status.dropped_links, "link", "not counted: too many groups of one account", False),
        (status.forgotten_groups, "watched group", "forgotten: too many groups", False),
        (status.idle_partitions, "partition", "without events, completed by the event time of another", True),
    )
    for count, what, text, good in counters:
        if count:
            yield Check("accounts", f"{counted(count, what)} {text}", good)
    if status.skewed_networks or status.skewed_accounts_total:
        yield Check("clocks", skewed_text(status), good=False)
    if status.late_groups:
        yield Check("late data", late_text(status.late_groups, status.late_groups_total), good=False)


def skewed_text(status: Status) -> str:
    """Whose clock is ahead, and what to do."""
    networks = [_ahead(one.network, one.ahead_ms) for one in status.skewed_networks]
    accounts = [_ahead(one.account, one.ahead_ms) for one in status.skewed_accounts]
    found = [
        f"{what} {_and_more(named[:NAMED], total)}"
        for what, named, total in (
            ("network", networks, len(networks)),
            ("account", accounts, status.skewed_accounts_total),
        )
        if named
    ]
    return f"ahead of the others: {'; '.join(found)}. Check the clocks of their gateways"


def _ahead(name: str, ms: int) -> str:
    return f"{visible(name)} ({ms // 60_000:,} min)"


def late_text(groups: Sequence[LateGroup], total: int) -> str:
    """Which groups are scored late, since when and why.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> since = datetime(2026, 2, 5, 18, tzinfo=UTC)
    >>> late_text([LateGroup(kind="network", name="AS64500", since=since, late=40, share=0.25)], 2)
    'network AS64500 (25 % of its events, since 5 Feb 18:00 UTC) and 1 more arrive after their bucket ...'
    """
    named = [
        f"{visible(one.kind)} {visible(one.name)} ({percent(one.share)} of its events, "
        f"since {day_and_time(one.since.timestamp() * 1000)} UTC)"
        for one in groups[:NAMED]
    ]
    return f"{_and_more(named, total)} arrive after their bucket has closed. They are scored when they arrive"


def _and_more(named: Sequence[str], total: int) -> str:
    more = total - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more > 0 else "")
