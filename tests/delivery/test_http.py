"""Couriers against a real HTTP receiver that misbehaves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from streams.delivery.courier import couriers
from streams.delivery.desk import Desk, Origin
from streams.delivery.ledger import Ledger
from streams.delivery.trial import run as trial
from tests.delivery.receiver import SECRET, Receiver, receiver
from tests.delivery.rig import QUICK, Log, wait_for, yes
from tests.sinks.examples import STATES, raw

ROUTING_KEY = "routing-key-of-the-tests"
LIFE = [raw(state) for state in STATES[:3]]
IDS = [orjson.loads(one)["id"] for one in LIFE]


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setenv("PAGER_SECRET", ROUTING_KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Config:
    """What couriers read of a configuration."""

    def __init__(self, *targets: dict[str, Any]) -> None:
        self.delivery = {
            "base_url": "https://watch.example",
            "targets": [{**QUICK, **target} for target in targets],
        }


def webhook(hook: Receiver, **more: Any) -> dict[str, Any]:
    return {"name": "hook", "kind": "webhook", "url": hook.url, "secret_env": "HOOK_SECRET", **more}


def deliver(records: list[bytes], *targets: dict[str, Any]) -> tuple[Desk, list[Any]]:
    """Deliver records to their end."""

    async def work() -> tuple[Desk, list[Any]]:
        dead: list[Any] = []

        async def bury(letter: Any) -> None:
            dead.append(letter)

        made = couriers(Config(*targets), None)  # type: ignore[arg-type]
        failures: list[BaseException] = []
        desk = Desk(made, Ledger(Log(), {}), 0, bury=bury, fail=failures.append, is_ours=yes)
        for offset, record in enumerate(records):
            desk.take(Origin("alerts", 0, offset), record)
        await wait_for(lambda: failures or desk.progress.done == len(records))
        desk.end()
        for courier in made:
            await courier.endpoint.close()
        assert failures == []
        return desk, dead

    return asyncio.run(work())


@pytest.mark.parametrize(
    "script",
    [
        [500, 500],
        [503, "cut", 502],
        ["cut"],
        ["hang"],
        [404, 401],
        [(429, {"Retry-After": "0"})],
        [200, 500, 200, "cut"],
        [302, 408, 425],
    ],
    ids=str,
)
def test_faults_lose_nothing_double_nothing_and_keep_the_order(hook: Receiver, script: list[Any]) -> None:
    hook.script.extend(script)
    _, dead = deliver(LIFE, webhook(hook, timeout="300ms"))
    assert hook.webhook_ids() == IDS
    assert hook.bodies() == [orjson.loads(one) for one in LIFE]
    assert dead == []


def test_an_answer_that_is_lost_doubles_a_message_with_the_same_id(hook: Receiver) -> None:
    hook.script.extend(["taken-but-cut"])
    deliver(LIFE, webhook(hook))
    assert hook.webhook_ids() == [IDS[0], *IDS]
    assert list(dict.fromkeys(hook.webhook_ids())) == IDS


def test_retry_after_is_waited_for(hook: Receiver) -> None:
    hook.script.append((429, {"Retry-After": "1"}))
    begun = time.monotonic()
    deliver(LIFE[:1], webhook(hook))
    assert time.monotonic() - begun >= 1.0
    assert hook.webhook_ids() == IDS[:1]


def test_410_disables_the_target_and_nothing_is_lost_unseen(hook: Receiver) -> None:
    hook.script.extend([200, 410])
    _, dead = deliver(LIFE, webhook(hook))
    assert hook.webhook_ids() == IDS[:1]
    assert len(hook.tries) == 2
    assert [(letter.body, letter.headers["pivotwatch.errors.class"]) for letter in dead] == [
        (LIFE[1], "gone"),
        (LIFE[2], "gone"),
    ]


def test_a_target_that_is_down_is_asked_rarely_and_gets_everything_when_it_is_back(hook: Receiver) -> None:
    hook.script.extend([503] * 12)
    many = [raw("open", alert_id=f"{number:016x}", revision=1) for number in range(40)]
    desk, dead = deliver(many, webhook(hook))
    assert sorted(hook.webhook_ids()) == sorted(orjson.loads(one)["id"] for one in many)
    # Five failures open the circuit, at most as many more were under way; then it is one at a time.
    assert len(hook.tries) == 52
    assert desk.couriers[0].state == "closed"
    assert dead == []


def test_pagerduty_and_slack_get_their_lifecycle(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as chat:
        monkeypatch.setenv("CHAT_SECRET", chat.url)
        deliver(
            LIFE,
            {"name": "pager", "kind": "pagerduty", "url": hook.url, "secret_env": "PAGER_SECRET"},
            {"name": "chat", "kind": "slack", "secret_env": "CHAT_SECRET", "interval": "50ms"},
        )
        assert [body["event_action"] for body in hook.bodies()] == ["trigger", "trigger", "resolve"]
        assert {body["dedup_key"] for body in hook.bodies()} == {"pivotwatch/0123456789abcdef"}
        assert {body["routing_key"] for body in hook.bodies()} == {ROUTING_KEY}
        heads = [body["blocks"][0]["text"]["text"] for body in chat.bodies()]
        assert [head.split()[0] for head in heads] == ["🚨", "🚨", "✅"]


def test_apprise_notifies(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPRISE_SECRET", hook.url.replace("http://", "json://"))
    deliver(LIFE, {"name": "chat", "kind": "apprise", "secret_env": "APPRISE_SECRET"})
    assert [body["type"] for body in hook.bodies()] == ["failure", "failure", "success"]


def test_files_hold_a_document_a_line(tmp_path: Path) -> None:
    events, findings = tmp_path / "events.jsonl", tmp_path / "findings.jsonl"
    deliver(
        LIFE,
        {"name": "events", "kind": "cloudevents", "file": str(events)},
        {"name": "findings", "kind": "ocsf", "file": str(findings)},
    )
    assert events.read_bytes().splitlines() == LIFE
    assert [orjson.loads(one)["activity_id"] for one in findings.read_bytes().splitlines()] == [1, 2, 3]


def test_stdout_is_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    deliver(LIFE, {"name": "out", "kind": "stdout"})
    assert capsys.readouterr().out.count("network AS64500 moved to m-2") == 3


def test_no_secret_and_no_address_is_ever_logged(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret_url = hook.url + "/T0/B0/very-secret-part"
    monkeypatch.setenv("CHAT_SECRET", secret_url)
    monkeypatch.setenv("APPRISE_SECRET", secret_url.replace("http://", "json://"))
    hook.script.extend([500, 400, "cut", 410, 410, 200, 400])
    _, dead = deliver(
        LIFE,
        webhook(hook),
        {"name": "pager", "kind": "pagerduty", "url": hook.url, "secret_env": "PAGER_SECRET"},
        {"name": "chat", "kind": "slack", "secret_env": "CHAT_SECRET", "interval": "1ms"},
        {
            "name": "down",
            "kind": "slack",
            "secret_env": "CHAT_SECRET",
            "retry_budget": "0s",
            "timeout": "1ms",
        },
    )
    told = caplog.text + repr(dead)
    for secret in (SECRET, SECRET.removeprefix("whsec_"), ROUTING_KEY, "very-secret-part"):
        assert secret not in told


def test_the_trial_is_taken_or_says_why(hook: Receiver) -> None:
    async def tried() -> list[Any]:
        [courier] = couriers(Config(webhook(hook)), None)  # type: ignore[arg-type]
        answers = [answer async for answer in trial(courier.endpoint)]
        await courier.endpoint.close()
        return answers

    assert asyncio.run(tried()) == [("open", True, "200 ok"), ("resolved", True, "200 ok")]
    assert all(body["data"]["test"] for body in hook.bodies())
    hook.script.append(500)
    assert asyncio.run(tried()) == [("open", False, "status 500")]
