"""Dead letters fit into the limits of a broker and contain what is needed to send the record again."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pivotwatch.contracts.dead_letters import (
    MAX_AROUND,
    MAX_BYTES,
    WHOLE_BYTES,
    parse_dead_letter,
    undecodable,
)
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import Line, Output, Unreadable

LIMIT = 900_000
sizes = st.sampled_from([None, 0, 1, MAX_AROUND, 400_000, WHOLE_BYTES, MAX_BYTES, 1_048_000])


def filled(size: int | None) -> bytes | None:
    return None if size is None else b"x" * size


def size_of(letter: Output) -> int:
    around = sum(len(name) + len(value or b"") + 10 for name, value in letter.headers)
    return len(letter.value) + len(letter.key or b"") + around


@given(sizes, sizes, sizes, st.integers(0, 10**6))
@example(None, None, None, 5)
def test_the_dead_letter_of_any_record_can_be_sent(key, value, header, message):
    headers = () if header is None else (("h", filled(header)),)
    record = Line(filled(value), 7, key=filled(key), headers=headers)
    letter = undecodable(record, record.value, None, BadEvent("m" * message), ("requests", 0))
    assert size_of(letter) <= LIMIT
    read = parse_dead_letter(_Record(letter))
    if not read.obstacle:
        assert (read.key, read.value, read.headers) == (record.key, record.value, headers)
    else:
        around = size_of(Output("", record.key, b"", headers))
        assert (
            len(record.value or b"") > WHOLE_BYTES or around > MAX_AROUND or not (record.key or record.value)
        )


@pytest.mark.parametrize("value", [None, b""])
def test_null_and_empty_stay_different(value):
    letter = undecodable(Line(value, key=b"k"), value, None, BadEvent("empty"), ("requests", 0))
    assert letter.value == b""
    assert parse_dead_letter(_Record(letter)).value == value


class _Record:
    """A letter as it is read."""

    def __init__(self, letter: Output) -> None:
        self.partition = self.offset = self.timestamp = 0
        self.key, self.value, self.headers = letter.key, letter.value, letter.headers


def test_a_dead_letter_that_stands_for_records_says_why_and_is_not_sent_again():
    value = Unreadable(b"offsets 4 to 9 are left out")
    letter = undecodable(Line(value, 9), value, None, BadEvent("not JSON"), ("requests", 0))
    read = parse_dead_letter(_Record(letter))
    assert (read.about.message, read.about.error_class) == ("offsets 4 to 9 are left out", "Unreadable")
    assert "does not hold them" in read.obstacle
