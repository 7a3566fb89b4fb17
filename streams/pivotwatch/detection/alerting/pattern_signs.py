"""The signs of a company roll-out and of extraction in words."""

from __future__ import annotations

from pivotwatch.base.display import percent, times
from pivotwatch_models.incidents.pattern import Pattern, Sign

LIKE_EVERYONE = 0.85
"""From this ratio of spreads on, request sizes vary as much as everyone else's."""


def signs(pattern: Pattern, kind: Sign, model: str) -> list[str]:
    """The signs that point to a roll-out, or to extraction, as parts of a sentence.

    Examples
    --------
    >>> company = Pattern(40, part=0.03, whole=0.97, others_part=0.3, size_ratio=0.9, quiet_share=0.02)
    >>> for sign in signs(company, "roll-out", "m-2"):
    ...     print(sign)
    in 39 of 40 samples its accounts send nearly all requests to m-2
    request sizes vary as much as everyone else's (0.9×)
    it keeps office hours (2 % of its requests fall in its eight quietest hours)
    >>> signs(company, "extraction", "m-2")
    []
    """
    found = []
    if pattern.split == kind:
        found.append(_split_sign(pattern, model))
    if pattern.sizes == kind and pattern.size_ratio is not None:
        ratio = pattern.size_ratio
        vary = (
            "less than"
            if kind == "extraction"
            else "as much as"
            if ratio >= LIKE_EVERYONE
            else "nearly as much as"
        )
        found.append(f"request sizes vary {vary} everyone else's ({times(ratio)})")
    if pattern.hours == kind:
        runs = "it keeps office hours" if kind == "roll-out" else "it runs around the clock"
        quiet = percent(pattern.quiet_share)
        found.append(f"{runs} ({quiet} of its requests fall in its eight quietest hours)")
    return found


def _split_sign(pattern: Pattern, model: str) -> str:
    """How the members split their requests among models."""
    part, whole = (round((share or 0.0) * pattern.judged) for share in (pattern.part, pattern.whole))
    if pattern.split == "roll-out":
        if whole == pattern.judged:
            return f"all of its accounts send nearly all requests to {model}"
        return f"in {whole:,} of {pattern.judged:,} samples its accounts send nearly all requests to {model}"
    return (
        f"in {part:,} of {pattern.judged:,} samples its accounts send 20 to 80 % of their requests to "
        f"{model}, against {percent(pattern.others_part)} of everyone's samples"
    )
