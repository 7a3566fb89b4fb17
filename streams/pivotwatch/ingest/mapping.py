"""Mappings: where each native field is in a document of a source.

JSON Pointers (RFC 6901) such as ``/metadata/team_id`` name the places of a document. A field may have
several pointers; the first one with a readable value is used. A mapping has these keys:

===================  ================================================================================
``form``             how a message is split into documents: json, otlp_json or otlp_proto
``like``             the mapping to start with; the keys of this mapping override its keys
``[fields]``         native field → pointers; the fields ``ip`` and ``forwarded`` become the network
``[links]``          kind of link → pointers
``copy_links``       pointers to objects that hold links: kind → value
``[units]``          units of the times ts, ended and account_created: ms (default), s, us or ns
``[values.status]``  word → status number
``absent``           texts that mean "no value"
``make_id``          whether the decoder makes an id for documents without one
``call``             pointers to the id of a call, which several documents may report
``groups``           pointers of the account that name a group of users, such as a team: they are no account
                     of a document that names a user who cannot be used
``[requests]``       which documents are requests; see `pivotwatch.ingest.request_rules.Requests`
``[skip]``           which documents are not requests; see `pivotwatch.ingest.request_rules.Skip`
===================  ================================================================================
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pivotwatch.base.errors import WrongUse
from pivotwatch.base.suggestions import with_suggestion
from pivotwatch.config.toml_files import merge_tables, read_toml
from pivotwatch.contracts.absent import ABSENT_IN_ANY_CASE, is_absent
from pivotwatch.ingest.pointers import FieldPath, Pointer, find, parse_pointer, to_pointer
from pivotwatch.ingest.request_rules import RequestRules, Requests, Skip
from pivotwatch.ingest.values import (
    Convert,
    PrivateValue,
    count,
    count_or_word,
    public_text,
    text,
    time_in,
)

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
    "ended",
]
REQUIRED: tuple[FieldName, ...] = ("ts", "account", "model")
TEXTS = frozenset({"id", "account", "network", "model", "requested_model"})
ADDRESSES = frozenset({"ip", "forwarded"})
TIMES = frozenset({"ts", "account_created", "ended"})


Unit = Literal["ms", "s", "us", "ns"]


class MappingFile(BaseModel):
    """The content of a mapping file."""

    model_config = ConfigDict(extra="forbid")

    form: Literal["json", "otlp_json", "otlp_proto"]
    fields: dict[FieldName, list[Pointer]]
    links: dict[str, list[Pointer]] = {}
    copy_links: list[Pointer] = []
    units: dict[Literal["ts", "account_created", "ended"], Unit] = {}
    values: dict[Literal["status"], dict[str, int]] = {}
    absent: list[str] = []
    make_id: bool = False
    call: list[Pointer] = []
    groups: list[Pointer] = []
    requests: Requests = Field(default_factory=Requests)
    skip: Skip = Field(default_factory=Skip)


class FieldReader:
    """Reads one native field from the first pointer with a readable value.

    Parameters
    ----------
    name
        Name of the native field.
    pointers
        JSON Pointers, in order of preference.
    convert
        Converts a value of the source.
    absent
        Texts that mean "no value".
    groups
        Paths that are not used after a private value.

    Attributes
    ----------
    key
        The only pointer, if it is a name at the top of the document and no group.
    value_of, absent
        Converts a value of the source; texts that mean "no value".
    """

    __slots__ = ("absent", "groups", "key", "name", "paths", "value_of")

    def __init__(
        self,
        name: str,
        pointers: list[str],
        convert: Convert,
        absent: frozenset[str],
        groups: frozenset[FieldPath] = frozenset(),
    ) -> None:
        self.name = name
        self.paths = [parse_pointer(pointer) for pointer in pointers]
        self.value_of = convert
        is_text = name in TEXTS or name.startswith("links.")
        self.absent = absent | ABSENT_IN_ANY_CASE if is_text else absent
        self.groups = groups.intersection(self.paths)
        is_simple = len(self.paths) == 1 and len(self.paths[0]) == 1 and not self.groups
        self.key = self.paths[0][0] if is_simple else None

    def read(self, document: Any) -> tuple[Any, FieldPath | None, str]:
        """Read the field: its value, its path, and the problem.

        Without a readable value the path is None. The problem is empty when the document has no value.
        """
        problem, is_private = "", False
        for path in self.paths:
            length = len(path)
            if length == 1:
                value = document.get(path[0])
            elif length == 2 and type(parent := document.get(path[0])) is dict:
                value = parent.get(path[1])
            else:
                value = find(document, path)
            if value is None or value == "" or (type(value) is str and value in self.absent):
                continue
            if is_private and path in self.groups:
                break  # The user is known, but must not be used; a group would join all such users.
            try:
                return self.value_of(value), path, ""
            except PrivateValue as error:
                is_private = True
                problem = f"{error}: replace it by a pseudonym (ingest.pseudonyms.fields)"
            except ValueError as error:
                problem = problem or f"{error}, at {to_pointer(path)}"
        return None, None, problem


class SourceMapping:
    """A mapping that is ready to read documents.

    Parameters
    ----------
    name
        Name of the source.
    file
        The content of the mapping file.
    hashed
        Returns whether a field becomes a pseudonym; such a field may hold private values.
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
                return count_or_word(file.values.get("status", {}))
            if field in ADDRESSES or hashed(field):
                return text
            return public_text if field in TEXTS or field.startswith("links.") else count

        groups = frozenset(parse_pointer(pointer) for pointer in file.groups)
        self.readers = [
            FieldReader(field, pointers, converter(field), absent, groups)
            for field, pointers in file.fields.items()
        ]
        self.links = [
            (kind, FieldReader(f"links.{kind}", pointers, converter(f"links.{kind}"), absent))
            for kind, pointers in file.links.items()
        ]
        self.link_paths = [parse_pointer(pointer) for pointer in file.copy_links]
        self._converter = converter
        self.rules = RequestRules(file.requests, file.skip)
        self._call_paths = [parse_pointer(pointer) for pointer in file.call]

    def link_convert(self, kind: str, value: Any) -> Any:
        """Convert the value of a link of a kind."""
        return self._converter(f"links.{kind}")(value)

    def wanted_attributes(self) -> frozenset[str]:
        """The second parts of all paths: the attributes of an OTLP span that the mapping reads."""
        return frozenset(path[1] for path in self.paths() if len(path) > 1)

    def paths(self) -> list[FieldPath]:
        """Every path that the mapping reads."""
        read = [path for reader in self.readers for path in reader.paths]
        linked = [path for _, reader in self.links for path in reader.paths]
        return read + linked + self.link_paths + self._call_paths + self.rules.paths()

    @property
    def has_calls(self) -> bool:
        """Whether documents hold the id of the call that they report."""
        return bool(self._call_paths)

    def call_of(self, document: Any) -> str:
        """The id of the call that a document reports; empty when it holds none."""
        for path in self._call_paths:
            value = find(document, path)
            if type(value) is str and not is_absent(value):
                return value
        return ""


def shipped() -> list[str]:
    """The names of the sources that pivotwatch ships mappings for."""
    names = (entry.name for entry in resources.files("pivotwatch.ingest").joinpath("mappings").iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def load_file(name: str, own: Mapping[str, Path] | None = None) -> MappingFile:
    """Load the mapping of a source.

    Parameters
    ----------
    name
        Name of the source.
    own
        The user's own mapping files by source; they take precedence over the shipped ones.

    Raises
    ------
    WrongUse
        When no mapping has this name, or the mapping is wrong.

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
        raise WrongUse(
            f"{where}: [fields] needs pointers for {', '.join(missing)}, which every event requires"
        )
    return file


def _content(name: str, own: Mapping[str, Path], seen: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    # A mapping of the user may be "like" the shipped one of the same name.
    use_own = name in own and name not in seen
    if use_own:
        where, content = str(own[name]), read_toml(own[name])
    elif name in shipped() and f"shipped {name}" not in seen:
        where = f"mapping {name}"
        file = resources.files("pivotwatch.ingest").joinpath("mappings", f"{name}.toml")
        content = tomllib.loads(file.read_text("utf-8"))
    else:
        known = sorted({*shipped(), *own})
        otherwise = f": expected one of {', '.join(known)}"
        raise WrongUse(with_suggestion(f"no source {name}", name, known, otherwise))
    base = content.pop("like", None)
    if base is None:
        return where, content
    _, below = _content(str(base), own, (*seen, name if use_own else f"shipped {name}"))
    return where, merge_tables(below, content)
