"""Medians, ranges and tables, and their places in the README."""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.bench.children import ROOT

README = Path(__file__).with_name("README.md")


@dataclasses.dataclass
class Samples:
    """The values of one measurement, per run."""

    values: list[float] = dataclasses.field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def text(self, form: Callable[[float], str]) -> str:
        """The median, and the range when there are several runs.

        Examples
        --------
        >>> Samples([3.0, 1.0, 2.0]).text("{:.0f}".format), Samples().text(str)
        ('2 (1–3)', '')
        """
        if not self.values:
            return ""
        if len(self.values) == 1:
            return form(self.median)
        return f"{form(self.median)} ({form(min(self.values))}–{form(max(self.values))})"


def thousands(value: float) -> str:
    """Write a rate with a unit prefix.

    Examples
    --------
    >>> thousands(187_654.3), thousands(1_560)
    ('188 k', '1.6 k')
    """
    return f"{value / 1000:.0f} k" if value >= 10_000 else f"{value / 1000:.1f} k"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table.

    Examples
    --------
    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def kafka_version() -> str:
    """The version of the local broker."""
    pom = (ROOT / "infra" / "kafka" / "pom.xml").read_text()
    found = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([\d.]+)", pom)
    return found[1] if found else "?"


def machine() -> str:
    """The machine and its load before the measurement."""
    load = os.getloadavg()[0]
    beside = f", while other work ran (load {load:.1f} before the run)" if load > 0.7 else ""
    return (
        f"{os.cpu_count()} cores shared with the broker, {platform.system()}, "
        f"Python {platform.python_version()}, Kafka {kafka_version()}{beside}"
    )


def taken(runs: int) -> str:
    """Say which statistic the figures of this many runs are.

    Examples
    --------
    >>> taken(1), taken(3)
    ('one run', 'median (least–most) of 3 interleaved runs')
    """
    return "one run" if runs == 1 else f"median (least–most) of {runs} interleaved runs"


def show(name: str, text: str, *, write: bool) -> None:
    """Print a text, and write it to its place in the README when requested."""
    print(f"\n{text}\n", flush=True)
    if write:
        README.write_text(replaced(README.read_text(), name, text))


def replaced(page: str, name: str, text: str) -> str:
    r"""Replace the text between the markers of a place in a page.

    Examples
    --------
    >>> replaced("a\n<!-- x -->\nold\n<!-- /x -->\n", "x", "new")
    'a\n<!-- x -->\nnew\n<!-- /x -->\n'
    """
    begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    if begin not in page or end not in page:
        raise ValueError(f"the page has no place for {name}")
    head, rest = page.split(begin, 1)
    return head + begin + text + end + rest.split(end, 1)[1]


def column(found: Sequence[dict[str, Any]], value: Callable[[dict[str, Any]], float]) -> Samples:
    """The same figure of several results."""
    return Samples([value(one) for one in found])
