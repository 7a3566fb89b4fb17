"""The table ``[web]`` of the configuration: who may see the page, and who may decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic.networks import IPvAnyNetwork

from pivotwatch.base.secrets import read_secret
from pivotwatch.config.durations import PositiveDuration
from pivotwatch.config.tables import Table, Variable, read_table
from pivotwatch.web.oidc_settings import OidcSettings
from pivotwatch_models.durations import parse_duration

Role = Literal["viewer", "operator"]
DEFAULT_PORT = 8700


PersonName = Annotated[str, Field(pattern=r"^[\w.@+-]{1,80}$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,80}$")]


class Person(Table):
    """A person or program with a token, for the login form or as a bearer token."""

    name: PersonName
    role: Role = "viewer"
    token_env: Variable | None = None
    token_file: Path | None = None

    @model_validator(mode="after")
    def _has_one_place(self) -> Person:
        if (self.token_env is None) == (self.token_file is None):
            raise ValueError("expected one of token_env (the name of a variable) and token_file")
        return self

    def token(self) -> bytes:
        """The token, 16 characters or more."""
        return read_secret(f"[web] token of {self.name}", self.token_env, self.token_file)


def _is_part(networks: list[IPvAnyNetwork]) -> list[IPvAnyNetwork]:
    if any(network.prefixlen == 0 for network in networks):
        raise ValueError(
            "expected the addresses of the proxy only; from a range of all addresses anybody could set the "
            "header"
        )
    return networks


class Proxy(Table):
    """A proxy that authenticates people and passes their name in a header.

    Attributes
    ----------
    addresses
        Addresses that it connects from. The header counts only from there.
    header, groups_header
        Headers with the name, and with the groups (separated by commas), if any.
    operators, operator_groups
        Names, and groups whose members, may decide. All others are viewers.
    """

    addresses: Annotated[list[IPvAnyNetwork], Field(min_length=1), AfterValidator(_is_part)]
    header: HeaderName = "X-Forwarded-User"
    groups_header: HeaderName | None = None
    operators: list[str] = []
    operator_groups: list[str] = []


class WebSettings(Table):
    """Settings of the page.

    Attributes
    ----------
    people, proxy, oidc
        Who may log in. With none of them the page has no login, and is open to this machine only.
    open_as
        Role of local users on a page without login.
    session
        How long a login lasts.
    secure_cookie
        Whether browsers send the session over HTTPS only. Default: true, unless the page listens on loopback
        without TLS.
    form_key_env, form_key_file
        A secret that signs forms, the same for all workers. Needed where several workers run behind a proxy
        and nobody has a token; otherwise the key is derived from the tokens.
    streams, streams_per_user
        Event streams that one worker serves at once, of all users and of one.
    tls_certfile, tls_keyfile
        Certificate and key for HTTPS.

    Examples
    --------
    >>> settings = read_settings({"people": [{"name": "kim", "role": "operator", "token_file": "/run/kim"}]})
    >>> settings.has_login
    True
    >>> read_settings({"peple": []})
    Traceback (most recent call last):
    pivotwatch.base.errors.WrongUse: [web] peple: no such key; did you mean people?
    """

    people: list[Person] = []
    proxy: Proxy | None = None
    oidc: OidcSettings | None = None
    open_as: Role = "viewer"
    session: PositiveDuration = parse_duration("12h")
    secure_cookie: bool | None = None
    form_key_env: Variable | None = None
    form_key_file: Path | None = None
    streams: Annotated[int, Field(ge=1)] = 400
    streams_per_user: Annotated[int, Field(ge=1)] = 50
    tls_certfile: Path | None = None
    tls_keyfile: Path | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> WebSettings:
        names = [person.name for person in self.people]
        if len(set(names)) < len(names):
            raise ValueError("people: expected a different name for each")
        if (self.tls_certfile is None) != (self.tls_keyfile is None):
            raise ValueError("expected tls_certfile and tls_keyfile, or neither")
        if self.form_key_env is not None and self.form_key_file is not None:
            raise ValueError("expected one of form_key_env and form_key_file")
        return self

    def form_key(self) -> list[bytes]:
        """The secret that signs forms, if there is one."""
        if self.form_key_env is None and self.form_key_file is None:
            return []
        return [read_secret("[web] form_key", self.form_key_env, self.form_key_file)]

    @property
    def has_login(self) -> bool:
        """Whether people and programs have to authenticate."""
        return bool(self.people) or self.proxy is not None or self.oidc is not None


def read_settings(table: dict[str, Any]) -> WebSettings:
    """Read the table.

    Raises
    ------
    WrongUse
        With one line per mistake, never with a value, as the value may be a token.
    """
    return read_table("web", WebSettings, table, _KEYS)


_KEYS = sorted({name for table in (WebSettings, Person, Proxy, OidcSettings) for name in table.model_fields})
