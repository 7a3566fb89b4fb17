"""Authentication of HTTP clients: a bearer token, or a signature in the form of Standard Webhooks."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping

TOLERANCE_SECONDS = 300
SECRET_PREFIX = b"whsec_"


class Unauthorized(Exception):
    """A request is not authorised. The message says why, and never contains a secret."""


class Authenticator:
    """Authenticates requests. Comparisons take the same time for every wrong value.

    Parameters
    ----------
    token
        The token that ``Authorization: Bearer`` must contain; None when tokens are not used.
    secret
        The secret of ``webhook-signature`` (base64 after ``whsec_``, else used as it is); None when
        signatures are not used.
    clock
        Returns the time in epoch seconds.

    Examples
    --------
    >>> authenticator = Authenticator(b"a token of tests", None)
    >>> authenticator.check({"Authorization": "Bearer a token of tests"}, b"")
    >>> authenticator.check({"Authorization": "Bearer guess"}, b"")
    Traceback (most recent call last):
    pivotwatch.ingest.http_auth.Unauthorized: the bearer token is wrong
    """

    def __init__(
        self, token: bytes | None, secret: bytes | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._token = token
        self._secret = None if secret is None else _decoded(secret)
        self._clock = clock

    @property
    def needs_body(self) -> bool:
        """Whether the decision needs the body, because requests may be signed."""
        return self._secret is not None

    def check(self, headers: Mapping[str, str], body: bytes) -> None:
        """Check that a request has the token or a signature.

        Raises
        ------
        Unauthorized
            When it has neither.
        """
        if self._token is None and self._secret is None:
            return
        given = headers.get("Authorization", "")
        if self._token is not None and given:
            scheme, _, token = given.partition(" ")
            same = hmac.compare_digest(_bytes(token.strip()), self._token)
            if not (same and scheme.lower() == "bearer"):
                raise Unauthorized("the bearer token is wrong")
            return
        if self._secret is None:
            raise Unauthorized("expected the header Authorization: Bearer")
        self._check_signature(self._secret, headers, body)

    def _check_signature(self, secret: bytes, headers: Mapping[str, str], body: bytes) -> None:
        number, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        signatures = headers.get("webhook-signature", "")
        if not (number and at and signatures):
            raise Unauthorized("expected the headers webhook-id, webhook-timestamp and webhook-signature")
        if not (at.isascii() and at.isdigit()) or abs(self._clock() - int(at[:12])) > TOLERANCE_SECONDS:
            raise Unauthorized("webhook-timestamp is more than five minutes away from the server's clock")
        expected = sign(secret, number, at, body).encode()
        matches = [hmac.compare_digest(_bytes(one), expected) for one in signatures.split(" ")]
        if not any(matches):  # The list holds a comparison with every signature.
            raise Unauthorized("webhook-signature is wrong")


def sign(secret: bytes, number: str, at: str, body: bytes) -> str:
    """The signature of a body, as in the header ``webhook-signature``."""
    digest = hmac.new(secret, _bytes(f"{number}.{at}.") + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _bytes(header: str) -> bytes:
    """The bytes of a header; aiohttp decodes bytes that are not UTF-8 to surrogates."""
    return header.encode("utf-8", "surrogateescape")


def _decoded(secret: bytes) -> bytes:
    if not secret.startswith(SECRET_PREFIX):
        return secret
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        return secret
