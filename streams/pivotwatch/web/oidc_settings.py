"""The table ``[web.oidc]`` of the configuration: the OpenID provider that people log in through."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from pivotwatch.base.addresses import is_loopback
from pivotwatch.base.secrets import read_secret
from pivotwatch.config.durations import PositiveDuration
from pivotwatch.config.tables import Table, Variable
from pivotwatch_models.durations import parse_duration

CALLBACK = "/login/oidc/callback"


def is_protected(url: str) -> bool:
    """Whether an address has https, or is on this machine.

    Examples
    --------
    >>> (
    ...     is_protected("https://id.example"),
    ...     is_protected("http://id.example"),
    ...     is_protected("http://127.0.0.1:1"),
    ... )
    (True, False, True)
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def _protected(url: str) -> str:
    if not is_protected(url):
        raise ValueError("expected an address with https://")
    return url


Address = Annotated[str, Field(max_length=1000), AfterValidator(_protected)]
Words = list[Annotated[str, Field(min_length=1, max_length=200)]]


class OidcSettings(Table):
    """The OpenID provider.

    Attributes
    ----------
    issuer
        Its address, exactly as it names itself.
    client_id, client_secret_env, client_secret_file, client_auth
        Who the page is for the provider. Without a secret the page is a public client, protected by PKCE.
    redirect_uri
        The address of this page with ``/login/oidc/callback``, as registered with the provider.
    scopes
        What the page asks for.
    name_claim
        The claim that names a person in decisions. It must be unique, and nobody may be able to choose it.
    roles_claim, operators, viewers
        The claim with roles or groups, and the values that make an operator or a viewer.
    contact
        Whom people without a role should ask.
    title
        Text of the button.
    timeout
        How long the page waits for an answer of the provider.

    Examples
    --------
    >>> settings = OidcSettings(
    ...     issuer="https://id.example",
    ...     client_id="pivotwatch",
    ...     redirect_uri="https://page.example/login/oidc/callback",
    ...     operators=["soc"],
    ... )
    >>> settings.role_of(["staff", "soc"]), settings.role_of(["staff"])
    ('operator', None)
    """

    issuer: Address
    client_id: Annotated[str, Field(min_length=1, max_length=200)]
    client_secret_env: Variable | None = None
    client_secret_file: Path | None = None
    client_auth: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"
    redirect_uri: Address
    scopes: Words = ["openid", "email"]
    name_claim: Annotated[str, Field(min_length=1, max_length=200)] = "email"
    roles_claim: Annotated[str, Field(min_length=1, max_length=200)] = "groups"
    operators: Words = []
    viewers: Words = []
    contact: Annotated[str, Field(min_length=1, max_length=200)] = "the operator of pivotwatch"
    title: Annotated[str, Field(min_length=1, max_length=80)] = "Log in with your organisation"
    timeout: PositiveDuration = parse_duration("5s")

    @model_validator(mode="after")
    def _fits_together(self) -> OidcSettings:
        if self.client_secret_env is not None and self.client_secret_file is not None:
            raise ValueError("expected one of client_secret_env and client_secret_file, or neither")
        if urlsplit(self.redirect_uri).path != CALLBACK:
            raise ValueError(f"redirect_uri: expected the address of the page with {CALLBACK}")
        if "openid" not in self.scopes:
            raise ValueError("scopes: expected openid among them")
        if not self.operators and not self.viewers:
            raise ValueError("expected operators or viewers: values of roles_claim, or nobody has a role")
        return self

    def client_secret(self) -> str | None:
        """The secret, if there is one."""
        if self.client_secret_env is None and self.client_secret_file is None:
            return None
        secret = read_secret("[web.oidc] client_secret", self.client_secret_env, self.client_secret_file)
        return secret.decode()

    def role_of(self, values: Iterable[str]) -> Literal["operator", "viewer"] | None:
        """The role that values of the claim give."""
        given = set(values)
        if given & set(self.operators):
            return "operator"
        return "viewer" if given & set(self.viewers) else None
