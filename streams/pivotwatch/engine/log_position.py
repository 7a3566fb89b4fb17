"""Which log was read, and how far: a topic can be created again, and its end can be lost.

An offset alone does not tell. After the topic was deleted and created again, or after a broker that had
not all records became leader, the same offset holds another record. So a position names the id of the
topic, and for each leader epoch where reading under it ended. Kafka tells for every epoch where it ends
in the log of now (KIP-320).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pivotwatch.base.errors import WrongUse
from pivotwatch.engine.fetching.leader_epochs import Epochs
from pivotwatch.engine.types import TP

UNKNOWN = ""
GONE = "gone"


class LogChanged(WrongUse):
    """The log is not the log that was read. The message says what happened and what to do."""


class TopicReplaced(LogChanged):
    """The topic was deleted and created again: nothing of what was read is there."""


class LogPosition(NamedTuple):
    """How far a partition was read, and in which log.

    Attributes
    ----------
    topic_id
        The id of the topic, in hexadecimal digits; empty when it is not known.
    read
        Pairs of a leader epoch and the offset behind the last record that was read under it, in their
        order. Of the earlier ones those that were compared with the log are left out.

    Examples
    --------
    >>> position = LogPosition("3f").advanced(((0, 7),), first=0, end=5)
    >>> position = position.advanced(((5, 7), (8, 9)), first=5, end=12)
    >>> position
    LogPosition(topic_id='3f', read=((7, 8), (9, 12)))

    A partition that is read again from an earlier offset:

    >>> position.advanced(((6, 10),), first=6, end=7)
    LogPosition(topic_id='3f', read=((7, 6), (10, 7)))
    """

    topic_id: str = UNKNOWN
    read: tuple[tuple[int, int], ...] = ()

    @property
    def end(self) -> int:
        """The offset behind the last record that was read under a known epoch."""
        return self.read[-1][1] if self.read else 0

    def advanced(self, epochs: Epochs, first: int, end: int) -> LogPosition:
        """The position after records from ``first`` to before ``end``, whose epochs begin at offsets.

        What was read from ``first`` on before is forgotten.
        """
        read = list(self.before(first).read)
        for number, (_, epoch) in enumerate(epochs):
            until = epochs[number + 1][0] if number + 1 < len(epochs) else end
            if until <= first:
                continue
            if read and read[-1][0] == epoch:
                read[-1] = (epoch, until)
            else:
                read.append((epoch, until))
        return LogPosition(self.topic_id, tuple(read))

    def before(self, offset: int) -> LogPosition:
        """The position of who has read no further than to before an offset."""
        if not self.read or self.read[-1][1] <= offset:
            return self
        starts = (0, *(end for _, end in self.read))
        kept = [
            (epoch, min(end, offset))
            for (epoch, end), start in zip(self.read, starts, strict=False)
            if start < offset
        ]
        return LogPosition(self.topic_id, tuple(kept))

    def behind(self, offset: int) -> LogPosition:
        """The position of who has read up to before an offset, under the last epoch that is known."""
        return LogPosition(self.topic_id, ((self.read[-1][0] if self.read else 0, offset),))

    def compared(self, asked: LogPosition, topic_id: str) -> LogPosition:
        """The position after ``asked`` was found to be in the log with an id."""
        done = set(asked.read[:-1])
        return LogPosition(
            self.topic_id or topic_id, tuple(entry for entry in self.read if entry not in done)
        )

    def encoded(self) -> list[Any]:
        """As it is stored."""
        return [self.topic_id, [list(entry) for entry in self.read]]


class Answer(NamedTuple):
    """What Kafka says of the logs of now; what it does not answer is left out.

    Attributes
    ----------
    ids
        Topic to its id, `GONE` when there is no such topic.
    ends
        Partition and leader epoch to where the epoch ends, or the ones before it if the log never had it.
    """

    ids: Mapping[str, str]
    ends: Mapping[tuple[TP, int], int]


def check(tp: TP, position: LogPosition, answer: Answer, remedy: str) -> None:
    """Compare a position with the log.

    Parameters
    ----------
    remedy
        What a person does when the log has changed.

    Raises
    ------
    LogChanged
        When records that were read are no longer in the log.

    Examples
    --------
    >>> tp, position = TP("requests", 3), LogPosition("aa", ((4, 800),))
    >>> check(tp, position, Answer({"requests": "aa"}, {(tp, 4): 800}), "start again")
    >>> check(tp, position, Answer({}, {}), "start again")
    >>> check(tp, position, Answer({"requests": "aa"}, {(tp, 4): 760}), "start again")
    Traceback (most recent call last):
    pivotwatch.engine.log_position.LogChanged: requests, partition 3: the broker has lost records that were \
read: offsets 760 to 799 of leader epoch 4 are gone, or other records by now. This happens when a replica \
without them becomes leader, or when a disk is lost or restored. start again
    """
    topic_id = answer.ids.get(tp.topic, UNKNOWN)
    place = f"{tp.topic}, partition {tp.partition}"
    upto = f"what was read of it, offsets before {position.end}," if position.read else "what was read of it"
    if topic_id == GONE:
        raise LogChanged(f"{place}: the topic was deleted, and {upto} is gone. {remedy}")
    if position.topic_id and topic_id and topic_id != position.topic_id:
        raise TopicReplaced(
            f"{place}: the topic was deleted and created again (its id was {position.topic_id}, it is "
            f"{topic_id} now): {upto} is gone, and other records have these offsets. {remedy}"
        )
    for epoch, read_until in position.read:
        kept_until = answer.ends.get((tp, epoch), read_until)
        if kept_until < read_until:
            raise LogChanged(
                f"{place}: the broker has lost records that were read: offsets {kept_until} to "
                f"{read_until - 1} of leader epoch {epoch} are gone, or other records by now. This happens "
                f"when a replica without them becomes leader, or when a disk is lost or restored. {remedy}"
            )
