"""The contract of the alert, its readable text, and the comparison of two streams of alerts."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.alert_evidence import Evidence
from pivotwatch.contracts.alerts import alert_schema, parse_alert
from pivotwatch.contracts.controls import release_schema
from pivotwatch.contracts.events import BadEvent, check_event, event_schema
from pivotwatch.formats.text import MOST_LINES, plain, render
from pivotwatch.tools.compare_alerts import DifferentRepeat, compare, distinct
from tests.contracts.examples import FULL, alert_bytes

SMALL: dict[str, object] = {
    "groups": [],
    "members": [],
    "evidence": {},
    "urls": {},
    "released_at": None,
    "transition": None,
}


@pytest.mark.parametrize("raw", [alert_bytes(), alert_bytes(**SMALL), alert_bytes(state="open", revision=1)])
def test_model_and_schema_accept_the_same_alerts(raw: bytes) -> None:
    validator = Draft202012Validator(alert_schema(), format_checker=FormatChecker())
    validator.validate(orjson.loads(raw))
    assert parse_alert(raw).id == orjson.loads(raw)["id"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.severity", "fatal"),
        ("data.alert_id", "xyz"),
        ("data.members", [str(number) for number in range(101)]),
        ("data.onset", "yesterday"),
        ("data.evidence.observed_share", 1.5),
        ("data.revision", 0),
        ("specversion", "0.3"),
        ("type", "io.pivotwatch.alert.closed"),
    ],
)
def test_model_and_schema_refuse_the_same_alerts(path: str, value: object) -> None:
    alert = orjson.loads(alert_bytes())
    *way, last = path.split(".")
    inner = alert
    for step in way:
        inner = inner[step]
    inner[last] = value
    validator = Draft202012Validator(alert_schema(), format_checker=FormatChecker())
    # The checker of date-time is optional in Python; every other format is checked.
    if last != "onset":
        assert not validator.is_valid(alert)
    with pytest.raises(WrongUse, match=path):
        parse_alert(orjson.dumps(alert))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": "0123456789abcdef.3"}, "id: expected alert_id.revision"),
        ({"type": "io.pivotwatch.alert.opened"}, "type: expected io.pivotwatch.alert.updated"),
        ({"time": "2026-02-06T02:00:00Z"}, "time: expected the same as data.detected_at"),
    ],
)
def test_envelope_and_data_must_agree(changes: dict[str, str], expected: str) -> None:
    with pytest.raises(WrongUse, match=expected):
        parse_alert(orjson.dumps({**orjson.loads(alert_bytes()), **changes}))


def test_fields_may_be_added() -> None:
    assert parse_alert(alert_bytes(later_field=1, evidence={"tempo": 2})).data.evidence == Evidence()


def test_nan_is_refused() -> None:
    with pytest.raises(WrongUse, match="not JSON"):
        parse_alert(alert_bytes().replace(b"21.3", b"NaN"))


def test_schema_and_decoder_agree_on_events() -> None:
    """The decoder accepts the example of the schema, and requires what the schema requires."""
    schema = event_schema()
    [example] = schema["examples"]
    check_event(example)
    for name in schema["required"]:
        with pytest.raises(BadEvent, match=name):
            check_event({key: value for key, value in example.items() if key != name})
    Draft202012Validator(schema).validate(example)
    check_event({name: example[name] for name in schema["required"]})
    Draft202012Validator(release_schema()).validate(release_schema()["examples"][0])


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize(
    "changes", [{}, SMALL, {"entity": {"kind": "account", "id": "a" * 500}, "severity": "info"}]
)
def test_an_alert_is_one_compact_block(width: int, changes: dict[str, object]) -> None:
    text = plain(parse_alert(alert_bytes(**changes)), width=width)
    _headline, *rows = text.splitlines()
    assert len(rows) < MOST_LINES
    assert all(len(row) <= max(width, 76) or " " not in row.strip() for row in rows)
    assert "against" in text


def test_the_text_has_the_important_parts() -> None:
    reasons = [
        "96 accounts on AS64500 switched to m-2.",
        "A group at the normal limit (2×) would reach this score less than once in a trillion days.",
        "Next step: find out who is behind AS64500.",
        "Severity rose from medium to high.",
        "Details: score 31.4, alert threshold 15.4.",
        "Counter-evidence: events of this group arrived late.",
    ]
    text = " ".join(plain(parse_alert(alert_bytes(reasons=reasons)), width=200).split())
    for part in (
        "CRITICAL 412 accounts on AS64500 switched to m-2 together [update: members",
        "what 96 accounts on AS64500 switched to m-2. A group at the normal limit (2×) would reach",
        "do Find out who is behind AS64500.",
        "why Severity rose from medium to high.",
        "against Events of this group arrived late.",
        "details score 31.4, alert threshold 15.4.",
        "who 412 accounts: acct-00000",
        "https://wiki.example/runbooks/pivot",
    ):
        assert part in text


def test_a_long_text_keeps_the_next_step_and_the_counter_evidence() -> None:
    reasons = [f"{number} {'word ' * 40}." for number in range(20)]
    reasons += ["Next step: wait.", "Counter-evidence: events arrived late."]
    lines = plain(parse_alert(alert_bytes(reasons=reasons)), width=80).splitlines()
    assert len(lines) == MOST_LINES
    assert any("Wait." in line for line in lines)
    assert any("Events arrived late." in line for line in lines)


@given(st.text(min_size=1, max_size=40))
def test_control_characters_in_names_are_escaped(name: str) -> None:
    alert = parse_alert(alert_bytes(entity={"kind": "network", "id": name}, members=[name], model=name))
    assert all(char.isprintable() for line in render(alert).plain.split("\n") for char in line)


def test_repeats_are_dropped_and_must_be_equal() -> None:
    first, second = alert_bytes(revision=1), alert_bytes(revision=2)
    assert list(distinct([first, second, first])) == ["0123456789abcdef.1", "0123456789abcdef.2"]
    with pytest.raises(DifferentRepeat, match=r"data\.members_total: 412, then 413"):
        distinct([first, alert_bytes(revision=1, members_total=413)])
    with pytest.raises(DifferentRepeat, match="layout of the JSON: one form, then another form"):
        distinct([first, orjson.dumps(orjson.loads(first), option=orjson.OPT_SORT_KEYS)])
    with pytest.raises(WrongUse, match="stream, line 2: not an alert"):
        distinct([first, b"[]"])


def test_the_order_counts_only_when_asked() -> None:
    one, two = alert_bytes(revision=1), alert_bytes(revision=2)
    a, b = distinct([one, two]), distinct([two, one])
    assert compare(a, b) == []
    [difference] = compare(a, b, in_order=True)
    assert (difference.id, difference.kind) == ("0123456789abcdef.1", "order")


def test_the_example_has_every_field_of_the_contract() -> None:
    alert = parse_alert(alert_bytes())
    assert set(alert.data.__struct_fields__) - {"test"} == set(FULL)
    assert set(alert.data.evidence.__struct_fields__) == set(FULL["evidence"])
