"""The documents of the method: examples run, links resolve, nothing is left unexplained."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pivotwatch.simulation import SCENARIOS
from tests.quality.picture import PICTURE, draw

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
DECISIONS = sorted((MODELS / "decisions").glob("[0-9]*.md"))
DOCUMENTS = [
    *sorted(MODELS.rglob("*.md")),
    ROOT / "tests" / "quality" / "README.md",
    ROOT / "tests" / "bench" / "README.md",
]
PARTS = ["Context", "Decision", "Consequences", "Evidence", "Superseded by"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The headings of a page as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_the_examples_of_the_readme_give_what_it_says() -> None:
    text = (MODELS / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "models/README.md", None, 0)
    assert len(example.examples) > 20
    failures: list[str] = []
    doctest.DocTestRunner().run(example, out=failures.append)
    assert not failures, "".join(failures)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text()))
    for link in links:
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_scenario_is_explained() -> None:
    text = (MODELS / "experiments.md").read_text()
    named = set(re.findall(r"`([^`]+)`", text))
    named |= {f"unhurried{name}" for name in named if name.startswith("-")}
    assert set(SCENARIOS) <= named


def test_decisions_are_numbered_and_listed() -> None:
    index = (MODELS / "decisions" / "README.md").read_text()
    assert [path.name[:4] for path in DECISIONS] == [f"{n:04}" for n in range(1, len(DECISIONS) + 1)]
    for path in DECISIONS:
        title = path.read_text().partition("\n")[0].removeprefix("# ")
        number, _, text = title.partition(": ")
        assert f"| [{number}]({path.name}) | {text} |" in index


@pytest.mark.parametrize("path", DECISIONS, ids=name_of)
def test_a_decision_has_its_parts(path: Path) -> None:
    assert re.findall(r"^\*\*(.+?)\.\*\* \S", path.read_text(), re.MULTILINE) == PARTS


ALERT = {
    "model": "m-2",
    "released_at": "2026-02-05T17:00:00Z",
    "detected_at": "2026-02-05T20:00:00Z",
    "entity": {"kind": "network", "id": "AS1 <&>"},
    "evidence": {
        "series": {
            "start": "2026-02-05T17:00:00Z",
            "bucket_ms": 3_600_000,
            "at": [0, 2, 3],
            "until": [2, 3, 4],
            "share": [0.1, None, 0.3],
            "others_share": [0.0, 0.1, 0.1],
            "seen": [4, 6, 8],
            "expected": [1.0, 1.0, 1.0],
            "low": [0, 0, 0],
            "high": [4, 3, 3],
        }
    },
}


def test_the_picture_draws_events_per_hour() -> None:
    drawing = ElementTree.fromstring(draw(ALERT, ALERT))
    svg = "{http://www.w3.org/2000/svg}"
    lines = drawing.findall(f".//{svg}polyline[@class='group']")
    heights = [float(point.split(",")[1]) for point in lines[-1].attrib["points"].split()]
    # The first row joins two hours with four events, so it stands at 2 of 8; the others at 6 and 8.
    bottom, top = 306.0, 186.0
    assert heights == [bottom - (bottom - top) * n / 8 for n in (2, 6, 8)]
    labels = {text.text for text in drawing.iter(f"{svg}text")}
    assert {"release", "alert, 3 h later", "AS1 <&>"} <= labels


def test_the_picture_is_small_and_knows_dark() -> None:
    text = PICTURE.read_text()
    ElementTree.fromstring(text)
    assert len(text) < 20_000
    assert "prefers-color-scheme: dark" in text
