"""``mapping check`` shows what `replay` counts."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from pivotwatch.cli import main
from tests.ingest.samples import LITELLM
from tests.ingest.test_cases import CASES, NAMES, expected_of, source_of


@pytest.mark.parametrize("name", NAMES)
def test_it_shows_as_many_events_as_replay_counts(name: str) -> None:
    arguments = [
        "mapping",
        "check",
        str(CASES / name),
        "--source",
        source_of(name),
        "--samples",
        "99",
        "--json",
    ]
    told = CliRunner().invoke(main, arguments)
    verdicts = [one["verdict"] for one in orjson.loads(told.stdout)["samples"]]
    assert verdicts.count("event") == len(expected_of(name)["events"])


def test_a_request_behind_many_others_shows_the_source(tmp_path: Path) -> None:
    path = tmp_path / "log"
    other = orjson.dumps({**LITELLM, "call_type": "afile_list"})
    path.write_bytes(b"\n".join([other] * 20 + [orjson.dumps(LITELLM)]))
    told = CliRunner().invoke(main, ["mapping", "check", str(path)])
    assert "the source that fits best is litellm" in told.output


def test_a_team_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(orjson.dumps({**LITELLM, "metadata": {"user_api_key_team_id": "t"}, "end_user": ""}))
    told = CliRunner().invoke(main, ["mapping", "check", str(path)])
    assert "their account is a team" in told.stderr
