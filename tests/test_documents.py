"""Checks of every document: links, commands, paths, and words that the project does not use."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pivotwatch.cli import main
from pivotwatch.config.config import load
from pivotwatch_models.settings import Settings

ROOT = Path(__file__).parents[1]
ROOMS = ("streams", "models", "tests", "infra")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.md"))])

FORBIDDEN = {
    r"\bheld against\b": "compared with",
    r"\b(?:is|are|was|were|be) told\b": "is reported, is shown, is sent",
    r"\btells? (?:of|nobody|everybody)\b": "name the actor and the action",
    r"\bgraver\b|\bgravest\b": "more severe, most severe",
    r"\breckon": "calculate",
    r"\bmend(?:s|ed)?\b": "fix",
    r"\bwhat tells\b": "name the evidence",
    r"\bnobody is named\b": "no group is reported",
    r"\bto be had\b": "available",
    r"\bof one's own\b": "your own",
    r"\bwhoever (?:reads|comes)\b": "name the reader",
    r"\beverybody else\b": "everyone else",
    r"\balert line\b": "alert threshold",
    r"\blog e-value\b": "score (on a line Details)",
    r"\bpage wall\b|\bcourier|\bthe desk\b|\bledger\b": "the name of the module",
}
"""Phrases that documents do not use, as patterns, with the replacement."""
PLACEHOLDERS = ("*", "<", "{", "…", "acme")
ELSEWHERE = {"tests/logging_callback_tests/gcs_pub_sub_body/standard_logging_payload.json"}
"""Paths in repositories of others."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(text: str) -> str:
    """A document without its code blocks."""
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)


def shell_lines(text: str) -> Iterator[str]:
    """Lines of the shell blocks of a document, with continued lines joined."""
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        yield from block.replace("\\\n", " ").splitlines()


def commands(text: str) -> Iterator[list[str]]:
    """Arguments of every ``pivotwatch`` command in shell blocks and in inline code."""
    inline = re.findall(r"`([^`\n]+)`", prose(text))
    for line in [*shell_lines(text), *inline]:
        if found := re.match(r"(?:\.venv/bin/)?pivotwatch (?=[a-z-])", line.strip()):
            words = shlex.split(line.strip()[found.end() :], comments=True)
            cut = next((i for i, word in enumerate(words) if word in {"|", ">", ">>", "&&"}), len(words))
            yield words[:cut]


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes of the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", prose(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def mistake(words: list[str]) -> str | None:
    """What is wrong with a command; None when every subcommand and option exists."""
    command: click.Command = main
    context = click.Context(main)
    rest = list(words)
    while isinstance(command, click.Group):
        if not rest:
            return None  # a group that a text names
        name = rest.pop(0)
        choices = name.split("|")
        found = [command.get_command(context, choice) for choice in choices]
        if None in found:
            return f"no command {name!r}"
        command = found[0]  # type: ignore[assignment]
    known = {
        option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]
    }
    known |= set(command.get_help_option_names(context))
    for word in rest:
        option = word.partition("=")[0]
        if option.startswith("--") and option not in known:
            return f"no option {option}"
    for parameter in command.params:
        if isinstance(parameter.type, click.Choice) and isinstance(parameter, click.Option):
            for option, value in itertools.pairwise(rest):
                if option in parameter.opts and not set(value.split("|")) <= set(parameter.type.choices):
                    return f"{option} cannot be {value!r}"
    return None


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_resolve(path: Path) -> None:
    text = prose(path.read_text())
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    broken = []
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_commands_exist_with_their_options(path: Path) -> None:
    wrong = {" ".join(words): problem for words in commands(path.read_text()) if (problem := mistake(words))}
    assert not wrong


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = path.read_text()
    named = re.findall(r"`make ([a-z-]+)", text)
    named += [line.split()[1] for line in shell_lines(text) if line.startswith("make ")]
    assert set(named) <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_paths_and_modules_exist(path: Path) -> None:
    """Paths from the top folder, and dotted names of modules."""
    missing = []
    for code in re.findall(r"`([^`\n]+)`", prose(path.read_text())):
        for word in code.split():
            if word in ELSEWHERE or any(placeholder in word for placeholder in PLACEHOLDERS):
                continue
            is_path = re.fullmatch(rf"(?:{'|'.join(ROOMS)})/[\w./@-]+", word)
            is_name = re.fullmatch(r"(?:pivotwatch|pivotwatch_models|tests|infra)(?:\.\w+)+", word)
            if (is_path and not (ROOT / word).exists()) or (is_name and not name_exists(word)):
                missing.append(word)
    assert not missing


@functools.cache
def source() -> str:
    """The source of the packages."""
    return "".join(path.read_text() for room in ("streams", "models") for path in (ROOT / room).rglob("*.py"))


@functools.cache
def all_tests() -> set[str]:
    """The names of all tests."""
    text = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    return set(re.findall(r"def (test_\w+)", text))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_named_tests_exist(path: Path) -> None:
    codes = re.findall(r"`([^`\n]+)`", prose(path.read_text()))
    named = {name for code in codes for name in re.findall(r"(?<![\w/.])test_\w+(?![\w/.])", code)}
    assert named <= all_tests()


def test_names_in_docstrings_and_comments_exist() -> None:
    """Dotted names of modules and of what they hold."""
    missing = {
        name
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for name in re.findall(
            r"`((?:pivotwatch|pivotwatch_models|tests|infra)(?:\.\w+)+)`", path.read_text()
        )
        if not name_exists(name)
    }
    assert not missing


def name_exists(name: str) -> bool:
    """Whether a dotted name is a module, a name in a module, or a string in the source."""
    if f'"{name}"' in source():
        return True
    parts = name.split(".")
    roots = {"pivotwatch": ROOT / "streams", "pivotwatch_models": ROOT / "models"}
    folder = roots.get(parts[0], ROOT)
    for used in range(len(parts), max(0, len(parts) - 3), -1):
        base = folder.joinpath(*parts[:used])
        file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if file.is_file() or (base.is_dir() and used == len(parts)):
            rest = parts[used:]
            return not rest or re.search(rf"\b{rest[0]}\b", file.read_text()) is not None
    return False


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_forbidden_phrases_do_not_occur(path: Path) -> None:
    text = prose(path.read_text())
    found = {
        match.group(): better
        for pattern, better in FORBIDDEN.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    }
    assert not found


def test_the_settings_table_has_every_deciding_key_with_its_default() -> None:
    text = (ROOT / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (?:`(.+?)`)? *\| ", text, re.MULTILINE))
    config = load()
    deciding = {field.name.removesuffix("_ms") for field in dataclasses.fields(Settings)}
    assert deciding <= set(rows)
    for key, default in rows.items():
        if key in type(config).model_fields and default:
            assert load(**tomllib.loads(f"{key} = {default}")) == config, key


def test_the_checks_find_mistakes() -> None:
    assert mistake(["replay", "x.jsonl", "--relases", "r.json"]) == "no option --relases"
    assert mistake(["replay", "x.jsonl", "--releases", "r.json"]) is None
    assert mistake(["topics", "make"]) == "no command 'make'"
    assert mistake(["worker", "--role", "acounts"]) == "--role cannot be 'acounts'"
    assert not name_exists("pivotwatch.detection.nothing")
    assert name_exists("pivotwatch.engine.kafka.acls")
