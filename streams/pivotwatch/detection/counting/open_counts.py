"""The counts of the buckets that are open, and late counts of buckets that are closed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pivotwatch.detection.counting.aggregates import Cells, Run
from pivotwatch_models.base.arrays import Ints

NONE = np.empty(0, np.int64)


class OpenCounts:
    """Cells by bucket.

    Parameters
    ----------
    width
        Length of a bucket in milliseconds.

    Attributes
    ----------
    recent
        Counts since the last `take_recent`.
    saved
        Counts before that, which a snapshot holds already.

    Examples
    --------
    >>> counts = OpenCounts(width=1000)
    >>> counts.add(np.array([[2500, 0, 0, 0, 0, -1, 10, 20, 0], [7000, 1, 0, 0, 0, -1, 10, 20, 0]]))
    >>> counts.before(7), counts.last(), counts.requests()
    ([2], 7, 2)
    >>> counts.pop(2).requests, counts.accounts().tolist()
    (1, [1])
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self.recent: dict[int, Cells] = {}
        self.saved: dict[int, Cells] = {}

    def add(self, rows: Ints) -> None:
        """Count events, one row each, as `EVENT` packs them."""
        bucket = rows[:, 0] // self._width
        for number in np.unique(bucket).tolist():
            self.recent.setdefault(number, Cells()).add(rows[bucket == number])

    def before(self, bucket: int) -> list[int]:
        """The buckets before ``bucket`` that have counts, in order."""
        return sorted(number for number in {*self.saved, *self.recent} if number < bucket)

    def last(self) -> int | None:
        """The last bucket that has counts; None without any."""
        return max({*self.saved, *self.recent}, default=None)

    def pop(self, bucket: int) -> Cells:
        """Give out the counts of a bucket."""
        cells = self.saved.pop(bucket, Cells())
        cells.take_over(self.recent.pop(bucket, Cells()))
        return cells

    def requests(self) -> int:
        """Number of events that are counted."""
        return sum(cells.requests for cells in self._cells())

    def accounts(self) -> Ints:
        """Rows of the accounts that have counts, each once."""
        return self.used("account")

    def used(self, kind: str, more: Ints = NONE) -> Ints:
        """The numbers of a kind (account, choice, network or links) that have counts, and ``more``."""
        runs = [run for cells in self._cells() for run in cells.runs]
        return np.unique(np.concatenate([*(getattr(run, kind) for run in runs), more]))

    def renumber(self, choices: Ints, networks: Ints, links: Ints) -> None:
        """Change numbers: each array has the new number at the place of the old one."""

        def renumbered(run: Run) -> Run:
            return run._replace(
                who=run.account << 32 | choices[run.choice],
                place=networks[run.network] << 32 | links[run.links],
            )

        for cells in self._cells():
            cells.renumber(renumbered)

    def replace_links(self, links: Ints) -> None:
        """Replace links by others, several by one perhaps: the new number at the place of each old one."""

        def replaced(run: Run) -> Run:
            _, _, *counts = run
            return Run.of([run.who, run.network << 32 | links[run.links], *counts])

        for cells in self._cells():
            cells.renumber(replaced)

    def replace_choices(self, choices: Ints) -> None:
        """Replace choices by others, as `replace_links` does."""

        def replaced(run: Run) -> Run:
            _, *rest = run
            return Run.of([run.account << 32 | choices[run.choice], *rest])

        for cells in self._cells():
            cells.renumber(replaced)

    def replace_networks(self, networks: Ints) -> None:
        """Replace networks by others, as `replace_links` does."""

        def replaced(run: Run) -> Run:
            _, _, *counts = run
            return Run.of([run.who, networks[run.network] << 32 | run.links, *counts])

        for cells in self._cells():
            cells.renumber(replaced)

    def pairs(self, kind: str = "links") -> Ints:
        """The accounts and links (or others) that occur together, each pair once: account << 32 | links."""
        runs = [run for cells in self._cells() for run in cells.runs]
        return np.unique(np.concatenate([NONE, *(run.account << 32 | getattr(run, kind) for run in runs)]))

    def take_recent(self) -> dict[int, Cells]:
        """Give out the counts since the last call. They become part of ``saved``."""
        taken, self.recent = self.recent, {}
        for bucket, cells in taken.items():
            self.saved.setdefault(bucket, Cells()).merge(cells)
        return taken

    def add_saved(self, bucket: int, run: Run) -> None:
        """Put back counts that a snapshot held."""
        self.saved.setdefault(bucket, Cells()).append(run)

    def _cells(self) -> Iterator[Cells]:
        yield from self.saved.values()
        yield from self.recent.values()
