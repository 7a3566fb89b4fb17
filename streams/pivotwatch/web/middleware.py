"""What stands before every page: who comes in, and what becomes of a refusal or a fault."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from pivotwatch.web.api import answer
from pivotwatch.web.pages import USER, Pages, login_page

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ANYBODY = ("/health", "/ready", "/metrics", "/login")
"""They hold no account and no network."""


def middleware(pages: Callable[[], Pages]) -> Any:
    """The middleware; ``pages`` gives what serves the pages, once there is such."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path not in ANYBODY and not request.path.startswith("/static/"):
                user = await pages().guard.identify(request)
                if user is None:
                    raise _unknown(request)
                request[USER] = user
            return await handler(request)
        except web.HTTPException as told:
            if told.status < 400:
                raise
            return _refusal(pages(), request, told)
        except ConnectionResetError:  # Whoever asked has gone: nobody is there to be told.
            raise
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            return _refusal(pages(), request, web.HTTPInternalServerError(text="a fault of this program"))

    return middleware


def _unknown(request: web.Request) -> web.HTTPException:
    if _is_page(request) and request.method == "GET":
        return web.HTTPSeeOther(login_page(request))
    return web.HTTPUnauthorized(text="expected Authorization: Bearer, or a session")


def _refusal(pages: Pages, request: web.Request, told: web.HTTPException) -> web.StreamResponse:
    text = told.text or told.reason
    if _is_page(request):
        response = pages.error(request, told.status, text)
    else:
        response = answer(told.status, error=text)
    for name in ("Retry-After", "Allow"):
        if name in told.headers:
            response.headers[name] = told.headers[name]
    if told.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _is_page(request: web.Request) -> bool:
    return not request.path.startswith(("/api/", "/health", "/ready", "/metrics"))
