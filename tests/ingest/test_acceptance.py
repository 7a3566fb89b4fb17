"""What HTTP ingest accepts, counting accepts: no event is refused after the server has answered 200."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.contracts.records import Line
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.ingest.arrays import ArrayBuilder
from pivotwatch.ingest.decoded import Decoded
from pivotwatch.ingest.decoder import IN_FUTURE
from pivotwatch.ingest.settings import Decoders, read_settings
from pivotwatch_models.method import STATE
from pivotwatch_models.settings import Settings
from tests.detection.stream import ANYBODY
from tests.engine.http_rig import request
from tests.ingest.samples import SAMPLES
from tests.ingest.test_http_access import serving

NOW = 1_770_314_400_000
LATEST = NOW + STATE.membership.future_ms
DECODERS = Decoders(read_settings({}))
EVENT = {"id": "r", "ts": NOW, "account": "a", "model": "m", "network": "AS1"}

EDGES = st.sampled_from(
    [
        *(
            0,
            1,
            -1,
            NOW,
            LATEST,
            LATEST + 1,
            4_070_908_800_000,
            4_102_444_800_000,
            2**40,
            2**40 + 1,
            2**63,
            2**64,
        ),
        *(1.5, float(NOW), NOW / 1000, True, None, "", " ", "2099-01-01T00:00:00Z", "2026-02-05T18:00:00Z"),
        *("2026-02-05T18:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", str(NOW), "1e3", "NaN"),
        *("x" * 512, "x" * 513, "\x00", "\u202e", "\ud83d\ude00" * 300, [], {}, [1], {"a": 1}, [[]]),
    ]
)
VALUES = EDGES | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
KINDS = st.sampled_from(
    ["account", "network", "payment", "x" * 64, "x" * 65, "", "a b", *(f"k{n}" for n in range(9))]
)
FIELDS = (
    "id",
    "ts",
    "account",
    "model",
    "network",
    "ip",
    "requested_model",
    "account_created",
    "input_tokens",
)
LINKS = VALUES | st.dictionaries(KINDS, VALUES, max_size=10)
CHANGES = st.dictionaries(st.sampled_from([*FIELDS, "output_tokens", "tools", "status"]), VALUES, max_size=4)


def refused(decoded: Decoded, now: int = NOW) -> list[str]:
    """Why counting refuses events of a body that arrive at some time."""
    step = CountingOperator(Settings(), 0, 1, quorum=ANYBODY)
    arrays = ArrayBuilder(1).arrays((((0, 0), event) for _, event in decoded.events), None)
    outputs = step.process([Line(array.value, offset, now) for offset, array in enumerate(arrays)])
    outputs += step.final()
    return [str(dict(output.headers)) for output in outputs if output.topic == "dlq"]


@given(st.lists(st.tuples(CHANGES, st.none() | LINKS), min_size=1, max_size=5))
def test_counting_accepts_what_http_accepts(changes: list[tuple[dict[str, Any], Any]]) -> None:
    documents = [EVENT | changed | ({} if links is None else {"links": links}) for changed, links in changes]
    try:
        body = orjson.dumps(documents)
    except TypeError:  # A number that JSON of other writers holds, and this one's does not.
        body = (
            repr(documents)
            .replace("'", '"')
            .replace("None", "null")
            .replace("True", "true")
            .encode(errors="replace")
        )
    decoded = DECODERS.of("native").decode(body, latest=LATEST)
    assert refused(decoded) == []


@pytest.mark.parametrize("source", sorted(SAMPLES))
def test_every_source_checks_the_future(source: str) -> None:
    raw = orjson.dumps(SAMPLES[source][0])
    decoder = DECODERS.of(source)
    [(_, event)] = decoder.decode(raw).events
    assert decoder.decode(raw, latest=event["ts"]).bad == []
    bad = decoder.decode(raw, latest=event["ts"] - 1).bad
    assert {str(one.error) for one in bad} == {IN_FUTURE}
    assert refused(decoder.decode(raw, latest=event["ts"]), event["ts"]) == []


BAD = {
    "ts 2099": {"ts": 4_070_908_800_000},
    "ts 2099 as text": {"ts": "2099-01-01T00:00:00Z"},
    "ts 0": {"ts": 0},
    "ts before 1970": {"ts": -5},
    "ts 2100": {"ts": 4_102_444_800_000},
    "a link with a field of its own": {"links": {"network": "AS1"}},
    "too many links": {"links": {f"k{number}": "v" for number in range(9)}},
    "a long account": {"account": "x" * 513},
    "an empty model": {"model": ""},
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("on_bad", ["refuse", "dead_letters"])
def test_the_answer_names_the_element_and_the_reason(name: str, on_bad: str) -> None:
    good = EVENT | {"ts": round(time.time() * 1000), "id": "good"}
    body = orjson.dumps([good, good | {"id": "bad"} | BAD[name]]).decode()
    status, answer, sent = asyncio.run(post(body, on_bad))
    if on_bad == "dead_letters":
        assert (status, answer["accepted"], answer["dead_letters"], sent) == (200, 1, 1, ["good"])
        return
    assert (status, sent) == (422, [])
    [bad] = answer["bad"]
    assert bad["position"] == 1
    fields = ("ts", "links", "links.network", "account", "model")
    assert bad["problem"].split(":")[0] in fields


async def post(body: str, on_bad: str) -> tuple[int, Any, list[str]]:
    """Status and answer of a server, and the ids of the events that it has sent."""
    async with serving(allow_without_token=True, on_bad=on_bad) as served:
        client = await served.connect()
        client.send(request("/v1/events", "POST", body, Connection="close"))
        head, _, text = (await client.read()).partition("\r\n\r\n")
        return int(head.split()[1]), orjson.loads(text), served.publisher.got
