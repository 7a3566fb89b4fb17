"""The dispatcher: order, independence of targets, retries, dead letters, the notification log."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch.contracts.alerts import Alert
from pivotwatch.contracts.dead_letters import about_of
from pivotwatch.delivery import dispatcher as dispatchers
from pivotwatch.delivery import target_sender as target_senders
from pivotwatch.delivery.errors import Rejected, RetryLater, TargetGone
from tests.delivery.rig import Log, Recorder, Rig, reasons, wait_for
from tests.formats.examples import raw

A, B = "0123456789abcdef", "fedcba9876543210"
LIFE = ("open", "updated", "updated", "resolved")


def life(alert_id: str, *states: str) -> list[bytes]:
    return [raw(state, alert_id=alert_id, revision=number) for number, state in enumerate(states, start=1)]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_an_incident_is_delivered_in_order_with_reasons() -> None:
    async def test() -> None:
        rig = Rig(one=Recorder())
        rig.start()
        rig.take(*life(A, *LIFE))
        await rig.finished()
        why = ["opened", "update", "update", "resolved"]
        assert rig.endpoints["one"].got == [(f"{A}.{n}", reason) for n, reason in enumerate(why, start=1)]

    run(test())


def test_a_hanging_target_delays_no_other() -> None:
    async def test() -> None:
        rig = Rig(stuck=Recorder(), well=Recorder())
        rig.endpoints["stuck"].held.clear()
        rig.start()
        rig.take(*life(A, *LIFE), *life(B, *LIFE))
        await wait_for(lambda: len(rig.endpoints["well"].got) == 8)
        assert rig.dispatcher.offsets.committable == 0
        rig.endpoints["stuck"].held.set()
        await rig.finished()
        assert len(rig.endpoints["stuck"].got) == 8

    run(test())


def test_an_incident_that_fails_delays_no_other_incident() -> None:
    class Picky(Recorder):
        async def send(self, delivery: Any) -> str:
            if delivery.alert.data.alert_id == A and self.faults:
                raise RetryLater("not this one")
            return await super().send(delivery)

    async def test() -> None:
        picky = Picky(RetryLater("always"))
        rig = Rig(picky=picky)
        rig.start()
        rig.take(*life(A, *LIFE), *life(B, *LIFE))
        await wait_for(lambda: len(picky.got) >= 0 and B in "".join(picky.tried))
        picky.faults.clear()
        await rig.finished()
        for alert_id in (A, B):
            got = [one for one, _ in picky.got if one.startswith(alert_id)]
            assert got == [f"{alert_id}.{n}" for n in range(1, 5)]

    run(test())


@settings(max_examples=30)
@given(st.lists(st.booleans(), max_size=30), st.integers(1, 4))
def test_failures_within_the_budget_lose_and_repeat_nothing(faults: list[bool], incidents: int) -> None:
    async def test() -> None:
        rig = Rig(one=Recorder(*[RetryLater("down") if fault else None for fault in faults]))
        rig.start()
        ids = [f"{number:016x}" for number in range(incidents)]
        rig.take(
            *[record for four in zip(*[life(one, *LIFE) for one in ids], strict=True) for record in four]
        )
        await rig.finished()
        got = [one for one, _ in rig.endpoints["one"].got]
        assert sorted(got) == sorted(f"{one}.{n}" for one in ids for n in range(1, 5))
        for one in ids:
            assert [g for g in got if g.startswith(one)] == [f"{one}.{n}" for n in range(1, 5)]
        assert rig.dead == []

    run(test())


def test_after_the_budget_an_alert_is_a_dead_letter_and_the_incident_continues() -> None:
    async def test() -> None:
        rig = Rig(one=Recorder())
        rig.settings["one"] = {"retry_budget": "20ms"}
        rig.endpoints["one"].faults = [RetryLater("status 500")] * 1000
        rig.start()
        rig.take(*life(A, "open"))
        await rig.finished()
        [letter] = rig.dead
        assert letter.value == life(A, "open")[0]
        about = about_of(letter.headers)
        assert (about.error_class, about.target, about.stage) == ("budget", "one", "delivery")
        assert rig.target_senders[0].counts["dead-budget"] == 1
        # The alert may have arrived, so its end is delivered.
        rig.endpoints["one"].faults.clear()
        rig.take(raw("resolved", alert_id=A, revision=2))
        await rig.finished()
        assert rig.endpoints["one"].got == [(f"{A}.2", "resolved")]

    run(test())


@pytest.mark.parametrize(
    ("fault", "reason"), [(Rejected("status 400"), "refused"), (TargetGone("status 410"), "gone")]
)
def test_refused_alerts_are_not_retried(fault: Exception, reason: str) -> None:
    async def test() -> None:
        rig = Rig(one=Recorder(fault))
        rig.start()
        rig.take(*life(A, "open"))
        await rig.finished()
        assert reasons(rig.dead) == [reason]
        assert len(rig.endpoints["one"].tried) == 1
        rig.take(*life(B, "open"))
        await rig.finished()
        # 410 disables the target; a refused message does not.
        assert len(rig.endpoints["one"].got) == (0 if reason == "gone" else 1)

    run(test())


def test_a_restart_repeats_nothing_in_the_notification_log() -> None:
    async def test() -> None:
        rig = Rig(one=Recorder(), two=Recorder())
        rig.start()
        rig.take(*life(A, "open", "updated"))
        await rig.finished()
        rig.offset = 0
        rig.start()
        rig.take(*life(A, *LIFE))
        await rig.finished()
        assert [one for one, _ in rig.endpoints["one"].got] == [f"{A}.{n}" for n in range(1, 5)]
        assert rig.target_senders[0].counts == {"repeat": 2, "delivered": 2}

    run(test())


def test_an_incident_that_falls_below_the_filter_still_gets_its_end() -> None:
    async def test() -> None:
        rig = Rig(pager=Recorder(), networks=Recorder())
        rig.settings["pager"] = {"min_severity": "high"}
        rig.settings["networks"] = {"entities": ["network"], "models": ["m-*"]}
        rig.start()
        rig.take(
            raw("open", alert_id=A, revision=1, severity="high"),
            raw("updated", alert_id=A, revision=2, severity="low"),
            raw("resolved", alert_id=A, revision=3, severity="low"),
            raw("open", alert_id=B, revision=1, severity="low", entity={"kind": "account", "id": "a"}),
            raw("resolved", alert_id=B, revision=2, severity="low", entity={"kind": "account", "id": "a"}),
        )
        await rig.finished()
        assert [one for one, _ in rig.endpoints["pager"].got] == [f"{A}.{n}" for n in (1, 2, 3)]
        assert rig.target_senders[0].counts == {"delivered": 3, "filtered": 1, "never-notified": 1}
        assert rig.target_senders[1].counts == {"delivered": 3, "filtered": 1, "never-notified": 1}

    run(test())


def test_an_incident_can_open_again_after_its_end() -> None:
    async def test() -> None:
        rig = Rig(one=Recorder())
        rig.start()
        rig.take(*life(A, "open", "resolved", "updated", "suppressed"))
        await rig.finished()
        assert [reason for _, reason in rig.endpoints["one"].got] == [
            "opened",
            "resolved",
            "reopened",
            "suppressed",
        ]

    run(test())


def test_an_unreadable_record_is_one_dead_letter_and_a_tombstone_is_ignored() -> None:
    async def test() -> None:
        rig = Rig(one=Recorder(), two=Recorder())
        rig.start()
        rig.take(b"{}", None, *life(A, "open"))
        await rig.finished()
        [letter] = rig.dead
        assert (letter.value, reasons(rig.dead)) == (b"{}", ["unreadable"])

    run(test())


def test_open_incidents_are_resent_after_a_restart_too_but_not_after_their_end() -> None:
    async def test() -> None:
        manager = Recorder(by_severity=True, resend_interval=0.01)
        rig = Rig(manager=manager)
        rig.start()
        rig.take(*life(A, "open"), *life(B, "open", "resolved"))
        await rig.finished()
        await wait_for(lambda: [f"{A}.1"] in manager.resent)
        rig.dispatcher.stop()
        manager.resent.clear()
        rig.start()
        await wait_for(lambda: manager.resent == [[f"{A}.1"]] * len(manager.resent) and manager.resent)
        rig.take(raw("updated", alert_id=A, revision=2, severity="low"))
        await rig.finished()
        assert manager.got[-1] == (f"{A}.2", "severity-changed")
        rig.dispatcher.stop()

    run(test())


def test_waiting_alerts_beyond_the_limit_become_dead_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatchers, "MAX_WAITING", 2)

    async def test() -> None:
        rig = Rig(one=Recorder())
        rig.endpoints["one"].held.clear()
        rig.start()
        rig.take(*life(A, "open", "updated", "updated"))
        rig.endpoints["one"].held.set()
        await rig.finished()
        assert reasons(rig.dead) == ["overflow"]

    run(test())


def test_the_limit_holds_while_every_target_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatchers, "MAX_WAITING", 4)
    monkeypatch.setattr(target_senders, "MAX_ACTIVE", 2)

    async def test() -> None:
        rig = Rig(one=Recorder())
        rig.endpoints["one"].held.clear()
        rig.start()
        rig.take(*[raw("open", alert_id=f"{number:016x}", revision=1) for number in range(9)])
        await wait_for(lambda: len(rig.dead) == 5)
        assert rig.target_senders[0].waiting == 4
        assert len(rig.endpoints["one"].tried) == 2
        rig.endpoints["one"].held.set()
        await rig.finished()
        assert len(rig.endpoints["one"].got) == 4

    run(test())


def test_after_a_revocation_nothing_is_delivered_or_written() -> None:
    async def test() -> None:
        rig = Rig(one=Recorder(resend_interval=0.001))
        rig.start()
        rig.take(*life(A, "open"))
        await rig.finished()
        rig.ours, kept = False, dict(rig.log.stored)
        told = len(rig.endpoints["one"].resent)
        rig.take(*life(A, "open", "resolved")[1:], *life(B, "open"))
        await asyncio.sleep(0.02)
        assert rig.endpoints["one"].got == [(f"{A}.1", "opened")]
        assert len(rig.endpoints["one"].resent) <= told + 1
        assert rig.log.stored == kept
        assert rig.target_senders[0].waiting == 2
        rig.dispatcher.stop()
        assert rig.target_senders[0].waiting == 0

    run(test())


def test_old_incidents_are_removed_from_the_log() -> None:
    async def test() -> None:
        rig = Rig(one=Recorder())
        rig.start()
        rig.take(*life(A, "open", "resolved"), *life(B, "open"))
        await rig.finished()
        assert len(rig.log.stored) == 2
        await rig.dispatcher.notifications.delete_before(2**53)
        assert [orjson.loads(value)["open"] for value in rig.log.stored.values()] == [True]

    run(test())


def test_an_error_of_one_target_is_a_dead_letter_and_stops_no_other() -> None:
    async def test() -> None:
        rig = Rig(odd=Recorder(ZeroDivisionError("s3cret")), well=Recorder())
        rig.start()
        rig.take(*life(A, "open", "resolved"))
        await rig.finished()
        assert [reason for _, reason in rig.endpoints["well"].got] == ["opened", "resolved"]
        assert [reason for _, reason in rig.endpoints["odd"].got] == ["resolved"]
        [letter] = rig.dead
        about = about_of(letter.headers)
        assert (about.error_class, about.message) == ("broken", "ZeroDivisionError")

    run(test())


def test_a_failing_notification_log_ends_the_worker() -> None:
    class Full(Log):
        async def send(self, key: bytes, value: bytes | None) -> Any:
            raise OSError("disk full")

    async def test() -> None:
        rig = Rig(one=Recorder())
        rig.log = Full()
        rig.start()
        rig.take(*life(A, "open"))
        await wait_for(lambda: rig.failures)
        assert rig.dispatcher.offsets.committable == 0

    run(test())


class Manager(Recorder):
    """A notifier whose resends fail on demand."""

    def __init__(self) -> None:
        super().__init__(by_severity=True, resend_interval=0.002)
        self.resend_faults: list[Exception] = []

    async def resend(self, alerts: Iterable[Alert]) -> None:
        if self.resend_faults:
            raise self.resend_faults.pop(0)
        await super().resend(alerts)


@pytest.mark.parametrize(
    "faults",
    [[RetryLater("connection refused")] * 7, [Rejected("status 400")], [ZeroDivisionError()]],
    ids=["down", "refused", "broken"],
)
def test_failed_resends_are_retried_without_another_alert(
    faults: list[Exception],
) -> None:
    async def test() -> None:
        rig = Rig(manager=(manager := Manager()))
        rig.start()
        rig.take(*life(A, "open"))
        await rig.finished()
        manager.resend_faults = list(faults)
        await wait_for(lambda: not manager.resend_faults)
        manager.resent.clear()
        await wait_for(lambda: [f"{A}.1"] in manager.resent)
        assert rig.failures == []
        rig.dispatcher.stop()

    run(test())


def test_a_target_that_is_gone_at_a_resend_is_disabled_and_stops_no_other() -> None:
    async def test() -> None:
        rig = Rig(manager=(manager := Manager()), well=Recorder())
        rig.start()
        rig.take(*life(A, "open"))
        await rig.finished()
        manager.resend_faults = [TargetGone("status 410")]
        await wait_for(lambda: rig.target_senders[0].state == "disabled")
        rig.take(raw("resolved", alert_id=A, revision=2))
        await rig.finished()
        assert [one for one, _ in rig.endpoints["well"].got] == [f"{A}.1", f"{A}.2"]
        assert reasons(rig.dead) == ["gone"]
        rig.dispatcher.stop()

    run(test())


GROWTH = [
    ("open", {"members_total": 10, "severity": "medium"}),
    ("updated", {"members_total": 12, "severity": "medium", "transition": "evidence-grew"}),
    ("updated", {"members_total": 20, "severity": "medium", "transition": "evidence-grew"}),
    ("updated", {"members_total": 30, "severity": "medium", "transition": "evidence-grew"}),
    ("updated", {"members_total": 31, "severity": "high", "transition": "severity-rose"}),
    ("updated", {"members_total": 31, "severity": "high", "transition": "confirmed"}),
    ("updated", {"members_total": 32, "severity": "high", "transition": "merged"}),
    ("resolved", {"members_total": 32, "severity": "high", "transition": "quiet"}),
    ("updated", {"members_total": 33, "severity": "high", "transition": "reopened"}),
    ("suppressed", {"members_total": 33, "severity": "high", "transition": "benign"}),
]


@pytest.mark.parametrize(
    ("updates", "told"),
    [
        ("all", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        # 20 members are twice the delivered number; 30 are not twice 20.
        ("major", [1, 3, 5, 6, 8, 9, 10]),
        ("severity", [1, 5, 8, 9, 10]),
        ("none", [1, 8, 9, 10]),
    ],
)
def test_each_target_gets_its_configured_updates(updates: str, told: list[int]) -> None:
    async def test() -> None:
        rig = Rig(one=Recorder())
        rig.settings["one"] = {"updates": updates}
        for _ in range(2):  # After a restart nothing changes.
            rig.offset = 0
            rig.start()
            rig.take(
                *[
                    raw(state, alert_id=A, revision=n, **more)
                    for n, (state, more) in enumerate(GROWTH, start=1)
                ]
            )
            await rig.finished()
        assert [one for one, _ in rig.endpoints["one"].got] == [f"{A}.{n}" for n in told]

    run(test())


def test_a_target_by_severity_gets_every_severity_whatever_updates_says() -> None:
    async def test() -> None:
        rig = Rig(manager=(manager := Recorder(by_severity=True)))
        rig.settings["manager"] = {"updates": "none"}
        rig.start()
        rig.take(*[raw(state, alert_id=A, revision=n, **more) for n, (state, more) in enumerate(GROWTH, 1)])
        await rig.finished()
        assert manager.got == [
            (f"{A}.1", "opened"),
            (f"{A}.5", "severity-changed"),
            (f"{A}.8", "resolved"),
            (f"{A}.9", "reopened"),
            (f"{A}.10", "suppressed"),
        ]

    run(test())


def test_a_notification_log_without_member_counts_is_read() -> None:
    async def test() -> None:
        rig = Rig(one=Recorder())
        rig.settings["one"] = {"updates": "major"}
        old = {"revision": 1, "severity": "critical", "open": True, "alert": None, "written": 0}
        rig.log.stored[f"one/{A}".encode()] = orjson.dumps(old)
        rig.start()
        rig.take(raw("updated", alert_id=A, revision=2), raw("resolved", alert_id=A, revision=3))
        await rig.finished()
        assert [one for one, _ in rig.endpoints["one"].got] == [f"{A}.3"]

    run(test())
