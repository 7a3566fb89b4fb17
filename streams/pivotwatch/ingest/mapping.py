"""Mappings: for each native field, where it stands in a document of a source.

A place is a JSON Pointer (RFC 6901): ``/metadata/team_id``; several are tried in turn, and the first
one that holds something readable is taken. The whole language:

=================  ==================================================================================
``form``           how a message is taken apart: json, otlp_json, otlp_proto
``like``           begin with another mapping; tables are laid over its tables
``[fields]``       native field → places; also ``ip`` and ``forwarded``, which become the network
``[links]``        kind of link → places
``copy_links``     places of objects whose texts are links as they are
``[units]``        of the times ts and account_created: ms (default), s, us, ns
``[values.status]``  words for a status
``absent``         texts that mean "nothing"
``make_id``        make an id from the event where there is none
``[skip]``         ``without``: what has none of these is no request; ``where``: nor what has this value
=================  ==================================================================================
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pivotwatch.base.errors import WrongUse
from pivotwatch.config.problems import nearest
from pivotwatch.config.toml_files import merge_tables, read_toml
from pivotwatch.ingest.values import Convert, Private, count, one_of, open_text, text, time_in

FieldName = Literal[
    "id",
    "ts",
    "account",
    "network",
    "ip",
    "forwarded",
    "model",
    "requested_model",
    "input_tokens",
    "output_tokens",
    "tools",
    "status",
    "account_created",
]
REQUIRED: tuple[FieldName, ...] = ("ts", "account", "model")
TEXTS = frozenset({"id", "account", "network", "model", "requested_model"})
ADDRESSES = frozenset({"ip", "forwarded"})
TIMES = frozenset({"ts", "account_created"})


def _pointer(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("expected a place that begins with /, such as /metadata/team_id")
    return value


Pointer = Annotated[str, AfterValidator(_pointer)]
Unit = Literal["ms", "s", "us", "ns"]


class Skip(BaseModel):
    """What is no request to a model."""

    model_config = ConfigDict(extra="forbid")

    without: list[Pointer] = []
    where: dict[Pointer, list[str]] = {}


class MappingFile(BaseModel):
    """A mapping as it is written."""

    model_config = ConfigDict(extra="forbid")

    form: Literal["json", "otlp_json", "otlp_proto"]
    fields: dict[FieldName, list[Pointer]]
    links: dict[str, list[Pointer]] = {}
    copy_links: list[Pointer] = []
    units: dict[Literal["ts", "account_created"], Unit] = {}
    values: dict[Literal["status"], dict[str, int]] = {}
    absent: list[str] = []
    make_id: bool = False
    skip: Skip = Field(default_factory=Skip)


Place = tuple[str, ...]


class Reader:
    """Reads one native field from the first place that holds something readable."""

    __slots__ = ("_absent", "_convert", "name", "paths")

    def __init__(self, name: str, pointers: list[str], convert: Convert, absent: frozenset[str]) -> None:
        self.name = name
        self.paths = [parse_pointer(pointer) for pointer in pointers]
        self._convert = convert
        self._absent = absent

    def read(self, document: Any) -> tuple[Any, Place | None, str]:
        """Value, where it stood, and why nothing was taken (empty when there was nothing)."""
        trouble = ""
        for path in self.paths:
            value = document.get(path[0]) if len(path) == 1 else find(document, path)
            if value is None or value == "" or (type(value) is str and value in self._absent):
                continue
            try:
                return self._convert(value), path, ""
            except Private as error:
                trouble = f"{error}: let it pass as a pseudonym (ingest.pseudonyms.fields)"
            except ValueError as error:
                trouble = trouble or f"{error}, at {show_pointer(path)}"
        return None, None, trouble


class SourceMapping:
    """A mapping, ready to read documents.

    Parameters
    ----------
    name, file
        Of the source.
    hashed
        Which fields become pseudonyms: they may hold what must not pass as it is.
    """

    def __init__(self, name: str, file: MappingFile, hashed: Callable[[str], bool] = lambda _: False) -> None:
        self.name = name
        self.form = file.form
        self.make_id = file.make_id
        absent = frozenset(file.absent)

        def converter(field: str) -> Convert:
            if field in TIMES:
                return time_in(file.units.get(field, "ms"))  # type: ignore[call-overload]
            if field == "status":
                return one_of(file.values.get("status", {}))
            if field in ADDRESSES or hashed(field):
                return text
            return open_text if field in TEXTS or field.startswith("links.") else count

        self.readers = [
            Reader(field, pointers, converter(field), absent) for field, pointers in file.fields.items()
        ]
        self.links = [
            (kind, Reader(f"links.{kind}", pointers, converter(f"links.{kind}"), absent))
            for kind, pointers in file.links.items()
        ]
        self.link_paths = [parse_pointer(pointer) for pointer in file.copy_links]
        self._converter = converter
        self.without = [parse_pointer(pointer) for pointer in file.skip.without]
        self.where = [(parse_pointer(pointer), frozenset(v)) for pointer, v in file.skip.where.items()]

    def link_convert(self, kind: str, value: Any) -> Any:
        """The value of a link of a kind."""
        return self._converter(f"links.{kind}")(value)

    def wanted_attributes(self) -> frozenset[str]:
        """Second part of every place: which attributes of an OTLP span are looked at."""
        return frozenset(path[1] for path in self.paths() if len(path) > 1)

    def paths(self) -> list[Place]:
        """Every place that is looked at."""
        read = [path for reader in self.readers for path in reader.paths]
        linked = [path for _, reader in self.links for path in reader.paths]
        return read + linked + self.link_paths + self.without + [path for path, _ in self.where]

    def skips(self, document: Any) -> bool:
        """Is a document no request at all?"""
        if self.without and all(find(document, path) in (None, "") for path in self.without):
            return True
        return any(type(value := find(document, path)) is str and value in told for path, told in self.where)


def parse_pointer(pointer: str) -> Place:
    """The parts of a JSON Pointer.

    Examples
    --------
    >>> parse_pointer("/attributes/gen_ai.request.model"), parse_pointer("/a~1b")
    (('attributes', 'gen_ai.request.model'), ('a/b',))
    """
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))


def show_pointer(path: Place) -> str:
    """The JSON Pointer of a path."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def find(document: Any, path: Place) -> Any:
    """What stands at a place, None when there is nothing."""
    for part in path:
        if type(document) is dict:
            document = document.get(part)
        elif type(document) is list and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document


def shipped() -> list[str]:
    """Names of the sources that come with pivotwatch."""
    names = (entry.name for entry in resources.files("pivotwatch.ingest").joinpath("mappings").iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def load_file(name: str, own: Mapping[str, Path] | None = None) -> MappingFile:
    """The mapping of a source: one of the user's own, else one that is shipped.

    Raises
    ------
    WrongUse
        When there is none of this name, or it is wrong.

    Examples
    --------
    >>> load_file("litellm").fields["input_tokens"]
    ['/prompt_tokens']
    """
    where, content = _content(name, own or {}, ())
    try:
        file = MappingFile.model_validate(content)
    except ValidationError as error:
        lines = [
            f"{where}: {'.'.join(map(str, detail['loc']))}: {detail['msg'].removeprefix('Value error, ')}"
            for detail in error.errors(include_url=False)
        ]
        raise WrongUse("\n".join(lines)) from None
    missing = [field for field in REQUIRED if not file.fields.get(field)]
    if not file.fields.get("id") and not file.make_id:
        missing.append("id")
    if missing:
        raise WrongUse(f"{where}: no place for {', '.join(missing)}: required in every event")
    return file


def _content(name: str, own: Mapping[str, Path], seen: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    # A mapping of one's own may be laid over the shipped one of the same name.
    use_own = name in own and name not in seen
    if use_own:
        where, content = str(own[name]), read_toml(own[name])
    elif name in shipped() and f"shipped {name}" not in seen:
        where = f"mapping {name}"
        shipped_text = (
            resources.files("pivotwatch.ingest").joinpath("mappings", f"{name}.toml").read_text("utf-8")
        )
        content = tomllib.loads(shipped_text)
    else:
        known = sorted({*shipped(), *own})
        meant = nearest(name, known)
        hint = f"; did you mean {meant}?" if meant else f" (there are {', '.join(known)})"
        raise WrongUse(f"no source {name}{hint}")
    base = content.pop("like", None)
    if base is None:
        return where, content
    _, below = _content(str(base), own, (*seen, name if use_own else f"shipped {name}"))
    return where, merge_tables(below, content)
