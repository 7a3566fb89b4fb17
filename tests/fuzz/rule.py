"""The rule for every topic, role and source: ``python -m tests.fuzz.rule --cases 1000000``.

No input ends or stalls a worker, and no output exceeds a record. A case is a sequence of records, some of
them changed at random, with restarts in between. The same number gives the same case.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from pivotwatch.contracts.records import Line, Output
from pivotwatch.detection.counting.deduplication import ORIGIN, PLACES
from tests.fuzz.examples import ACTIVE, ALERT, DECISION, EVENT, RELEASE, SAMPLES, START, STATUS
from tests.fuzz.readers import READERS
from tests.fuzz.targets import SESSION

SECONDS = 5.0
"""CPU seconds that one record may take at most. Usual are milliseconds."""
RECORD = 900_000
"""Bytes of an output at most, with its key and headers."""
SEEDS: dict[str, Sequence[bytes]] = {
    "requests": [orjson.dumps(EVENT), orjson.dumps([EVENT, EVENT]), orjson.dumps([EVENT, {"id": 1}, 7])],
    "buckets": ACTIVE[2:6],
    "releases": [orjson.dumps(RELEASE)],
    "decisions": [orjson.dumps(DECISION), b'{"alert_id":"0123456789abcdef","verdict":"benign"}'],
    "alerts": [ALERT],
    "status": [STATUS],
    "sessions": [orjson.dumps(SESSION)],
    "deliveries_dlq": [ALERT],
    **{name: [sample] for name, sample in SAMPLES.items()},
}
TOKENS = (
    *(b"null", b"-1", b"9" * 25, b'"', b"{}", b"[]", b"[" * 3000, b"1e999", b"NaN", b'"\\ud800"', b"\xff"),
    *(
        b"true",
        b'""',
        b'"2099-01-01T00:00:00Z"',
        b"4102444799999",
        b"0",
        b'"' + b"x" * 600 + b'"',
        b",,",
        b"\x00",
    ),
    *(
        b"\n",
        b'{"a":' * 500,
        b"[0,0,0]",
        b"9007199254740993",
        b"0.1",
        "\U0010ffff".encode(),
        b"1760000000123",
    ),
)
NAMES = (
    *("pivotwatch.by", "pivotwatch.at", ORIGIN, PLACES, "pivotwatch.errors.stage", "pivotwatch.errors.class"),
    *("pivotwatch.errors.message", "pivotwatch.errors.topic", "pivotwatch.errors.length", "", "x", "\x00é"),
    *("pivotwatch.delivery.target", "pivotwatch.errors.null"),
)
KEYS = (None, b"", b"k", b"session:x", b"person:kim", b"network:AS1", b"\xff\xfe", b"0123456789abcdef", b":")
STAMPS = (None, -1, 0, START, 2**62, 10**15)


def values(chance: random.Random, seeds: Sequence[bytes]) -> bytes | None:
    """A value: a seed, a changed one, an array of many, noise, or none."""
    kind = chance.randrange(20)
    if kind == 0:
        return None
    if kind == 1:
        return chance.randbytes(chance.randrange(200))
    value = chance.choice(seeds)
    if kind == 2:
        return b"[" + b",".join([value, chance.choice(TOKENS)] * chance.randrange(1, 200)) + b"]"
    if kind <= 5:
        return value
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(value) + 1)
        if chance.random() < 0.5:  # A place where JSON has a value.
            at = max(value.rfind(b":", 0, at), value.rfind(b",", 0, at), value.rfind(b"[", 0, at)) + 1
        until = at + chance.choice((0, 1, 1, 3, 10, 100))
        if chance.random() < 0.5:
            ends = [place for sign in (b",", b"}", b"]") if (place := value.find(sign, at)) >= 0]
            until = min(ends, default=until)
        some = chance.choice((*TOKENS, chance.choice(seeds), chance.randbytes(3)))
        value = value[:at] + some + value[until:]
    return value


def headers(chance: random.Random) -> tuple[tuple[str, Any], ...]:
    """Headers of our own names and others, with odd values and none."""
    odd = (None, b"", b"\xff", b"1", b'["t",0,0,0,1,0]', b"[0,0,1,0]", b"decode", b"kim", b"9" * 30)
    return tuple((chance.choice(NAMES), chance.choice(odd)) for _ in range(chance.choice((0, 0, 0, 1, 3))))


def check_outputs(outputs: Sequence[Output]) -> None:
    """No output exceeds a record."""
    for one in outputs:
        around = len(one.key or b"") + sum(len(name) + len(value or b"") for name, value in one.headers)
        assert len(one.value) + around <= RECORD, (
            f"{one.topic}: a record of {len(one.value) + around:,} bytes"
        )


def timed(act: Callable[[], Sequence[Output]]) -> None:
    """Run one step, and check its time and its outputs."""
    begun = time.process_time()
    check_outputs(act())
    spent = time.process_time() - begun
    assert spent < SECONDS, f"{spent:.1f} CPU seconds"


def too_far(value: bytes | None) -> bool:
    """Whether a bucket record skips very many buckets, which are scored one by one."""
    try:
        head = orjson.loads((value or b"").partition(b"\n")[0])
        return bool(head["b"] > orjson.loads(ACTIVE[0].partition(b"\n")[0])["b"] + 2_000)
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return False


def play(pair: tuple[str, str], number: int) -> int:
    """Run one case; returns how many records it had."""
    chance = random.Random(f"{pair}{number}")
    reader, seeds, records = READERS[pair](), SEEDS[pair[1]], chance.choice((1, 2, 4, 8))
    for offset in range(10, 10 + records):
        value = values(chance, seeds)
        if pair[1] == "buckets" and too_far(value):
            continue
        key = b"k" * 200_000 if chance.random() < 0.02 else chance.choice(KEYS)
        record = Line(value, offset, chance.choice(STAMPS), key, headers(chance))
        timed(lambda record=record: reader.take(record))
        if chance.random() < 0.2:
            timed(lambda: reader.restart() or ())  # type: ignore[func-returns-value]
    timed(reader.finish)
    return records


def run(cases: int, first: int = 0, pairs: Sequence[tuple[str, str]] = tuple(READERS)) -> list[str]:
    """Run cases (one record each counts as one), divided over all readers; returns what was found."""
    found = []
    for pair in pairs:
        done, number, begun = 0, first, time.monotonic()
        while done < cases / len(pairs):
            try:
                with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())), _quiet():
                    done += play(pair, number)
            except Exception:
                found.append(f"{pair} case {number}:\n{traceback.format_exc()[-1500:]}")
                done += 1
                if sum(one.startswith(str(pair)) for one in found) >= 3:
                    break
            number += 1
        print(
            f"{'/'.join(pair)}: {done:,} records, {time.monotonic() - begun:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    return found


@contextlib.contextmanager
def _quiet() -> Any:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def main() -> int:
    """Run the rule."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.rule", description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case of each reader")
    parser.add_argument("--reader", help="only this one: user/topic")
    given = parser.parse_args()
    pairs = [pair for pair in READERS if given.reader in (None, "/".join(pair))]
    found = run(given.cases, given.first, pairs)
    print("\n".join(found) or "nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
