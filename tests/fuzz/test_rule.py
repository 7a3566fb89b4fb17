"""One rule for every topic, role, source and route: no input ends or stalls a worker or exceeds a record."""

from __future__ import annotations

import ast
import logging
import re
from pathlib import Path
from typing import get_args

import pytest

from pivotwatch.config.config import Role
from pivotwatch.config.topic_settings import Logical
from pivotwatch.engine.kafka.acls import READ
from pivotwatch.ingest.mapping import shipped
from pivotwatch.web.oidc_settings import CALLBACK
from tests.fuzz import rule
from tests.fuzz.readers import READERS
from tests.fuzz.test_http import PATHS

ROOT = Path(__file__).parents[2]
CASES = 12
"""Records for each reader; ``make fuzz`` runs a million in all."""


@pytest.fixture(autouse=True)
def _silent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "pivotwatch")  # Until the end of the test.


@pytest.mark.parametrize("pair", READERS, ids=["/".join(pair) for pair in READERS])
def test_no_input_ends_or_stalls_a_worker_or_exceeds_a_record(pair: tuple[str, str]) -> None:
    assert rule.run(CASES, pairs=[pair]) == []


def test_every_reader_of_a_topic_and_every_source_is_tested() -> None:
    wanted = {(user, topic) for user, topics in READ.items() for topic in topics}
    assert READERS.keys() == wanted | {("ingest", source) for source in shipped()}
    assert {user for user, _ in READERS} >= {*get_args(Role)}
    written_only = {"dlq"}  # Read like ``deliveries_dlq``, by the same commands.
    assert {topic for _, topic in wanted} | written_only == {*get_args(Logical)}


def test_every_route_is_tested() -> None:
    calls = (
        node
        for path in (ROOT / "streams").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") in ("add_get", "add_post", "add_route")
    )
    places = [call.args[1 if getattr(call.func, "attr", "") == "add_route" else 0] for call in calls]
    routes = {place.value for place in places if isinstance(place, ast.Constant)}
    assert len(routes) > 20
    for route in routes | {CALLBACK}:
        pattern = re.compile(re.sub(r"\\\{\w+(:\\\.\\\*)?\\\}", "[^?]+", re.escape(route)) + r"(\?.*)?$")
        assert any(pattern.match(path) for path in PATHS), route


@pytest.mark.parametrize(("pair", "number"), [(("ingest", "otlp_json"), 1486), (("ingest", "native"), 50357)])
def test_what_the_rule_has_found(pair: tuple[str, str], number: int) -> None:
    rule.play(pair, number)
