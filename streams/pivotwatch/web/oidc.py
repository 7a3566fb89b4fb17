"""Log-in through an OpenID provider: authorization code flow with PKCE, state and nonce.

Authlib makes the requests and checks the claims, joserfc checks signatures, aiohttp carries the requests. A
log-in fetches the keys of the provider again, so a key counts exactly as long as the provider publishes it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from pivotwatch.base.errors import OutOfReach
from pivotwatch.web.oidc_settings import OidcSettings, is_protected
from pivotwatch.web.provider import Attempt, Identity, Refused

logger = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with a public key. Neither ``none`` nor one with a shared secret is accepted."""
MOST_BYTES = 256 * 1024
METADATA_SECONDS = 600.0
AGAIN_SECONDS = 2.0
LEEWAY_SECONDS = 30
MOST_AT_ONCE = 16
NAME = re.compile(r"[\w.@+-]{1,80}")
CODE = re.compile(r"[\w .-]{1,60}", re.ASCII)
SILENT = "the identity provider did not answer; try again later"


class OidcClient:
    """Sends people to the provider, and learns from it who came back.

    Parameters
    ----------
    settings
        The table ``[web.oidc]``.

    Raises
    ------
    WrongUse
        When the client secret cannot be read.
    """

    def __init__(self, settings: OidcSettings) -> None:
        self.settings = settings
        self._secret = settings.client_secret()
        self._metadata: dict[str, Any] | None = None
        self._asked = float("-inf")
        self._lock = asyncio.Lock()
        self._places = asyncio.Semaphore(MOST_AT_ONCE)

    async def address(self, attempt: Attempt) -> str:
        """Where a browser begins the log-in.

        Raises
        ------
        OutOfReach
            When the provider does not answer.
        Refused
            When its answer is not that of the configured provider.
        """
        metadata = await self._discover()
        settings = self.settings
        client = OAuth2Client(
            session=None,
            client_id=settings.client_id,
            scope=" ".join(settings.scopes),
            redirect_uri=settings.redirect_uri,
            code_challenge_method="S256",
        )
        made: tuple[str, str] = client.create_authorization_url(
            metadata["authorization_endpoint"],
            state=attempt.state,
            code_verifier=attempt.verifier,
            nonce=attempt.nonce,
        )
        return made[0]

    async def identify(self, query: Mapping[str, str], attempt: Attempt) -> Identity:
        """Who came back from the provider. The state of the query was compared before.

        Raises
        ------
        OutOfReach
            When the provider does not answer.
        Refused
            When it refused, when its token is not valid, or when the person has no role.
        """
        if "error" in query:
            code = query["error"] if CODE.fullmatch(query["error"]) else "an unknown error"
            raise Refused(f"the identity provider refused the log-in: {code}")
        if query.get("iss", self.settings.issuer) != self.settings.issuer or not query.get("code"):
            raise Refused("the answer is not from the identity provider; log in again")
        async with self._places:
            metadata = await self._discover()
            tokens = await self._exchange(metadata, query["code"], attempt.verifier)
            keys: Any = await self._ask("GET", metadata["jwks_uri"])
        claims = self._verified(tokens, keys, attempt.nonce)
        return self._identity(claims)

    async def _discover(self) -> dict[str, Any]:
        """The metadata of the provider, at most ten minutes old."""
        async with self._lock:
            age = time.monotonic() - self._asked
            if self._metadata is not None and age < METADATA_SECONDS:
                return self._metadata
            if age < AGAIN_SECONDS:  # It has just failed: whoever waits for the lock need not try in turn.
                raise OutOfReach(SILENT)
            self._metadata = None
            try:
                found = await self._ask(
                    "GET", self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
                )
            finally:
                self._asked = time.monotonic()
            if found.get("issuer") != self.settings.issuer:
                logger.error("the provider names another issuer than [web.oidc] issuer")
                raise Refused(
                    "the identity provider is not the configured one; tell the operator of pivotwatch"
                )
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not isinstance(found.get(name), str) or not is_protected(found[name]):
                    logger.error("the provider has no %s with https", name)
                    raise Refused("the identity provider is not usable; tell the operator of pivotwatch")
            self._metadata = found
            return found

    async def _exchange(self, metadata: dict[str, Any], code: str, verifier: str) -> dict[str, Any]:
        """The tokens for a code."""
        settings = self.settings
        body: str = prepare_token_request(
            "authorization_code",
            redirect_uri=settings.redirect_uri,
            code=code,
            code_verifier=verifier,
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        method = "none" if self._secret is None else settings.client_auth
        auth = ClientAuth(settings.client_id, self._secret, method)
        url, headers, body = auth.prepare("POST", metadata["token_endpoint"], headers, body)
        return await self._ask("POST", url, headers=headers, data=body)

    async def _ask(self, method: str, url: str, **how: Any) -> dict[str, Any]:
        """A JSON object from the provider, within the deadline and a bound of bytes."""
        deadline = self.settings.timeout.total_seconds()
        try:
            async with (
                asyncio.timeout(deadline),
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=deadline)) as session,
                session.request(method, url, allow_redirects=False, **how) as response,
            ):
                content = bytearray()
                async for part in response.content.iter_chunked(16 * 1024):
                    content += part
                    if len(content) > MOST_BYTES:
                        raise Refused("the identity provider answered with too much")
                status = response.status
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            logger.error("the identity provider did not answer: %s", type(error).__name__)
            raise OutOfReach(SILENT) from None
        if status >= 500:
            logger.error("the identity provider answered with status %d", status)
            raise OutOfReach(SILENT)
        try:
            found = orjson.loads(content)
        except orjson.JSONDecodeError:
            found = None
        if status != 200 or not isinstance(found, dict):
            code = str(found.get("error", "")) if isinstance(found, dict) else ""
            code = code if CODE.fullmatch(code) else "no reason given"
            logger.error("the identity provider refused with status %d: %s", status, code)
            raise Refused(f"the identity provider refused the log-in: {code}")
        return found

    def _verified(self, tokens: dict[str, Any], keys: Any, nonce: str) -> dict[str, Any]:
        """The claims of the ID token after every check."""
        settings = self.settings
        try:
            token = jwt.decode(str(tokens["id_token"]), KeySet.import_key_set(keys), algorithms=[*ALGORITHMS])
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": settings.issuer},
                    "aud": {"essential": True, "value": settings.client_id},
                    "exp": {"essential": True},
                    "iat": {"essential": True},
                },
                params={
                    "nonce": nonce,
                    "client_id": settings.client_id,
                    "access_token": tokens.get("access_token"),
                },
            )
            claims.validate(now=int(time.time()), leeway=LEEWAY_SECONDS)
        except (JoseError, KeyError, TypeError, ValueError) as error:
            reason = f"{getattr(error, 'error', type(error).__name__)} {getattr(error, 'claim', '')}".strip()
            logger.error("the token of the identity provider is not valid: %s", reason)
            raise Refused("the token of the identity provider is not valid; log in again") from None
        return dict(claims)

    def _identity(self, claims: dict[str, Any]) -> Identity:
        """Name and role, by the configured claims."""
        settings = self.settings
        name = claims.get(settings.name_claim)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise Refused(f"the identity provider sent no usable {settings.name_claim} of you")
        if settings.name_claim == "email" and claims.get("email_verified") is False:
            raise Refused("the identity provider has not verified your address", name)
        role = settings.role_of(_values(claims, settings.roles_claim))
        if role is None:
            raise Refused(f"your account {name} has no role here: ask {settings.contact}", name)
        return Identity(name, role)


def _values(claims: dict[str, Any], name: str) -> list[str]:
    """The texts of a claim; ``a.b`` is a claim of that name, or else ``b`` within ``a``.

    Examples
    --------
    >>> _values({"groups": ["soc", 7]}, "groups"), _values({"a": {"roles": "x"}}, "a.roles")
    (['soc'], ['x'])
    """
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    values = found if isinstance(found, list) else [found]
    return [value for value in values if isinstance(value, str)]
