"""The pages of logging in and out, and of a person's own sessions."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from http import HTTPStatus

from aiohttp import web

from pivotwatch.base.errors import OutOfReach
from pivotwatch.web.authentication import FORM_FIELD, User
from pivotwatch.web.oidc_settings import CALLBACK
from pivotwatch.web.pages import USER, Pages, here, read_form
from pivotwatch.web.provider import Attempt, Identity, Provider, Refused
from pivotwatch.web.sessions import id_of


class LoginPages:
    """Serves the login form, log-out, and the sessions of the user.

    Parameters
    ----------
    pages
        Renders the templates.
    provider
        The identity provider, if people log in through one.
    """

    def __init__(self, pages: Pages, provider: Provider | None = None) -> None:
        self.pages, self.authenticator, self.provider = pages, pages.authenticator, provider

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/login", self.login)
        app.router.add_post("/login", self.log_in)
        app.router.add_post("/logout", self.log_out)
        app.router.add_get("/sessions", self.sessions)
        if self.provider is not None:
            app.router.add_get("/login/oidc", self.to_provider)
            app.router.add_get(CALLBACK, self.from_provider)

    async def login(self, request: web.Request) -> web.Response:
        """The login form, which asks for a token."""
        return self._login(request, 200, "")

    async def log_in(self, request: web.Request) -> web.Response:
        """Handle the login form."""
        form = await read_form(request)
        self.authenticator.check_form(request, form.get(FORM_FIELD), None)
        try:
            user = await self.authenticator.check(request, str(form.get("token", "")).strip(), "token")
        except web.HTTPUnauthorized as refused:
            return self._login(request, 401, refused.text or "")
        except web.HTTPTooManyRequests as refused:
            response = self._login(request, 429, refused.text or "")
            response.headers["Retry-After"] = refused.headers["Retry-After"]
            response.force_close()  # Each further guess costs a connection.
            return response
        response = web.HTTPSeeOther(here(str(form.get("next", ""))))
        await self.authenticator.begin(request, response, user, "token")
        raise response

    async def to_provider(self, request: web.Request) -> web.Response:
        """Send the browser to the provider."""
        assert self.provider is not None
        begun = Attempt(
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(48),
            here(request.query.get("next", "")),
        )
        try:
            response = web.HTTPSeeOther(await self.provider.address(begun))
        except (OutOfReach, Refused) as error:
            return await self._refused(request, error, begun.next)
        self.authenticator.remember(response, begun)
        raise response

    async def from_provider(self, request: web.Request) -> web.Response:
        """Take a browser that comes back from the provider: begin the session of its person."""
        found = self.authenticator.remembered(request)
        attempt = Attempt(*found) if found is not None and len(found) == len(Attempt._fields) else None
        try:
            identity = await self._identified(request, attempt)
        except (OutOfReach, Refused) as error:
            return await self._refused(request, error, attempt.next if attempt else "/")
        user = User(identity.name, identity.role, "session", secrets.token_urlsafe(16))
        response = web.Response(content_type="text/html")
        await self.authenticator.begin(request, response, user, "oidc")
        self.authenticator.forget(response)
        # A redirect would belong to the navigation that another site began, without the strict cookie.
        target = attempt.next if attempt else "/"
        response.text = self.pages.render(request, "continue.html", {"target": target, "name": user.name})
        return response

    async def _identified(self, request: web.Request, attempt: Attempt | None) -> Identity:
        assert self.provider is not None
        given = request.query.get("state", "").encode(errors="surrogateescape")
        if attempt is None or not hmac.compare_digest(given, attempt.state.encode()):
            raise Refused(
                "this log-in was not begun in this browser, or more than 10 minutes ago; log in again"
            )
        identity = await self.provider.identify(request.query, attempt)
        if self.authenticator.person(identity.name) is not None:
            raise Refused(f"{identity.name} is the name of a person with a token here", identity.name)
        return identity

    async def _refused(self, request: web.Request, error: OutOfReach | Refused, target: str) -> web.Response:
        """The login page with what is wrong."""
        silent = isinstance(error, OutOfReach)
        name = "" if isinstance(error, OutOfReach) else error.name
        self.authenticator.log.refused("oidc", request.remote, str(error), name)
        seconds = 0 if silent else await self.authenticator.slow_down(request)
        status = HTTPStatus.SERVICE_UNAVAILABLE if silent else HTTPStatus.FORBIDDEN
        status = HTTPStatus.TOO_MANY_REQUESTS if seconds else status
        response = self._login(request, status, str(error), target)
        self.authenticator.forget(response)
        if seconds:
            response.headers["Retry-After"] = str(seconds)
            response.force_close()
        return response

    async def log_out(self, request: web.Request) -> web.Response:
        """End the session, or with the field ``everywhere`` all sessions of the user."""
        user, form = request[USER], await read_form(request)
        self.authenticator.check_form(request, form.get(FORM_FIELD), user)
        response = web.HTTPSeeOther("/login")
        # It ends although the browser may not wait for the answer.
        await asyncio.shield(
            self.authenticator.end(request, response, everywhere=bool(form.get("everywhere")))
        )
        raise response

    async def sessions(self, request: web.Request) -> web.Response:
        """The sessions of the user, and a button that ends them all."""
        user = request[USER]
        if user.via != "session":
            raise web.HTTPNotFound(text="you have no session: you did not log in on this page")
        shown = {"sessions": self.authenticator.sessions.of(user.name), "own": id_of(user.binding or "")}
        return self.pages.page(request, "sessions.html", shown)

    def _login(
        self, request: web.Request, status: int, problem: str, target: str | None = None
    ) -> web.Response:
        settings = self.authenticator.settings
        if not settings.people and settings.oidc is None:
            raise web.HTTPUnauthorized(text="log in through the proxy")
        response = web.Response(status=status, content_type="text/html")
        token = self.authenticator.login_token(request, response)
        shown = {
            "problem": problem,
            "next": here(request.query.get("next", "")) if target is None else target,
            "token": token,
            "takes_tokens": bool(settings.people),
            "provider": settings.oidc.title if settings.oidc else "",
        }
        response.text = self.pages.render(request, "login.html", shown)
        return response
