"""The pages of logging in and out, and of a person's own sessions."""

from __future__ import annotations

import asyncio

from aiohttp import web

from pivotwatch.web.authentication import FORM_FIELD
from pivotwatch.web.pages import USER, Pages, here, read_form
from pivotwatch.web.sessions import id_of


class LoginPages:
    """Serves the login form, log-out, and the sessions of the user.

    Parameters
    ----------
    pages
        Renders the templates.
    """

    def __init__(self, pages: Pages) -> None:
        self.pages, self.authenticator = pages, pages.authenticator

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/login", self.login)
        app.router.add_post("/login", self.log_in)
        app.router.add_post("/logout", self.log_out)
        app.router.add_get("/sessions", self.sessions)

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

    def _login(self, request: web.Request, status: int, problem: str) -> web.Response:
        if not self.authenticator.settings.people:
            raise web.HTTPUnauthorized(text="log in through the proxy")
        response = web.Response(status=status, content_type="text/html")
        token = self.authenticator.login_token(request, response)
        shown = {"problem": problem, "next": here(request.query.get("next", "")), "token": token}
        response.text = self.pages.render(request, "login.html", shown)
        return response
