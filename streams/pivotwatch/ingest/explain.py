"""Explains how the decoder reads a document: the source of each field, and what it drops."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from pivotwatch.contracts.events import BadEvent
from pivotwatch.ingest.decoded import REPEATED, Event
from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.documents import json_documents, splitter
from pivotwatch.ingest.known_forms import describe
from pivotwatch.ingest.lenient_json import Unreadable
from pivotwatch.ingest.pointers import FieldPath, to_pointer
from pivotwatch.ingest.private import looks_private, shape_of
from pivotwatch.ingest.request_identity import SeenRequests


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """How the decoder reads one document.

    Attributes
    ----------
    verdict
        ``event``, ``repeat`` (a request that was reported before), ``skipped`` (no request) or ``bad``.
    problem
        Why the document is bad or skipped; else empty.
    event
        The event; None when the document gives none.
    places
        For each field of the event, the JSON Pointer that it was read from.
    dropped
        For each unused value, its JSON Pointer and its kind, never the value itself.
    """

    verdict: str
    problem: str
    event: Event | None
    places: dict[str, str]
    dropped: dict[str, str]


def explain(
    decoder: Decoder, message: bytes, most: int, seen: SeenRequests[bool] | None = None
) -> list[Explanation]:
    """Explain the first ``most`` documents of a message.

    Parameters
    ----------
    seen
        Requests of earlier messages, for repeats.
    """
    documents = splitter(decoder.mapping.form, None)(message)
    explanations = [_explain(decoder, document) for document in islice(documents, most)]
    counted = {position for position, _ in decoder.decode(message, seen=seen).events}
    return [
        dataclasses.replace(one, verdict="repeat", problem=REPEATED)
        if one.verdict == "event" and position not in counted
        else one
        for position, one in enumerate(explanations)
    ]


def _explain(decoder: Decoder, document: Any) -> Explanation:
    used: dict[str, FieldPath] = {}
    event: Event | None = None
    verdict, problem = "event", ""
    try:
        found = decoder.read(document, used)
        if isinstance(found, str):
            verdict, problem = "skipped", found
        else:
            event = found
    except BadEvent as error:
        verdict, problem = "bad", str(error)
    places = {field: to_pointer(path) for field, path in used.items()}
    for field, path in used.items():
        if field in ("ip", "forwarded") and event is not None and "network" in event:
            places["network"] = f"{to_pointer(path)} ({field})"
    if isinstance(document, Unreadable):
        return Explanation(verdict, problem, event, places, {})
    dropped = dict(_unused(shape_of(document), (), set(used.values())))
    return Explanation(verdict, problem, event, places, dropped)


def _unused(shape: Any, path: FieldPath, used: set[FieldPath]) -> Iterator[tuple[str, str]]:
    """The values of a document that no field was read from; of a list only the first item."""
    if path in used:
        return
    if isinstance(shape, dict):
        for name, inner in shape.items():
            yield from _unused(inner, (*path, name), used)
    elif isinstance(shape, list):
        for number, inner in enumerate(shape[:1]):
            yield from _unused(inner, (*path, str(number)), used)
    elif shape is not None:
        yield to_pointer(path), str(shape)


def why_none(decoders: Sequence[Decoder], lines: Sequence[bytes]) -> list[str]:
    """What the first of the lines seems to be; and for each decoder, why it gives no event from it."""
    reasons = what_it_is(lines[:1])
    for decoder in decoders:
        for line in lines[:1]:
            decoded = decoder.decode(line, most=MAX_GUESS_DOCUMENTS)
            found = [str(bad.error) for bad in decoded.bad] or list(decoded.no_requests) or ["nothing in it"]
            reasons.append(f"{decoder.mapping.name}: {found[0].partition(',')[0]}")
    return reasons


def what_it_is(lines: Sequence[bytes]) -> list[str]:
    """The known form of the first document of some lines that no source reads, as a list of one or none."""
    for line in lines:
        for document in islice(json_documents(line), 1):
            if found := describe(document):
                return [found]
            if isinstance(document, dict):
                return [
                    "fields: " + ", ".join(name for name in islice(document, SHOWN_FIELDS) if _plain(name))
                ]
    return []


def _plain(name: str) -> bool:
    return len(name) <= MAX_NAME and not looks_private(name)


SHOWN_FIELDS, MAX_NAME = 12, 40
MAX_GUESS_DOCUMENTS = 20
"""Documents per line that `guess` reads."""


def guess(decoders: Sequence[Decoder], lines: Sequence[bytes]) -> Decoder | None:
    """The decoder that reads most of the lines and, among equals, finds most fields; None if none fits."""
    best, best_score = None, 0
    for decoder in decoders:
        score = 0
        for line in lines:
            decoded = decoder.decode(line, most=MAX_GUESS_DOCUMENTS)
            score += sum(100 + len(event) for _, event in decoded.events)
            # No other source reads OTLP, even if not one of its spans is a request.
            score += decoder.mapping.form == "otlp_json" and decoded.skipped > 0
        if score > best_score:
            best, best_score = decoder, score
    return best
