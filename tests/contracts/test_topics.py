"""What is sent has exactly the fields of the published schema, on every topic."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from pivotwatch.contracts.json_schemas import SCHEMAS
from tests.contracts.sent import documents

ABSENT = {"test", "first", "final", "idle"}
"""Fields that are left out where they say nothing; every other one is always sent."""
OPTIONAL = ("event", "release", "decision", "dead-letter")
"""Records that others write, too, and headers that are there only when they say something."""
UNSEEN = {
    "bucket": {"content.left": "an account leaves a group after 90 days without it"},
    "status": {"releases[].surge": "the runs are too short for a rise of the whole population"},
}
"""Fields that no record of the runs has a value for, each with the reason."""

Schema = dict[str, Any]


def resolved(schema: Schema, root: Schema) -> Schema:
    """A schema without references and without the choice of null."""
    while "$ref" in schema or "anyOf" in schema:
        if "$ref" in schema:
            schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
        else:
            schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
    return schema


def paths(schema: Schema, root: Schema, place: str = "") -> Iterator[str]:
    """Every field that a schema describes."""
    schema = resolved(schema, root)
    for name, inner in schema.get("properties", {}).items():
        path = f"{place}.{name}" if place else name
        yield path
        if not path.endswith("late_parts[].body"):  # It is a record in a record.
            yield from paths(inner, root, path)
    if isinstance(schema.get("items"), dict):
        yield from paths(schema["items"], root, f"{place}[]")


def fields(document: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every field that a document has, with its value."""
    if isinstance(document, dict):
        for name, value in document.items():
            path = f"{place}.{name}" if place else name
            yield path, value
            yield from fields(value, path)
    elif isinstance(document, list):
        for value in document:
            yield from fields(value, f"{place}[]")


def exact(schema: Schema, name: str) -> Schema:
    """The schema without further fields, and with every field that is always sent required."""
    made = copy.deepcopy(schema)
    for owner in (made, *made.get("$defs", {}).values()):
        owner["additionalProperties"] = False
        if name not in OPTIONAL:
            owner["required"] = sorted(owner["properties"].keys() - ABSENT)
    return made


def test_every_schema_has_records() -> None:
    assert documents().keys() == SCHEMAS.keys()


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_what_is_sent_has_exactly_the_fields_of_the_schema(name: str) -> None:
    schema = SCHEMAS[name]()
    Draft202012Validator.check_schema(schema)
    validators = [
        Draft202012Validator(one, format_checker=FormatChecker()) for one in (schema, exact(schema, name))
    ]
    for document in documents()[name]:
        for validator in validators:
            validator.validate(document)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_field_has_a_value_in_some_record(name: str) -> None:
    schema = SCHEMAS[name]()
    seen = {
        path for document in documents()[name] for path, value in fields(document) if value not in (None, [])
    }
    assert set(paths(schema, schema)) - seen == UNSEEN.get(name, {}).keys()


def test_the_runs_show_every_state_and_stage() -> None:
    states = Counter(document["data"]["state"] for document in documents()["alert"])
    assert states.keys() == {"open", "updated", "resolved", "suppressed"}
    transitions = {document["data"]["transition"] for document in documents()["alert"]}
    assert {"opened", "merged", "quiet", "confirmed", "benign"} <= transitions
    stages = {document["headers"]["pivotwatch.errors.stage"] for document in documents()["dead-letter"]}
    assert stages == {"decode", "ingest", "delivery"}


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_field_is_described(name: str) -> None:
    schema = SCHEMAS[name]()
    for owner in (schema, *schema.get("$defs", {}).values()):
        assert owner["description"]
        for field, inner in owner["properties"].items():
            assert "description" in inner or "$ref" in inner, field
