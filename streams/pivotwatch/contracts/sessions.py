"""Sessions of the page (topic ``sessions``): who is logged in, at every worker and after every restart.

The key of a record is ``session:`` and the id of a session. An empty record ends that session. An
empty record under ``person:`` and a name ends all sessions that the person began before it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from pivotwatch.contracts.codec import (
    MAX_TEXT,
    Moment,
    Text,
    as_plain,
    check_moments,
    json_schema,
    moment_of,
    parser,
)
from pivotwatch.contracts.events import BadEvent

SESSION, PERSON = "session:", "person:"
Method = Literal["token", "oidc"]


class Session(Struct, frozen=True, kw_only=True):
    """A log-in to the page. The record holds nothing that lets its reader in."""

    name: Annotated[Text, Meta(description="Who logged in.")]
    role: Annotated[
        Literal["viewer", "operator"], Meta(description="A viewer reads, an operator also decides.")
    ]
    method: Annotated[Method, Meta(description="token: with a token. oidc: through the identity provider.")]
    begun: Annotated[Moment, Meta(description="Time of the log-in.")]
    ends: Annotated[Moment, Meta(description="Time after which the session does not count.")]
    tag: Annotated[
        Text,
        Meta(
            description="Authentication code over the other fields, the id, and what the session depends on: "
            "the token, or the settings of the provider. A worker ignores a session with another code."
        ),
    ]

    def __post_init__(self) -> None:
        check_moments(begun=self.begun, ends=self.ends)


_parse = parser(Session, refused=BadEvent)


def session_key(ident: str) -> bytes:
    """Key of the records of one session."""
    return f"{SESSION}{ident}".encode()


def person_key(name: str) -> bytes:
    """Key of the records that end all sessions of a person."""
    return f"{PERSON}{name}".encode()


def parse_session(key: bytes | None, value: bytes | None) -> tuple[str, Session | None]:
    """Read a record of ``sessions``: its key, and the session that begins; None ends what the key names.

    Raises
    ------
    BadEvent
        With the first field that is not as the contract says.

    Examples
    --------
    >>> parse_session(b"person:kim", None)
    ('person:kim', None)
    >>> parse_session(b"kim", None)
    Traceback (most recent call last):
    pivotwatch.contracts.events.BadEvent: key: expected session:ID or person:NAME
    """
    text = (key or b"").decode(errors="replace")
    if not text.startswith((SESSION, PERSON)) or len(text) > MAX_TEXT:
        raise BadEvent("key: expected session:ID or person:NAME")
    if not value:
        return text, None
    if not text.startswith(SESSION):
        raise BadEvent("expected an empty record for a person")
    return text, _parse(value)


def session_schema() -> dict[str, Any]:
    """JSON Schema of a session."""
    begun = moment_of(1_770_314_400_000)
    example = Session(
        name="kim", role="operator", method="token", begun=begun, ends=begun + timedelta(hours=12), tag="5f1c"
    )
    return json_schema(Session, "pivotwatch session", examples=[as_plain(example)])
