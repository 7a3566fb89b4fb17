"""The rooms of the repository: each has a layer in the import rules, a docstring, and tests."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "streams" / "pivotwatch"
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
RULES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def layers() -> set[str]:
    """Names of the rooms in the contract of the layers."""
    [contract] = [rule for rule in RULES if rule["name"] == "rooms"]
    names = {name.strip() for layer in contract["layers"] for name in layer.split("|")}
    return {name.removeprefix("pivotwatch.") for name in names if name.startswith("pivotwatch.")}


def test_every_room_has_a_layer() -> None:
    assert layers() - {"__main__"} == set(ROOMS)


def test_the_readme_lists_the_rooms_by_layer_with_a_module() -> None:
    text = (ROOT / "streams" / "README.md").read_text()
    rows = re.findall(r"^\| (\d+) \| \[?`(\w+)`.* \| `(\w+)` \|$", text, re.MULTILINE)
    [contract] = [rule for rule in RULES if rule["name"] == "rooms"]
    expected = [
        (str(level), name.strip().removeprefix("pivotwatch."))
        for level, layer in enumerate(contract["layers"][1:], start=1)
        for name in layer.split("|")
    ]
    assert sorted((level, room) for level, room, _ in rows) == sorted(expected)
    for _, room, module in rows:
        folder = ROOT / "models" / room if room == "pivotwatch_models" else PACKAGE / room
        assert (folder / f"{module}.py").is_file(), f"{room}.{module}"


def test_no_module_is_loose_at_the_root() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} <= {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_does_and_has_tests(room: str) -> None:
    assert ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
    assert list((ROOT / "tests" / room).glob("test_*.py"))


PURE = (ROOT / "models", *(PACKAGE / room for room in ("detection", "contracts", "formats")))
IMPURE = (
    r"(?<![.\w])(?<!def )(open|input|print)\(|\.(read|write)_(text|bytes)\(",
    r"\b(datetime|date)\.(now|utcnow|today)\(|\btime\.time\(|\bperf_counter\(",
    r"\bos\.|\bsecrets\.|\buuid[14]\b|\b(np|numpy)\.random\b|\bdefault_rng\b|\burandom\b",
)


@pytest.mark.parametrize("root", PURE, ids=lambda root: root.name)
def test_the_same_records_give_the_same_alerts(root: Path) -> None:
    """No file, clock, environment or chance. The import rules see imports alone."""
    found = []
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value.value = ""  # Docstrings may show anything.
        code = ast.unparse(tree)
        found += [(path.name, match.group()) for rule in IMPURE for match in re.finditer(rule, code)]
    assert not found
