"""A worker whose stop hangs still ends with the status and the message of an orderly stop."""

from __future__ import annotations

import faust
import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from pivotwatch.base.errors import WrongUse
from pivotwatch.engine import runtime as module
from pivotwatch.engine.runtime import RoleWorker


class Ended(Exception):
    pass


def cut_short(monkeypatch, capsys, reason):
    def end(status):
        raise Ended(status)

    monkeypatch.setattr(module.os, "_exit", end)
    worker = RoleWorker(faust.App("cut-short", web_enabled=False), quiet=True)
    worker.user = "alice"
    worker._crash_reason = reason
    with pytest.raises(Ended) as ended:
        worker._cut_short()
    return ended.value.args[0], capsys.readouterr().err


@pytest.mark.parametrize(
    ("reason", "status", "told"),
    [
        (None, 0, ""),
        (RuntimeError("a fault of ours"), 1, ""),
        (WrongUse("start it with --reset-state"), 2, "Error: start it with --reset-state\n"),
    ],
)
def test_the_status_and_the_message_are_those_of_an_orderly_end(monkeypatch, capsys, reason, status, told):
    assert cut_short(monkeypatch, capsys, reason) == (status, told)


def test_a_missing_right_is_named(monkeypatch, capsys):
    reason = RuntimeError("a record was not sent")
    reason.__context__ = TopicAuthorizationFailedError("requests.dlq")
    status, told = cut_short(monkeypatch, capsys, reason)
    assert status == 3
    assert told.startswith("Error: alice lacks a right")
    assert "requests.dlq" in told
