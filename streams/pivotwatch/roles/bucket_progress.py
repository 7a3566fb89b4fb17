"""The event time that the partitions of ``requests`` have reached, read from their bucket records."""

from __future__ import annotations

from pivotwatch.config.config import Config
from pivotwatch.contracts.bucket_record import VERSION, decode
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import InputRecord
from pivotwatch.engine.topic_follower import TopicFollower
from pivotwatch.engine.types import TP

RECENT = 4
"""Number of the latest records per partition that are read at the start."""


class BucketProgress:
    """Follows ``buckets`` to find the last bucket that any partition has closed by its own event time.

    An idle partition may complete its buckets up to this one. The clock of a worker decides nothing.

    Parameters
    ----------
    partitions
        Number of partitions of ``requests``.
    width
        Length of a bucket in milliseconds.

    Attributes
    ----------
    closed
        The last bucket that any partition has closed by its own event time; None before one is known.

    Examples
    --------
    >>> from pivotwatch.contracts.bucket_content import Body
    >>> from pivotwatch.contracts.bucket_record import encode
    >>> from pivotwatch.contracts.records import Line
    >>> progress = BucketProgress(partitions=2, width=3_600_000)
    >>> for bucket, idle in ((7, False), (9, True)):
    ...     (output,) = encode(0, bucket, bucket, Body(), width=3_600_000, idle=idle)
    ...     progress.take(Line(output.value))
    >>> progress.closed
    7
    """

    def __init__(self, partitions: int, width: int) -> None:
        self.partitions, self.width = partitions, width
        self.closed: int | None = None

    def take(self, record: InputRecord) -> None:
        """Take a record of ``buckets``. Foreign records and those of other settings are skipped."""
        try:
            header, _ = decode(record.value)
        except BadEvent:
            return
        ours = header.v <= VERSION and header.p < self.partitions and header.width == self.width
        if ours and not header.idle and not header.final:
            self.closed = header.b if self.closed is None else max(self.closed, header.b)

    def follower(self, config: Config, tp: TP, end: int) -> TopicFollower:
        """Create a follower that passes records to `take`, beginning shortly before an end of the topic."""

        async def take(tp: TP, record: InputRecord) -> None:
            self.take(record)

        return TopicFollower(config, [tp], take, {tp: max(0, end - RECENT * self.partitions)})
