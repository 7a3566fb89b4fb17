"""Everything that reads a topic or a foreign record, behind one interface: records in, outputs out, restarts.

`READERS` has an entry for every pair of user and topic in the access rights, and for every source of ingest.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import orjson

from pivotwatch.base.errors import WrongUse
from pivotwatch.cli.alerts import FORMATS, _printer
from pivotwatch.cli.dlq import _as_json, _delivery_line, _first_bytes
from pivotwatch.config.config import load
from pivotwatch.contracts.dead_letters import parse_dead_letter
from pivotwatch.contracts.records import Line, Output
from pivotwatch.delivery.errors import Rejected
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch.ingest.arrays import ArrayBuilder
from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.mapping import SourceMapping, load_file
from pivotwatch.ingest.rejects import dead_letter
from pivotwatch.roles.bucket_progress import BucketProgress
from pivotwatch.web.api import entry_fields
from pivotwatch.web.page_reader import Reader as PageTopics
from pivotwatch.web.read_model import ReadModel
from pivotwatch.web.server_sent_events import EventStream
from pivotwatch.web.sessions import Sessions
from pivotwatch.web.view_models import ViewModels
from pivotwatch_models.settings import HOUR_MS, Settings
from tests.delivery.rig import Recorder, Rig
from tests.detection.stream import ANYBODY
from tests.fuzz.examples import ACTIVE, ALERT, EVENT, RELEASE, SAMPLES, START, STATUS

CONFIG = load()


class Reader(Protocol):
    """One role with the records of one topic."""

    def take(self, record: Line) -> Sequence[Output]:
        """Take a record; returns the outputs."""

    def restart(self) -> None:
        """Continue from the stored state, as another process does."""

    def finish(self) -> Sequence[Output]:
        """Do what a worker does afterwards with sound records; returns the outputs."""


class Counting:
    """``requests`` in `accounts`."""

    def __init__(self) -> None:
        self.operator = self._new()
        self.shards: dict[int, bytes] = {}

    def _new(self) -> CountingOperator:
        return CountingOperator(Settings(), 0, 1, shards=2, quorum=ANYBODY)

    def take(self, record: Line) -> Sequence[Output]:
        return self.operator.process([record])

    def restart(self) -> None:
        self.shards |= self.operator.snapshot(full=not self.shards)
        meta, self.operator = self.operator.meta(), self._new()
        self.operator.restore(meta, {n: content for n, content in self.shards.items() if content})
        self.shards = {}

    def finish(self) -> Sequence[Output]:
        before = self.operator.counters()["events"]
        outputs = [*self.operator.process([Line(orjson.dumps(EVENT), 10**6)])]
        assert self.operator.counters()["events"] + len(self.operator.buckets.held) > before or outputs
        return [*outputs, *self.operator.final()]


class Scoring:
    """``buckets``, ``releases`` or ``decisions`` in `networks`."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.operator = ScoringOperator(Settings(), 1)
        self.operator.control("releases", Line(orjson.dumps(RELEASE), 0))
        self.rest = list(ACTIVE[:6])
        self.operator.process([Line(self.rest.pop(0), number) for number in range(2)])

    def take(self, record: Line) -> Sequence[Output]:
        if self.topic != "buckets":
            outputs = self.operator.control(self.topic, record)
            self.operator.repin(self.operator.pins())
            return [*outputs, *(self.operator.process([Line(self.rest.pop(0))]) if self.rest else ())]
        with contextlib.suppress(WrongUse):  # A newer program wrote it: to leave it out would be wrong.
            return self.operator.process([record])
        return []

    def restart(self) -> None:
        meta, shards = self.operator.meta(), self.operator.snapshot(full=True)
        self.operator = ScoringOperator(Settings(), 1)
        self.operator.restore(meta, shards)

    def finish(self) -> Sequence[Output]:
        return self.operator.process([Line(record) for record in self.rest])


class Progress:
    """``buckets`` in `accounts`."""

    def __init__(self) -> None:
        self.progress = BucketProgress(1, HOUR_MS)

    def take(self, record: Line) -> Sequence[Output]:
        self.progress.take(record)
        return ()

    def restart(self) -> None:
        self.progress = BucketProgress(1, HOUR_MS)

    def finish(self) -> Sequence[Output]:
        return self.take(Line(ACTIVE[0]))


class Page:
    """A topic of `web`: afterwards every view can be shown."""

    def __init__(self, topic: Any) -> None:
        self.topic = topic
        self.restart()
        self.put("alerts", ALERT)
        self.put("status", STATUS)

    def restart(self) -> None:
        places = [(name, 0) for name in ("alerts", "status", "decisions", "sessions")]
        self.read_model, self.sessions, self.stream = ReadModel(), Sessions(), EventStream()
        self.topics = PageTopics(CONFIG, places, self.read_model, self.stream, self.sessions)  # type: ignore[arg-type]

    def put(self, topic: Any, value: bytes) -> None:
        self.topics.take((topic, 0), Line(value, 0, START))

    def take(self, record: Line) -> Sequence[Output]:
        self.topics.take((self.topic, 0), record)
        return ()

    def finish(self) -> Sequence[Output]:
        self.put("alerts", ALERT)
        self.put("status", STATUS)
        views = ViewModels(CONFIG, self.read_model, lambda: START)
        orjson.dumps(views.now(), default=str)
        for incident in self.read_model.shown():
            views.incident(incident)
            self.read_model.about(incident)
        views.table("all", "all", 0)
        self.sessions.every()
        return ()


class Delivery:
    """``alerts`` in `delivery`: one target takes every alert, one refuses them."""

    def __init__(self) -> None:
        self.rig = Rig(one=Recorder(), two=Recorder(*[Rejected("status 400")] * 50))
        self.records: list[bytes | None] = []
        self.outputs: list[Output] = []

    def take(self, record: Line) -> Sequence[Output]:
        self.records.append(record.value)
        return ()

    def restart(self) -> None:
        self.finish()

    def finish(self) -> Sequence[Output]:
        async def deliver() -> None:
            self.rig.offset = 0
            self.rig.start()
            self.rig.take(*self.records)
            await self.rig.finished()

        asyncio.run(deliver())
        entries = [Output("log", key, value) for key, value in self.rig.log.stored.items()]
        outputs, self.records, self.rig.dead = [*self.rig.dead, *entries], [], []
        return outputs


class Letters:
    """A topic of dead letters, in the commands that list and send them again."""

    def take(self, record: Line) -> Sequence[Output]:
        kafka: Any = _KafkaRecord(record)
        try:
            found = parse_dead_letter(kafka)
        except WrongUse:
            return ()
        assert found.obstacle or found.about.topic
        orjson.dumps(_as_json(found))
        _delivery_line(found)
        _first_bytes(found.value)
        return ()

    def restart(self) -> None:
        pass

    def finish(self) -> Sequence[Output]:
        return ()


class _KafkaRecord:
    partition = 0

    def __init__(self, record: Line) -> None:
        self.offset, self.timestamp = record.offset, record.timestamp or 0
        self.key, self.value, self.headers = record.key, record.value, record.headers


class Tail:
    """``alerts`` in `alerts tail`."""

    def __init__(self) -> None:
        self.printers = [_printer(form) for form in FORMATS]

    def take(self, record: Line) -> Sequence[Output]:
        for show in self.printers if record.value is not None else ():
            show(record.value)
        return ()

    def restart(self) -> None:
        pass

    def finish(self) -> Sequence[Output]:
        return ()


class Audit:
    """``decisions`` in `decisions list`."""

    def __init__(self) -> None:
        self.read_model = ReadModel()

    def take(self, record: Line) -> Sequence[Output]:
        self.read_model.take_decision(record.offset, record.key, record.value, record.headers)
        return ()

    def restart(self) -> None:
        self.read_model = ReadModel()

    def finish(self) -> Sequence[Output]:
        orjson.dumps([entry_fields(entry) for entry in self.read_model.history()], default=str)
        return ()


class Source:
    """A source of `ingest`: what it sends on, `accounts` counts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.decoder = DECODERS.get(name) or Decoder(SourceMapping(name, load_file(name)))
        DECODERS[name] = self.decoder
        self.counting = Counting()

    def take(self, record: Line) -> Sequence[Output]:
        decoded = self.decoder.decode(record.value)
        placed = [((record.offset, position), event) for position, event in decoded.events]
        arrays = [*ArrayBuilder(1).arrays(placed, ("log", 0))]
        letters = [dead_letter(bad, "full", self.name, record, ("log", 0)) for bad in decoded.bad]
        counted = [
            one
            for number, array in enumerate(arrays)
            for one in self.counting.take(Line(array.value, number, None, headers=array.headers))
        ]
        assert all(one.topic != "dlq" for one in counted)
        sent = [Output("requests", b"", array.value, array.headers) for array in arrays]
        return [*sent, *letters, *counted]

    def restart(self) -> None:
        self.counting.restart()

    def finish(self) -> Sequence[Output]:
        return self.counting.finish()


DECODERS: dict[str, Decoder] = {}
READERS: Mapping[tuple[str, str], Callable[[], Reader]] = {
    ("accounts", "requests"): Counting,
    ("accounts", "buckets"): Progress,
    **{
        ("networks", topic): lambda topic=topic: Scoring(topic)
        for topic in ("buckets", "releases", "decisions")
    },
    **{
        ("web", topic): lambda topic=topic: Page(topic)
        for topic in ("alerts", "status", "decisions", "sessions")
    },
    ("delivery", "alerts"): Delivery,
    ("delivery", "deliveries_dlq"): Letters,
    ("tail", "alerts"): Tail,
    ("audit", "decisions"): Audit,
    **{("ingest", name): partial(Source, name) for name in SAMPLES},
}
"""User and topic, or ``ingest`` and source, to its reader."""
