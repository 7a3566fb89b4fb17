"""Words such as ``None`` are no accounts, models, networks or links of events that do not pass ingest."""

from __future__ import annotations

import pytest

from tests.detection.stream import accounts_step, bodies, dead, event, line

WORDS = ["None", "null", "unknown", "-", "N/A"]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("field", ["account", "model"])
def test_an_event_without_account_or_model_is_a_dead_letter(field, word):
    step = accounts_step()
    bad = line(event(), event("b", **{field: word}) if field == "model" else event(word), event("c"))
    outputs = [*step.process([bad, bad]), *step.final()]
    letters = dead(outputs)
    assert len(letters) == 2
    assert all(field in dict(letter.headers)["pivotwatch.errors.message"].decode() for letter in letters)
    assert step.counters()["events"] == 4


@pytest.mark.parametrize("word", WORDS)
def test_an_optional_name_that_is_missing_is_as_if_it_were_not_there(word):
    def result(**more):
        step = accounts_step()
        records = [line(event(f"a{n}", ip="203.0.113.7", **more), offset=n) for n in range(5)]
        return bodies([*step.process(records), *step.final()])

    nothing = result(network=None)
    assert result(network=word, requested_model=word, links={"payment": word}) == nothing
    assert result(network="AS1") != nothing
