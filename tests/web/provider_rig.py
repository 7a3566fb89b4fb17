"""A real OpenID provider (oidc-provider-mock) in a thread, on a free port of 127.0.0.1."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import flask
import oidc_provider_mock
from authlib import jose
from oidc_provider_mock import User
from werkzeug.serving import make_server

CALLBACK = "/login/oidc/callback"
USERS = (
    User(sub="kim", claims={"email": "kim@example.com", "groups": ["staff", "soc"]}),
    User(sub="lee", claims={"email": "lee@example.com", "groups": ["staff"]}),
    User(sub="mia", claims={"email": "mia@example.com", "groups": ["sales"]}),
    User(sub="ned", claims={"email": "ned@example.com", "email_verified": False, "groups": ["soc"]}),
    User(sub="odd", claims={"email": "<b>odd</b>\n", "groups": ["soc"]}),
)


class Provider:
    """A running provider.

    Attributes
    ----------
    url
        Its address, which is its issuer.
    asked
        Paths and form fields of the requests that it received.
    before
        Called before each request with its path.
    """

    def __init__(self, max_age: timedelta = timedelta(hours=1)) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.before: Callable[[str], object] = lambda _: None
        app = oidc_provider_mock.app(access_token_max_age=max_age, user_claims=USERS, require_nonce=True)

        @app.before_request
        def note() -> Any:
            self.storage = flask.g.oidc_provider_mock_storage
            self.asked.append((flask.request.path, {**flask.request.form}))
            return self.before(flask.request.path)

        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def rotate(self) -> None:
        """Replace the signing key."""
        self.storage.jwk = jose.RSAKey.generate_key(is_private=True)

    def stop(self) -> None:
        """Stop; its port refuses connections then."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def table(self, **more: Any) -> dict[str, Any]:
        """The table ``[web.oidc]`` for this provider."""
        return {
            "issuer": self.url,
            "client_id": "pivotwatch",
            "redirect_uri": f"http://127.0.0.1:1{CALLBACK}",
            "operators": ["soc"],
            "viewers": ["staff"],
            "contact": "the security team",
            "timeout": "2s",
        } | more


@contextmanager
def provider(**how: Any) -> Iterator[Provider]:
    """Run a provider."""
    made = Provider(**how)
    try:
        yield made
    finally:
        made.stop()
