"""The settings of the method: every form of a value, and what is refused with which words."""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import Any

import pytest

from pivotwatch_models.fingerprint import decision_fingerprint, state_fingerprint
from pivotwatch_models.settings import DAY_MS, HOUR_MS, Settings


@pytest.mark.parametrize("hour", ["1h", "60m", " 3600 s ", "3600", 3600, 3600.0, timedelta(hours=1)])
def test_a_duration_may_be_written_in_every_form(hour: Any) -> None:
    assert Settings(bucket=hour, watch="2d", allowed_lateness=hour) == Settings(
        bucket="1h", watch=2 * 86_400, allowed_lateness="1h"
    )
    assert Settings(bucket=hour).bucket_ms == HOUR_MS


def test_the_defaults() -> None:
    settings = Settings()
    assert (settings.bucket_ms, settings.watch_ms) == (HOUR_MS, 60 * DAY_MS)
    assert settings.allowed_lateness_ms == 5 * 60_000


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"bucket": "an hour"}, "bucket: expected a duration such as .*, got 'an hour'"),
        ({"bucket": "0s"}, "bucket: expected at least 1 ms, got '0s'"),
        ({"bucket": -1}, "bucket: expected a duration"),
        ({"bucket": True}, "bucket: expected a duration"),
        ({"bucket": "2d", "watch": "1d"}, "watch: expected at least as long as bucket"),
        ({"allowed_lateness": None}, "allowed_lateness: expected a duration"),
        ({"min_events": 0}, "min_events: expected a whole number of at least 1, got 0"),
        ({"min_members": "8"}, "min_members: expected a whole number of at least 1, got '8'"),
        ({"min_members": 8.0}, "min_members: expected a whole number"),
        ({"alert_budget": 1}, "alert_budget: expected a number between 0 and 1, got 1"),
        ({"theta": 0.5}, "theta: expected a number of at least 1, got 0.5"),
        ({"theta": float("nan")}, "theta: expected a number of at least 1, got nan"),
        ({"theta": float("inf")}, "theta: expected a number of at least 1, got inf"),
        ({"aliases": "*-latest"}, "aliases: expected a list of patterns, got '"),
        ({"aliases": [1]}, "aliases: expected a list of patterns"),
        ({"attributes": "client"}, "attributes: expected a list of kinds of links, got '"),
    ],
)
def test_what_is_wrong_is_said_with_the_name_of_the_setting(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}"):
        Settings(**wrong)


def test_settings_are_written_as_they_are_read() -> None:
    own = Settings(bucket="1500ms", watch="36h", min_events=3, theta=2, aliases=["a-*", "b"])
    assert Settings(**own.to_dict()) == own
    assert eval(repr(own)) == own
    assert pickle.loads(pickle.dumps(own)) == own
    assert own.to_dict()["bucket"] == "1500ms"


def test_equal_settings_have_one_fingerprint() -> None:
    for fingerprint in (state_fingerprint, decision_fingerprint):
        assert fingerprint(Settings(bucket="60m", theta=3)) == fingerprint(Settings(bucket=3600, theta=3.0))
