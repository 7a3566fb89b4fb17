"""HTTP targets with a real receiver that misbehaves."""

from __future__ import annotations

import asyncio
import errno
import io
import logging
import os
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from pivotwatch.base.errors import WrongUse
from pivotwatch.delivery.target_sender import make_target_senders
from pivotwatch.delivery.trial_alert import send_test_alert
from tests.delivery.http_rig import ROUTING_KEY, Config, deliver, webhook
from tests.delivery.receiver import SECRET, Receiver
from tests.delivery.rig import reasons
from tests.formats.examples import STATES, raw

LIFE = [raw(state) for state in STATES[:3]]
IDS = [orjson.loads(one)["id"] for one in LIFE]


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
def test_faults_lose_nothing_repeat_nothing_and_keep_the_order(hook: Receiver, script: list[Any]) -> None:
    hook.script.extend(script)
    _, dead = deliver(LIFE, webhook(hook, timeout="300ms"))
    assert hook.webhook_ids() == IDS
    assert hook.bodies() == [orjson.loads(one) for one in LIFE]
    assert dead == []


def test_a_lost_answer_repeats_the_message_with_the_same_id(hook: Receiver) -> None:
    hook.script.extend(["taken-but-cut"])
    deliver(LIFE, webhook(hook))
    assert hook.webhook_ids() == [IDS[0], *IDS]
    assert list(dict.fromkeys(hook.webhook_ids())) == IDS


def test_retry_after_is_obeyed(hook: Receiver) -> None:
    hook.script.append((429, {"Retry-After": "1"}))
    begun = time.monotonic()
    deliver(LIFE[:1], webhook(hook))
    assert time.monotonic() - begun >= 1.0
    assert hook.webhook_ids() == IDS[:1]


def test_retry_after_delays_all_waiting_deliveries(hook: Receiver) -> None:
    hook.script.extend([200, (429, {"Retry-After": "1"}), 200, 200])
    begun = time.monotonic()
    deliver([raw("open", alert_id=f"{number:016x}", revision=1) for number in range(12)], webhook(hook))
    assert time.monotonic() - begun >= 1.0
    assert len(set(hook.webhook_ids())) == len(hook.taken) == 12


def test_410_disables_the_target_and_the_rest_becomes_dead_letters(hook: Receiver) -> None:
    hook.script.extend([200, 410])
    _, dead = deliver(LIFE, webhook(hook))
    assert hook.webhook_ids() == IDS[:1]
    assert len(hook.tries) == 2
    assert [letter.value for letter in dead] == LIFE[1:3]
    assert reasons(dead) == ["gone", "gone"]


def test_a_target_that_is_down_is_tried_rarely_and_gets_everything_later(hook: Receiver) -> None:
    hook.script.extend([503] * 12)
    many = [raw("open", alert_id=f"{number:016x}", revision=1) for number in range(40)]
    dispatcher, dead = deliver(many, webhook(hook))
    assert sorted(hook.webhook_ids()) == sorted(orjson.loads(one)["id"] for one in many)
    # Five failures open the circuit; the deliveries under way may fail too. Then there is one attempt at a
    # time.
    assert len(hook.tries) == 52
    assert dispatcher.target_senders[0].state == "closed"
    assert dead == []


def test_a_full_disk_leaves_no_partial_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, faults = tmp_path / "events.jsonl", [1, 2]
    ftruncate = os.ftruncate

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if faults:
                faults.pop()
                super().write(bytes(data)[:10])
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    monkeypatch.setattr(Path, "open", lambda self, mode: Full(self, mode))
    monkeypatch.setattr(os, "ftruncate", ftruncate)
    deliver(LIFE, {"name": "events", "kind": "cloudevents", "file": str(path)})
    assert path.read_bytes().splitlines() == LIFE
    assert faults == []


def test_an_alert_that_cannot_be_rendered_stops_no_other(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyError("no such figure")

    monkeypatch.setattr("pivotwatch.formats.slack.render", fail)
    monkeypatch.setenv("CHAT_SECRET", hook.url)
    _, dead = deliver(
        LIFE,
        webhook(hook),
        {"name": "chat", "kind": "slack", "secret_env": "CHAT_SECRET", "interval": "1ms", "updates": "all"},
    )
    assert hook.webhook_ids() == IDS
    assert reasons(dead) == ["broken"] * 3


@pytest.mark.parametrize(
    ("kind", "secret"), [("webhook", "whsec_not+base64!"), ("slack", "T0/B0/no-address")]
)
def test_a_malformed_secret_is_reported_at_the_start_without_its_value(
    kind: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD_SECRET", secret)
    target = {"name": "odd", "kind": kind, "secret_env": "ODD_SECRET"}
    with pytest.raises(WrongUse, match="delivery target odd: expected") as caught:
        make_target_senders(Config(target | ({"url": "http://h"} if kind == "webhook" else {})), None)  # type: ignore[arg-type]
    assert secret not in str(caught.value)


def test_stdout_is_readable_text(capsys: pytest.CaptureFixture[str]) -> None:
    deliver(LIFE, {"name": "out", "kind": "stdout"})
    assert capsys.readouterr().out.count("412 accounts on AS64500 switched to m-2 together") == 3


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


def test_the_test_notification_reports_success_or_the_reason(hook: Receiver) -> None:
    async def tried() -> list[Any]:
        [target_sender] = make_target_senders(Config(webhook(hook)), None)  # type: ignore[arg-type]
        answers = [answer async for answer in send_test_alert(target_sender.notifier)]
        await target_sender.notifier.close()
        return answers

    assert asyncio.run(tried()) == [("open", True, "200 ok"), ("resolved", True, "200 ok")]
    assert all(body["data"]["test"] for body in hook.bodies())
    hook.script.append(500)
    assert asyncio.run(tried()) == [("open", False, "status 500")]
