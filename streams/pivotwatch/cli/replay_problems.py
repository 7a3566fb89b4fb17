"""Texts of ``pivotwatch replay`` about files in which nothing was found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pivotwatch.ingest.explain import what_it_is

if TYPE_CHECKING:
    from pivotwatch.tools.replay import Replay

SHOWN_REASONS = 5
SHOWN_MODELS = 3
SHOWN_EXAMPLE = 120
TO_DO = "`pivotwatch mapping check FILE` shows how each source reads it; name the source with --source."


def unseen(calendar: Iterable[str], seen: set[str]) -> str:
    """For each model of the calendar that no event has, the most similar models of the events.

    Examples
    --------
    >>> unseen(["m-2"], {"openai/m-2", "m-1"})
    ' calendar: m-2; seen: m-1, openai/m-2.'
    """
    parts = []
    for model in sorted(set(calendar) - seen) if seen else ():
        whole = [name for name in seen if model in name or name in model]
        close = difflib.get_close_matches(model, sorted(seen), n=SHOWN_MODELS, cutoff=0.0)
        names = sorted({*sorted(whole)[:SHOWN_MODELS], *close})[:SHOWN_MODELS]
        parts.append(f" calendar: {model}; seen: {', '.join(names)}.")
    return "".join(parts)


def why_nothing(result: Replay) -> str:
    """Why a replay found no event: the reasons, each with a place and an example."""
    lines = []
    for rejected in result.rejected[:SHOWN_REASONS]:
        lines.append(f"  {rejected.count:,} × {rejected.reason}")
        lines.append(f"    first at {rejected.place}: {rejected.example[:SHOWN_EXAMPLE].strip()}")
    lines += [f"  {count:,} × {reason}: not a request" for reason, count in result.no_requests.items()]
    lines += [
        f"  {found}" for found in what_it_is([result.rejected[0].example.encode()] if result.rejected else [])
    ]
    return "\n".join([*lines, TO_DO])
