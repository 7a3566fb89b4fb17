"""The leader epochs under which records were written, as the fetched batches say.

A partition gets a new leader epoch whenever it gets a leader. Which epoch a record was read under tells
later whether the log still holds this very record (`pivotwatch.engine.log_position`). aiokafka does not
pass the epoch on, so it is read from the head of each batch.
"""

from __future__ import annotations

import struct
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords

from pivotwatch.engine.types import TP

Epochs = tuple[tuple[int, int], ...]
"""Pairs of an offset and the leader epoch that begins there, in their order."""

HEAD = struct.Struct(">qiib")
"""Base offset, length behind it, leader epoch and format of a batch."""
LENGTH_AT = 12
FORMAT = 2
"""Earlier formats have a checksum in the place of the epoch."""
MOST = 64
"""Changes of the epoch that are kept for a partition."""


def epochs_of(data: bytes) -> Epochs:
    """The leader epochs of consecutive batches; the last batch may be cut off.

    Examples
    --------
    >>> batches = [HEAD.pack(offset, 5, epoch, FORMAT) for offset, epoch in ((0, 3), (7, 3), (9, 4))]
    >>> epochs_of(b"".join(batches))
    ((0, 3), (9, 4))
    """
    found: list[tuple[int, int]] = []
    place = 0
    while place + HEAD.size <= len(data):
        offset, length, epoch, version = HEAD.unpack_from(data, place)
        if version == FORMAT and epoch >= 0 and (not found or found[-1][1] != epoch):
            found.append((offset, epoch))
        place += LENGTH_AT + length
        if length <= 0:
            break
    return tuple(found)


class LoggedRecords(MemoryRecords):  # type: ignore[misc]  # aiokafka's records have no types
    """What one fetch returned for one partition, with its leader epochs.

    Attributes
    ----------
    epochs
        Of the batches.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.epochs = epochs_of(data)


class LeaderEpochs:
    """The leader epochs of partitions as far as they were fetched; one thread adds, any may ask.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> known, tp = LeaderEpochs(), TP("requests", 0)
    >>> known.add(tp, SimpleNamespace(epochs=((0, 3), (9, 4))))
    >>> known.between(tp, 5, 20), known.between(tp, 10, 20), known.between(TP("other", 0), 10, 20)
    (((5, 3), (9, 4)), ((10, 4),), ())
    """

    def __init__(self) -> None:
        self._epochs: dict[TP, Epochs] = {}

    def add(self, tp: TP, records: Any) -> None:
        """Take the epochs of what was fetched; what was known of these offsets is replaced."""
        found: Epochs = getattr(records, "epochs", ())
        if found:
            before = tuple(entry for entry in self._epochs.get(tp, ()) if entry[0] < found[0][0])
            if before and before[-1][1] == found[0][1]:
                found = found[1:]
            if before + found != self._epochs.get(tp):
                self._epochs[tp] = (before + found)[-MOST:]

    def between(self, tp: TP, first: int, last: int) -> Epochs:
        """The epochs of the records from one offset to another; nothing when they are not known."""
        known = self._epochs.get(tp, ())
        inside = tuple(entry for entry in known if first < entry[0] <= last)
        before = [epoch for offset, epoch in known if offset <= first]
        return ((first, before[-1]), *inside) if before else inside


def install() -> None:
    """Let aiokafka's fetchers make `LoggedRecords`, in this process."""
    fetcher.MemoryRecords = LoggedRecords


install()
