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


class WrongSecret(Unauthorized):
    """A token or a signature is wrong: it may be a guess."""


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
    pivotwatch.ingest.http_auth.WrongSecret: the bearer token is wrong
    """

    def __init__(
        self, token: bytes | None, secret: bytes | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._token = token
        self._secret = None if secret is None else _decoded(secret)
        self._clock = clock

    def check(self, headers: Mapping[str, str], body: bytes) -> None:
        """Check that a request has the token or a signature.

        Raises
        ------
        Unauthorized
            When it has neither.
        """
        if not self.check_headers(headers) and self._secret is not None:
            self._check_signature(self._secret, headers, body)

    def check_headers(self, headers: Mapping[str, str]) -> bool:
        """Check what the headers alone decide; returns whether that is all, or the body has to be signed.

        Raises
        ------
        Unauthorized
            When no body can make the request authorised.
        """
        if self._token is None and self._secret is None:
            return True
        given = headers.get("Authorization", "")
        if self._token is not None and given:
            scheme, _, token = given.partition(" ")
            same = hmac.compare_digest(_bytes(token.strip()), self._token)
            if not (same and scheme.lower() == "bearer"):
                raise WrongSecret("the bearer token is wrong")
            return True
        if self._secret is None:
            raise Unauthorized("expected the header Authorization: Bearer")
        self._check_signature_headers(headers)
        return False

    def _check_signature_headers(self, headers: Mapping[str, str]) -> None:
        at = headers.get("webhook-timestamp", "")
        if not (headers.get("webhook-id") and at and headers.get("webhook-signature")):
            raise Unauthorized("expected the headers webhook-id, webhook-timestamp and webhook-signature")
        if not (at.isascii() and at.isdigit()) or abs(self._clock() - int(at[:12])) > TOLERANCE_SECONDS:
            raise Unauthorized("webhook-timestamp is more than five minutes away from the server's clock")

    def _check_signature(self, secret: bytes, headers: Mapping[str, str], body: bytes) -> None:
        expected = sign(secret, headers["webhook-id"], headers["webhook-timestamp"], body).encode()
        signatures = headers["webhook-signature"].split(" ")
        matches = [hmac.compare_digest(_bytes(one), expected) for one in signatures]
        if not any(matches):  # The list holds a comparison with every signature.
            raise WrongSecret("webhook-signature is wrong")


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
