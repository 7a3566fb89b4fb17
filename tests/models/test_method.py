"""Every number that decides is a field of the method, and the fingerprints cover all of them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import pivotwatch.detection
import pivotwatch_models
from pivotwatch_models.fingerprint import (
    DECISION_SETTINGS,
    decision_fingerprint,
    earlier_state_fingerprints,
    state_fingerprint,
)
from pivotwatch_models.method import DECISION, METHOD, STATE, Method
from pivotwatch_models.settings import DAY_MS, HOUR_MS, Settings

ROOMS = [Path(str(package.__file__)).parent for package in (pivotwatch_models, pivotwatch.detection)]
NEUTRAL = {0, 1, -1}
"""Numbers of every sum and index."""

FORMAT, MEMORY, SHOWN, DERIVED, UNIT = (
    "a code or a place in a stored or sent form, whose version guards it",
    "bounds memory or the size of a slice; results are the same",
    "rounding or wording of what is shown",
    "follows from constants of the method and the number of event types",
    "a unit, or a fact that is not a choice",
)
OUTSIDE = {
    # name of the module, name that is assigned (or the function and the number): why it may stand there
    ("accounts/share_models", "USED, SWITCHED, DRIFTED"): FORMAT,
    ("accounts/split_blocks", "DECILES"): UNIT,
    ("accounts/split_blocks", "_UNUSED, _FIRST, _SECOND, _JUDGED"): FORMAT,
    ("base/poisson", "LARGE"): SHOWN,
    ("groups/hour_of_day", "HOURS"): UNIT,
    ("groups/hour_of_day", "_MOST_HALVINGS"): UNIT,
    ("groups/timeline", "WIDTH"): FORMAT,
    ("groups/watched_groups", "PARTS"): DERIVED,
    ("population/cohorts", "ALWAYS_ACTIVE"): DERIVED,
    ("population/cohorts", "COHORTS"): DERIVED,
    ("population/cohorts", "SETTLED_COHORTS"): DERIVED,
    ("population/group_heterogeneity", "_MOST_LOG_THETA"): UNIT,
    ("counting/event_reader", "FAILED"): "the contract of the event: a status from here on is a failure",
    (
        "counting/recent_requests",
        "SEGMENTS",
    ): "how the window of dedup_requests is stored; a deployment sets it",
    ("counting/recent_requests", "SLOTS"): "how the window of dedup_requests is stored",
    ("counting/long_sort", "PART"): MEMORY,
    ("durations", "UNITS"): UNIT,
    ("settings", "HOUR_MS"): UNIT,
    ("settings", "DAY_MS"): UNIT,
    ("counting/account_table", "SLACK"): MEMORY,
    ("counting/aggregates", "_LOW"): FORMAT,
    ("counting/aggregates", "RUN"): MEMORY,
    ("counting/deduplication", "MAX_ORIGINS"): MEMORY,
    ("counting/dictionary", "MAX_REMEMBERED"): MEMORY,
    ("counting/dictionary", "MAX_RAW, MAX_RAW_BYTES"): MEMORY,
    ("counting/model_tracker", "WAITING, FOLLOWED, OVER"): FORMAT,
    ("counting/operator", "__init__ 64"): FORMAT,
    ("counting/event_buffer", "CAPACITY"): MEMORY,
    ("counting/event_buffer", "COLUMNS"): FORMAT,
    ("counting/event_time", "SKEW_MS"): SHOWN,
    ("counting/event_time", "_skewed 3"): SHOWN,
    ("counting/open_buckets", "_is_failed 400"): UNIT,
    ("counting/operator", "SKEWED"): SHOWN,
    ("counting/state", "MAX_SEGMENTS"): FORMAT,
    ("counting/state", "MIGRATIONS"): FORMAT,
    ("counting/state", "NAMES"): FORMAT,
    ("counting/state", "STATE_VERSION"): FORMAT,
    ("pipeline", "CHUNK"): MEMORY,
    ("rejections", "MAX_REASONS"): MEMORY,
    ("rejections", "MAX_EXAMPLE"): MEMORY,
    ("scoring/migrations", "global_state 3"): FORMAT,
    ("scoring/migrations", "global_state 5"): FORMAT,
    ("scoring/migrations", "group_record 5"): FORMAT,
    ("scoring/migrations", "group_state 3"): FORMAT,
    ("scoring/networks_state", "MIGRATIONS"): FORMAT,
    ("scoring/networks_state", "SHARDS"): FORMAT,
    ("scoring/networks_state", "STATE_VERSION"): FORMAT,
    ("scoring/status", "INCIDENTS_SHOWN"): SHOWN,
    ("scoring/status", "KEPT"): MEMORY,
    ("scoring/status", "NAMES_BYTES, RELEASES_BYTES"): MEMORY,
    ("scoring/status", "LATE_EVENTS, LATE_SHARE"): SHOWN,
    ("scoring/status", "SHOWN"): SHOWN,
}
"""Numbers that may stand outside the method."""
WORDING = {"alerting/explanation", "alerting/pattern_signs", "alerting/rarity"}
"""Modules that only put figures into words."""


def numbers(node: ast.AST) -> list[float]:
    """The numbers that are written in a piece of code, but for those of every sum and places in a row."""
    places = {id(n) for s in ast.walk(node) if isinstance(s, ast.Subscript) for n in ast.walk(s.slice)}
    found = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and id(n) not in places]
    return [x for x in found if type(x) in (int, float) and x not in NEUTRAL]


def in_function(function: ast.FunctionDef) -> Iterator[float]:
    """Defaults, factors (every float but a half), and whole numbers that something is compared with."""
    for default in [*function.args.defaults, *filter(None, function.args.kw_defaults)]:
        yield from numbers(default)
    for node in ast.walk(function):
        if isinstance(node, ast.Constant) and type(node.value) is float and node.value not in {*NEUTRAL, 0.5}:
            yield node.value
        if isinstance(node, ast.Compare):
            yield from (n for side in (node.left, *node.comparators) for n in numbers(side) if n > 2)


def constants(text: str) -> Iterator[str]:
    """Names of constants of modules and classes with a number of their own, and numbers in functions."""
    tree = ast.parse(text)
    scopes = [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
    for scope in scopes:
        for node in scope.body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value and numbers(node.value):
                target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
                yield ast.unparse(target).strip("()")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield from dict.fromkeys(f"{node.name} {number}" for number in in_function(node))


def found() -> set[tuple[str, str]]:
    """All such constants of the method's code, except the settings and the method itself."""
    out = set()
    for room in ROOMS:
        for path in sorted(room.rglob("*.py")):
            name = path.relative_to(room).with_suffix("").as_posix()
            if path.parent.name != "method" and name not in WORDING:
                out |= {(name, constant) for constant in constants(path.read_text())}
    settings = inspect.signature(Settings).parameters.values()
    return out - {("settings", f"__init__ {setting.default}") for setting in settings}


def test_every_number_that_decides_is_in_the_method():
    new = found() - OUTSIDE.keys()
    assert not new, (
        f"put these into pivotwatch_models.method, or say in OUTSIDE why they decide nothing: {new}"
    )
    assert not OUTSIDE.keys() - found(), "these stand nowhere any more"


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("LIMIT = 7", ["LIMIT"]),
        ("A, B = 1, 2.5", ["A, B"]),
        ("LIMIT = 3 * STATE.pace.horizon_ms", ["LIMIT"]),
        ("class C:\n    limit: float = 0.3", ["limit"]),
        ("def f(x, limit=9): ...", ["f 9"]),
        ("def f(x): return 1.3 * x", ["f 1.3"]),
        ("def f(x): return x >= 12", ["f 12"]),
        ("class C:\n    def f(self, x): return x >= 12", ["f 12"]),
        ("FIRST, SECOND = 0, 1\nclass C:\n    n: int = 0\ndef f(x): return x[3] + 2 * x[4] > 0", []),
        ("_PACE = STATE.pace\nLIMIT = _PACE.flagged_above", []),
    ],
)
def test_a_number_beside_the_method_is_found(code: str, names: list[str]) -> None:
    assert list(constants(code)) == names


def leaves(part: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, (*path, field.name))
        else:
            yield (*path, field.name), value


def changed(part: Any, path: tuple[str, ...]) -> Any:
    """The same with one number changed."""
    name, *rest = path
    value = getattr(part, name)
    other = (
        changed(value, tuple(rest)) if rest else (*value[:-1], 99) if isinstance(value, tuple) else value + 1
    )
    return dataclasses.replace(part, **{name: other})


@pytest.mark.parametrize("path", [path for path, _ in leaves(METHOD)], ids=".".join)
def test_every_constant_is_in_the_fingerprints(path: tuple[str, ...]) -> None:
    other, settings = changed(METHOD, path), Settings()
    assert decision_fingerprint(settings, other) != decision_fingerprint(settings)
    same = state_fingerprint(settings, other) == state_fingerprint(settings)
    assert same == (path[0] == "decision")


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Settings)])
def test_every_setting_is_in_the_fingerprints(field: str) -> None:
    value = getattr(Settings(), field)
    other = (
        (*value, "x-*") if isinstance(value, tuple) else value / 2 if field == "alert_budget" else value + 1
    )
    if field.endswith("_ms"):
        other = timedelta(milliseconds=other)
    settings = Settings().replace(**{field.removesuffix("_ms"): other})
    assert decision_fingerprint(settings) != decision_fingerprint(Settings())
    same = state_fingerprint(settings) == state_fingerprint(Settings())
    assert same == (field in DECISION_SETTINGS)


def test_every_constant_is_explained():
    """Each has a line of its own in the docstring of its part."""
    for part in (STATE, DECISION):
        for group in [part, *(getattr(part, f.name) for f in dataclasses.fields(part))]:
            if not dataclasses.is_dataclass(group):
                continue
            explained = re.findall(r"^    ([a-z_, ]+)$", type(group).__doc__ or "", flags=re.MULTILINE)
            names = {name for line in explained for name in line.split(", ")}
            own = {
                f.name
                for f in dataclasses.fields(group)
                if not dataclasses.is_dataclass(getattr(group, f.name))
            }
            assert own <= names, (type(group).__name__, own - names)


def test_the_method_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        METHOD.state.pace.flagged_above = 1.0  # type: ignore[misc]  # that is the point
    assert Method() == METHOD
    assert hash(METHOD) == hash(Method())


def test_what_belongs_together_fits_together():
    weights, cohorts = DECISION.weights, STATE.cohorts
    assert weights.pace + weights.split == 1.0
    assert len(cohorts.coarse_bands) == len(cohorts.volume_edges) + 1
    assert len(STATE.always_active.away) == len(cohorts.gap_edges) + 1
    assert STATE.pace.onset_multiple in STATE.pace.multiples
    assert STATE.membership.keep_ms > Settings().watch_ms
    assert DECISION.sufficiency.widths_ms[2:5:2] == (HOUR_MS, DAY_MS)


def test_the_fingerprint_of_before_is_that_of_all_settings():
    """Of states that were stored before the constants were part of it; never to change."""
    assert earlier_state_fingerprints(Settings(watch="14d")) == ("fd8fafa824208508",)
