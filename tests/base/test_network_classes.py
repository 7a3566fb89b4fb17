"""Classes of networks, read from a list."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.base.network_classes import NetworkClasses, class_of
from pivotwatch.detection.pipeline import DetectionPipeline
from tests.detection.stream import SETTINGS, launch

LINES = """
# who rents out machines
AS64500 hosting
64501, proxy
203.0.0.0/16   business
203.0.113.0/24 Proxy
2001:db8::/32  hosting
""".splitlines()


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("AS64500", "hosting"),
        ("AS64501", "proxy"),
        ("203.0.113.0/24", "proxy"),
        ("203.0.7.0/24", "business"),
        ("2001:db8:1::/48", "hosting"),
        ("2001:db9:1::/48", None),
        ("k1:3fdf54ebca6edbc6", None),
        ("", None),
    ],
)
def test_the_narrowest_range_decides(network: str, expected: str | None) -> None:
    assert NetworkClasses(LINES).of(network) == expected


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("AS64500", "list: line 1: expected a network and one of the classes access"),
        ("AS64500 evil", "expected a network and one of"),
        ("203.0.113.7/24 proxy", "203.0.113.7/24 has host bits set"),
        ("somewhere proxy", "does not appear to be"),
    ],
)
def test_a_wrong_line_is_reported(line: str, told: str) -> None:
    with pytest.raises(WrongUse, match=told):
        NetworkClasses([line], "list")


def test_an_unreadable_list_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OutOfReach, match="No such file"):
        NetworkClasses.load(tmp_path / "none")
    path = tmp_path / "list"
    path.write_text("AS1 hosting\n")
    assert NetworkClasses.load(path).of("AS1") == "hosting"
    assert class_of(path)("AS1") == "hosting"
    assert class_of(None)("AS1") is None


def test_an_alert_contains_the_class() -> None:
    events, releases = launch()
    classes = NetworkClasses(["AS8 proxy"]).of
    pipeline = DetectionPipeline(SETTINGS, releases=releases, network_class=classes)
    outputs = pipeline.run(orjson.dumps(event) for event in events)
    told = {
        orjson.loads(output.value)["data"]["evidence"]["corroboration"]["network_class"]
        for output in outputs
        if output.topic == "alerts"
    }
    assert "proxy" in told
    assert told <= {"proxy", None}
