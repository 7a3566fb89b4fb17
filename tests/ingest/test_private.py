"""Keys are recognised by their whole form; identifiers that only begin like keys are kept."""

from __future__ import annotations

import orjson
import pytest
from click.testing import CliRunner

from pivotwatch.cli import main
from pivotwatch.ingest.private import looks_private
from tests.ingest.samples import LITELLM

KEYS = [
    "sk-proj-a1B2c3D4e5F6g7H8i9J0",
    "sk-ant-api03-Qx7Lm2Zp9Rt4Vw8",
    "sk-live-51H8sdf7sdf98sdf7",
    "sk-0123456789abcdef0123456789abcdef",
    "pk_live_9aB8cD7eF6gH5iJ4",
    "Bearer abcdefgh12345678",
    "Basic dXNlcjpwYXNzd29yZA==",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "AKIA" + "Q2" * 8,
    "ASIA" + "Q2" * 8,
    "AIza" + "Sy0-" * 8 + "abc",
    "ghp_" + "a1B2" * 9,
    "xoxb-123456789012-123456789012-a1B2c3D4e5F6",
    "hf_" + "aBcD" * 9,
]
NAMES = [
    "ASIA-PACIFIC-00017",
    "ASIA_retail_pool_3",
    "ASIAPACIFICCUSTOMERS",
    "pk_000000000017",
    "hf_research_team",
    "sk-elektro-gmbh",
    "sk_customer2024europe",
    "xoxo-florists-eu",
    "Basic plan 17",
    "Bearer of news",
    "AKIAN-12",
    "eyJafjallajokull",
]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_recognised(key: str) -> None:
    assert looks_private(key) == "a key"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_kept(name: str) -> None:
    assert looks_private(name) == ""


def test_an_account_that_is_a_team_is_named_in_a_warning() -> None:
    metadata = {"user_api_key_team_id": "team-3"}
    line = orjson.dumps({**LITELLM, "metadata": metadata}).decode()
    told = CliRunner().invoke(main, ["replay", "-", "--source", "litellm"], input=line)
    assert "WARNING: 1 record without a user: the account is a team or an organisation" in told.stderr
