"""Middleware of every page: authentication, and the answers to refused and failed requests."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from pivotwatch.web.api import answer
from pivotwatch.web.pages import USER, Pages, login_page

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ANYBODY = ("/health", "/ready", "/metrics", "/login", "/login/oidc", "/login/oidc/callback")
"""Paths without authentication: they show no account and no network."""


def middleware(pages: Callable[[], Pages]) -> Any:
    """The middleware.

    Parameters
    ----------
    pages
        Returns the pages; called after the app is built.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path not in ANYBODY and not request.path.startswith("/static/"):
                user = await pages().authenticator.identify(request)
                if user is None:
                    raise _unknown(request)
                request[USER] = user
            return await handler(request)
        except web.HTTPException as refusal:
            if refusal.status < 400:
                raise
            return _refusal(pages(), request, refusal)
        except ConnectionResetError:  # The client is gone.
            raise
        except Exception:
            logger.exception("%s %s failed", request.method, request.rel_url.raw_path)
            return _refusal(
                pages(),
                request,
                web.HTTPInternalServerError(text="internal error; the log of this worker has the cause"),
            )

    return middleware


def _unknown(request: web.Request) -> web.HTTPException:
    if _is_page(request) and request.method == "GET":
        return web.HTTPSeeOther(login_page(request))
    return web.HTTPUnauthorized(text="log in, or send Authorization: Bearer with a token")


def _refusal(pages: Pages, request: web.Request, refusal: web.HTTPException) -> web.StreamResponse:
    text = refusal.text or refusal.reason
    if _is_page(request):
        response = pages.error(request, refusal.status, text)
    else:
        response = answer(refusal.status, error=text)
    for name in ("Retry-After", "Allow"):
        if name in refusal.headers:
            response.headers[name] = refusal.headers[name]
    response.cookies.update(refusal.cookies)
    if refusal.status == 429:
        response.force_close()  # Each further guess costs a connection.
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _is_page(request: web.Request) -> bool:
    return not request.path.startswith(("/api/", "/health", "/ready", "/metrics"))
