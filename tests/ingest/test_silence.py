"""What gives no event is counted with its reason, in answers and metrics, and a team is no silent account."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson
import pytest

from tests.engine.http_rig import request
from tests.ingest.samples import LITELLM
from tests.ingest.test_http_access import serving

TEAM = {**LITELLM, "metadata": {"user_api_key_team_id": "team-3"}, "end_user": "", "id": "t"}
BAD = {**LITELLM, "startTime": "yesterday"}
TOOL = {**LITELLM, "call_type": "call_mcp_tool"}


async def post(records: list[Any], **http: Any) -> tuple[int, Any, str]:
    async with serving(allow_without_token=True, sources=["litellm"], **http) as served:
        client = await served.connect()
        body = orjson.dumps(records).decode()
        client.send(request("/v1/events/litellm", "POST", body, Connection="close"))
        head, _, text = (await client.read()).partition("\r\n\r\n")
        return int(head.split()[1]), orjson.loads(text), served.server._metrics.text().decode()


def counted(metrics: str) -> dict[str, float]:
    lines = [line.split(" ") for line in metrics.splitlines() if line.startswith("pivotwatch_ingest_")]
    return {" ".join(name).partition("pivotwatch_ingest_")[2]: float(value) for *name, value in lines}


def test_an_answer_counts_dead_letters_by_reason_and_names_team_accounts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        status, answer, metrics = asyncio.run(post([LITELLM, BAD, TOOL, TEAM], on_bad="dead_letters"))
    assert (status, answer["accepted"], answer["dead_letters_by_reason"]) == (200, 2, {"ts": 1})
    assert (answer["skipped_by_reason"], answer["team_accounts"]) == ({"no request by /call_type": 1}, 1)
    assert "team" in answer["warning"]
    assert [record.message for record in caplog.records if "team" in record.message]
    found = counted(metrics)
    assert found['bad_documents_total{outcome="dead_letter",reason="ts",source="litellm"}'] == 1
    assert found['group_accounts_total{source="litellm"}'] == 1


def test_records_of_a_refused_body_are_counted() -> None:
    status, _, metrics = asyncio.run(post([LITELLM, {**LITELLM, "id": "2"}, BAD]))
    assert status == 422
    found = counted(metrics)
    refused = 'bad_documents_total{outcome="refused",reason="%s",source="litellm"}'
    assert (found[refused % "ts"], found[refused % "beside a bad record"]) == (1, 2)
    status, _, metrics = asyncio.run(post([LITELLM] * 3, max_events=2))
    assert (status, counted(metrics)[refused % "too many records"]) == (413, 3)


def test_an_unknown_reason_makes_no_new_label() -> None:
    _, answer, _ = asyncio.run(post([7, "x", None], on_bad="dead_letters"))
    assert answer["dead_letters_by_reason"] == {"other": 3}
