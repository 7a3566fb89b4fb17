"""A request that a producer sends twice counts once, when so configured; exactly, after restarts too."""

from __future__ import annotations

import random

import pytest

from pivotwatch.contracts.events import decode
from pivotwatch.detection.counting.recent_requests import SEGMENTS, RecentRequests
from tests.detection.stream import START, accounts_step, bodies, event, line


def stream(count=2_000, seed=3):
    """Events of which every third comes again, up to 100 later."""
    chance = random.Random(seed)
    events = [event(f"a{n % 40}", START + n * 5_000, id=f"r{n}") for n in range(count)]
    again = [(n + chance.random() * 100, one) for n, one in enumerate(events) if n % 3 == 0]
    both = sorted([*((float(n), one) for n, one in enumerate(events)), *again], key=lambda pair: pair[0])
    return events, [one for _, one in both]


def lines(events):
    return [line(one, offset=offset) for offset, one in enumerate(events)]


def result(records, cuts=(), **more):
    """The bucket records, and the number of events, with a restart at each cut."""
    step, outputs, start = accounts_step(**more), [], 0
    stored = {}
    for cut in (*cuts, len(records)):
        for number, content in step.snapshot(full=not start).items():
            stored[number] = content
        again = accounts_step(**more)
        again.restore(step.meta(), {number: content for number, content in stored.items() if content})
        step = again
        outputs += step.process(records[start:cut])
        start = cut
    return bodies([*outputs, *step.final()])


def test_it_is_off_by_default():
    events, both = stream()
    assert result(lines(both)) != result(lines(events))


def test_repeats_count_once_whatever_the_chunks_and_restarts():
    events, both = stream()
    once = result(lines(events))
    assert result(lines(both), remembered=800) == once
    for cuts in ([1], [700, 701, 1500], range(100, 2_600, 100)):
        assert result(lines(both), cuts, remembered=800) == once


def test_another_account_and_a_failed_attempt_are_no_repeats():
    step = accounts_step(remembered=100)
    failed = event("a", id="r1", status=500)
    step.process(lines([failed, event("a", id="r1"), event("b", id="r1"), event("a", id="r1")]))
    counted = step.counters()
    assert (counted["events"] + counted["held"], counted["failed"], counted["repeated"]) == (2, 1, 1)


@pytest.mark.parametrize("word", ["None", "", "unknown"])
def test_what_is_no_id_is_never_a_repeat(word):
    step = accounts_step(remembered=100)
    step.process(lines([event("a", id=word), event("a", id=word)]))
    assert step.counters()["repeated"] == 0


def test_the_window_is_bounded():
    recent = RecentRequests(800)
    for number in range(20_000):
        one = decode(b'{"id":"r%d","ts":1,"account":"a","model":"m"}' % number)
        assert not recent.has(one)
        assert len(recent) <= 800 + 800 // SEGMENTS
        old = decode(b'{"id":"r%d","ts":1,"account":"a","model":"m"}' % max(number - 799, 0))
        assert recent.has(old)
