"""What became of a document: each field of the event, where it stood, and what was dropped."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from pivotwatch.contracts.events import BadEvent
from pivotwatch.ingest.decoder import Decoder, Event
from pivotwatch.ingest.documents import Unreadable, splitter
from pivotwatch.ingest.mapping import Place, show_pointer
from pivotwatch.ingest.private import shape_of


@dataclasses.dataclass(frozen=True, slots=True)
class Explained:
    """What became of one document.

    Attributes
    ----------
    verdict
        ``event``, ``skipped`` (no request) or ``bad``.
    problem
        Why it is bad.
    places
        Field of the event to the place that it was read from.
    dropped
        Every place that was not used, with the kind of what stood there, never the value.
    """

    verdict: str
    problem: str
    event: Event | None
    places: dict[str, str]
    dropped: dict[str, str]


def explain(decoder: Decoder, message: bytes, most: int) -> list[Explained]:
    """Explain at most so many documents of a message."""
    documents = splitter(decoder.mapping.form, None)(message)
    return [_explain(decoder, document) for document in islice(documents, most)]


def _explain(decoder: Decoder, document: Any) -> Explained:
    used: dict[str, Place] = {}
    event, verdict, problem = None, "event", ""
    try:
        event = decoder.read(document, used)
        verdict = "event" if event is not None else "skipped"
    except BadEvent as error:
        verdict, problem = "bad", str(error)
    places = {field: show_pointer(place) for field, place in used.items()}
    for field, place in used.items():
        if field in ("ip", "forwarded") and event is not None and "network" in event:
            places["network"] = f"{show_pointer(place)} ({field})"
    if isinstance(document, Unreadable):
        return Explained(verdict, problem, event, places, {})
    taken = set(used.values())
    return Explained(verdict, problem, event, places, dict(_leaves(shape_of(document), (), taken)))


def _leaves(shape: Any, place: Place, taken: set[Place]) -> Iterator[tuple[str, str]]:
    if place in taken:
        return
    if isinstance(shape, dict):
        for name, inner in shape.items():
            yield from _leaves(inner, (*place, name), taken)
    elif isinstance(shape, list):
        for number, inner in enumerate(shape[:1]):
            yield from _leaves(inner, (*place, str(number)), taken)
    elif shape is not None:
        yield show_pointer(place), str(shape)


MOST_GUESSED = 20


def guess(decoders: Sequence[Decoder], lines: Sequence[bytes]) -> Decoder | None:
    """The source that reads most of some lines; of several the one that finds most in them."""
    best, best_score = None, 0
    for decoder in decoders:
        score = 0
        for line in lines:
            for _, event in decoder.decode(line, most=MOST_GUESSED).events:
                score += 100 + len(event)
        if score > best_score:
            best, best_score = decoder, score
    return best
