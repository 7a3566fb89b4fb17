"""Decides which documents of a source are requests to a model.

The decision is an allow-list: a document that names its kind is a request only when the mapping lists that
kind. Tools, agents, retrievals, databases and guardrails often carry the name of a model, too.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from pivotwatch.contracts.absent import ABSENT_IN_ANY_CASE, is_absent
from pivotwatch.ingest.pointers import FieldPath, Pointer, find, parse_pointer, to_pointer

NO_SIGN = "neither a kind nor a sign of a request"


class Requests(BaseModel):
    """The table ``[requests]``: which documents are requests.

    Attributes
    ----------
    kinds
        Pointers to the kind of a document, with the kinds that are requests. Every kind that a document
        names must be listed. Upper and lower case are equal.
    signs
        A document that names no kind needs a value at one of these pointers. Without ``signs`` it is a
        request.
    """

    model_config = ConfigDict(extra="forbid")

    kinds: dict[Pointer, list[str]] = {}
    signs: list[Pointer] = []


class Skip(BaseModel):
    """The table ``[skip]``: which documents are not requests.

    Attributes
    ----------
    without
        Documents without a value at all of these pointers.
    blank
        Documents that have these fields, but a value in none of them.
    where
        Documents with one of these values at a pointer.
    present
        Documents with any value at one of these pointers.
    """

    model_config = ConfigDict(extra="forbid")

    without: list[Pointer] = []
    blank: list[Pointer] = []
    where: dict[Pointer, list[str]] = {}
    present: list[Pointer] = []


class RequestRules:
    """The rules of a mapping.

    Examples
    --------
    >>> rules = RequestRules(Requests(kinds={"/call_type": ["acompletion"]}), Skip(without=["/model"]))
    >>> rules.reason({"model": "m-2", "call_type": "acompletion"})
    ''
    >>> rules.reason({"model": "m-2", "call_type": "afile_list"}), rules.reason({"model": "None"})
    ('no request by /call_type', 'nothing at /model')
    """

    def __init__(self, requests: Requests, skip: Skip) -> None:
        self._without = [parse_pointer(pointer) for pointer in skip.without]
        self._blank = [parse_pointer(pointer) for pointer in skip.blank]
        self._where = [(parse_pointer(pointer), frozenset(values)) for pointer, values in skip.where.items()]
        self._present = [parse_pointer(pointer) for pointer in skip.present]
        self._present_names = [
            (parent, frozenset(path[-1] for path in self._present if path[:-1] == parent))
            for parent in dict.fromkeys(path[:-1] for path in self._present)
        ]
        self._kinds = [
            (parse_pointer(pointer), frozenset(value.casefold() for value in values))
            for pointer, values in requests.kinds.items()
        ]
        self._signs = [parse_pointer(pointer) for pointer in requests.signs]

    def paths(self) -> list[FieldPath]:
        """Every path that the rules read."""
        listed = [path for path, _ in (*self._where, *self._kinds)]
        return [*self._without, *self._blank, *self._present, *self._signs, *listed]

    def reason(self, document: Any) -> str:
        """Why a document is not a request; empty when it is one."""
        if self._without and all(is_absent(find(document, path)) for path in self._without):
            return f"nothing at {to_pointer(self._without[0])}"
        if self._blank and self._is_blank(document):
            return f"nothing at {to_pointer(self._blank[0])}"
        for path, values in self._where:
            value = find(document, path)
            if type(value) is str and value in values:
                return f"no request by {to_pointer(path)}"
        for parent, names in self._present_names:
            inner = find(document, parent)
            if type(inner) is dict and not names.isdisjoint(inner):
                found = [name for name in sorted(names) if not is_absent(inner.get(name))]
                if found:
                    return f"no request by {to_pointer((*parent, found[0]))}"
        return self._reason_by_kind(document)

    def _is_blank(self, document: Any) -> bool:
        if not all(is_absent(find(document, path)) for path in self._blank):
            return False
        parents = ((find(document, path[:-1]), path[-1]) for path in self._blank)
        return any(type(parent) is dict and name in parent for parent, name in parents)

    def _reason_by_kind(self, document: Any) -> str:
        has_kind = False
        parent: FieldPath | None = None
        inner: Any = None
        for path, values in self._kinds:
            if path[:-1] != parent:
                parent = path[:-1]
                inner = find(document, parent)
            value = inner.get(path[-1]) if type(inner) is dict else None
            if type(value) is not str or value in ABSENT_IN_ANY_CASE:
                continue
            if value not in values and value.casefold() not in values:
                return f"no request by {to_pointer(path)}"
            has_kind = True
        if has_kind or not self._signs or any(not is_absent(find(document, path)) for path in self._signs):
            return ""
        return NO_SIGN

    def names_other_kind(self, document: Any) -> bool:
        """Whether a document names a kind that is not a request, such as a tool or an agent."""
        return self._reason_by_kind(document) not in ("", NO_SIGN)
