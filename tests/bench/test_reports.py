"""Reports of the benchmark, with invented figures."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from tests.bench import checkpoints, growth, plot, throughput
from tests.bench.children import FAUST_COUNT, WORKER
from tests.bench.data import SIZES
from tests.bench.figures import README, replaced


def result(events: int, seconds: float, **more: Any) -> dict[str, Any]:
    return {"asked": events, "seconds": seconds, "cpu": seconds, "peak_mb": 100.0, "digest": "d"} | more


FOUND = {
    throughput.CEILING: [result(1_000, 0.01), result(1_000, 0.02)],
    throughput.STEP: [result(1_000, 0.02, networks_cpu=0.001)] * 2,
    WORKER.name: [result(1_000, 0.04), result(1_000, 0.05)],
    FAUST_COUNT.name: [result(100, 0.1), result(100, 0.1)],
}


def test_ratios_use_the_same_run_and_missed_targets_are_reported() -> None:
    told = {row[0]: row[1:] for row in throughput.targets(FOUND)}
    assert told[throughput.CEILING] == ["0.33 (0.25–0.40)", "0.33 (0.25–0.40)", "at least 0.35, missed"]
    assert told[FAUST_COUNT.name] == ["22.50 (20.00–25.00)", "22.50 (20.00–25.00)", "at least 15"]


def test_the_table_is_sorted_by_rate() -> None:
    text = throughput.report(FOUND, SIZES["small"], 2)
    names = [line.split(" | ")[0].strip("| *") for line in text.splitlines() if line.startswith("| ")]
    assert names.index(throughput.STEP) < names.index(WORKER.name) < names.index(FAUST_COUNT.name)
    assert "| 22 k (20 k–25 k) |" in text


def test_engines_with_other_counts_are_not_compared() -> None:
    other = {**FOUND, WORKER.name: [result(1_000, 0.04, digest="e")]}
    throughput.check_same(FOUND, [WORKER.name])
    with pytest.raises(Exception, match="did not count the same"):
        throughput.check_same(other, [WORKER.name])


def test_the_cost_of_checkpoints_is_relative_to_none() -> None:
    found = {"off": [result(1_000, 1.0), result(1_000, 2.0)], "default": [result(1_000, 1.1)] * 2}
    assert checkpoints.costs(found, "default").values == pytest.approx([0.1, -0.45])


def test_the_readme_has_a_place_for_every_figure() -> None:
    page = README.read_text()
    for name in (*(f"throughput {size}" for size in SIZES), "latency", "checkpoints", "growth", "memory"):
        assert f"<!-- {name} -->\nnew\n" in replaced(page, name, "new")
    with pytest.raises(ValueError, match="no place for nothing"):
        replaced(page, "nothing", "new")


def test_the_plot_shows_every_point() -> None:
    one = result(
        1_000,
        0.01,
        networks_cpu=0.001,
        **{f"{what}_{step}": 0.1 for what in ("longest", "stretch") for step in ("accounts", "networks")},
    )
    points = {kind: {size: [one] for size in growth.SIZES[kind]} for kind in growth.KINDS}
    drawing = ElementTree.fromstring(plot.draw(growth.panels(points), "growth"))
    dots = drawing.findall(".//{http://www.w3.org/2000/svg}circle")
    assert len(dots) == 2 * (3 + 4 + 3) + 4 * (3 + 4) + 3
