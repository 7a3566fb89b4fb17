"""JSON Pointers (RFC 6901), which name the places of a document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

FieldPath = tuple[str, ...]
"""The parts of a JSON Pointer."""


def _checked(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("expected a JSON Pointer, which begins with /, such as /metadata/team_id")
    return value


Pointer = Annotated[str, AfterValidator(_checked)]


def parse_pointer(pointer: str) -> FieldPath:
    """The parts of a JSON Pointer.

    Examples
    --------
    >>> parse_pointer("/attributes/gen_ai.request.model"), parse_pointer("/a~1b")
    (('attributes', 'gen_ai.request.model'), ('a/b',))
    """
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))


def to_pointer(path: FieldPath) -> str:
    """The JSON Pointer of a path."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def find(document: Any, path: FieldPath) -> Any:
    """The value at a path of a document, or None."""
    for part in path:
        if type(document) is dict:
            document = document.get(part)
        elif type(document) is list and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document
