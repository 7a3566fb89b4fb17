"""Who may post: a bearer token, or a signature in the form of Standard Webhooks."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping

TOLERANCE_SECONDS = 300
SECRET_PREFIX = b"whsec_"


class Refused(Exception):
    """Why somebody may not post; never with a secret in it."""


class Guard:
    """Checks requests; every comparison takes the same time, whatever is wrong.

    Parameters
    ----------
    token
        What ``Authorization: Bearer`` must hold, or None.
    secret
        What ``webhook-signature`` must be made with (base64 after ``whsec_``, else as it is), or None.

    Examples
    --------
    >>> guard = Guard(b"a token of tests", None)
    >>> guard.check({"Authorization": "Bearer a token of tests"}, b"")
    >>> guard.check({"Authorization": "Bearer guess"}, b"")
    Traceback (most recent call last):
    pivotwatch.ingest.http_auth.Refused: the bearer token is not the right one
    """

    def __init__(
        self, token: bytes | None, secret: bytes | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._token = token
        self._secret = None if secret is None else _decoded(secret)
        self._clock = clock

    @property
    def signs(self) -> bool:
        """Is the body needed to decide?"""
        return self._secret is not None

    def check(self, headers: Mapping[str, str], body: bytes) -> None:
        """Let pass what carries the token or a signature.

        Raises
        ------
        Refused
            Otherwise.
        """
        if self._token is None and self._secret is None:
            return
        given = headers.get("Authorization", "")
        if self._token is not None and given:
            scheme, _, token = given.partition(" ")
            same = hmac.compare_digest(_bytes(token.strip()), self._token)
            if not (same and scheme.lower() == "bearer"):
                raise Refused("the bearer token is not the right one")
            return
        if self._secret is None:
            raise Refused("expected the header Authorization: Bearer")
        self._check_signature(self._secret, headers, body)

    def _check_signature(self, secret: bytes, headers: Mapping[str, str], body: bytes) -> None:
        number, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        signatures = headers.get("webhook-signature", "")
        if not (number and at and signatures):
            raise Refused("expected the headers webhook-id, webhook-timestamp and webhook-signature")
        if not (at.isascii() and at.isdigit()) or abs(self._clock() - int(at[:12])) > TOLERANCE_SECONDS:
            raise Refused("webhook-timestamp is not of these five minutes")
        expected = sign(secret, number, at, body).encode()
        matches = [hmac.compare_digest(_bytes(one), expected) for one in signatures.split(" ")]
        if not any(matches):  # All of them were compared.
            raise Refused("webhook-signature is not the right one")


def sign(secret: bytes, number: str, at: str, body: bytes) -> str:
    """The signature of a body."""
    digest = hmac.new(secret, _bytes(f"{number}.{at}.") + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _bytes(header: str) -> bytes:
    """A header as it came: servers hand on bytes that are no UTF-8 as surrogates."""
    return header.encode("utf-8", "surrogateescape")


def _decoded(secret: bytes) -> bytes:
    if not secret.startswith(SECRET_PREFIX):
        return secret
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        return secret
